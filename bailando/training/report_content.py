"""What a report shows, as plain data for its page: curves, sizes, codes and a dance."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from bailando.errors import InputError
from bailando.models.checkpoint import DancerCheckpoint
from bailando.models.residual import HalfResidual
from bailando.models.vqvae import PoseVQVAE
from bailando.motion.motion import Motion
from bailando.motion.pose import TURN, VELOCITY, decode_motion
from bailando.motion.skeleton import LOWER_JOINTS, UPPER_JOINTS
from bailando.training.evaluate import ROWS
from bailando.training.metrics import motion_beats

Json = dict[str, Any]
STAGE_TITLES = {
    "vqvae": "Pose VQ-VAE",
    "root": "Root velocity",
    "residual": "Residual codes",
    "gpt": "Cross-conditional GPT",
    "actor_critic": "Actor-critic",
    "movement": "Critic of movement",
}
_SETTLING_TOKENS = 3
_NOT_DRAWN = {"step", "skipped"}
# Title, logarithmic, what the names of its columns end in (without "held_out_"); the first that fits.
_CHARTS: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    ("Held-out reconstruction error, mm", False, ("_mm",)),
    ("Codebook perplexity", False, ("_perplexity",)),
    ("Codebook usage, share", False, ("_usage",)),
    ("Token accuracy, share", False, ("_accuracy",)),
    ("Learning rate", False, ("learning_rate",)),
    ("Gradient norm before clipping", True, ("gradient_norm",)),
    ("Jitter, ratio to the data", False, ("jitter_ratio",)),
    ("Loss", False, ("total", "_loss", "score")),
)
_PARTS = "Parts of the loss"
_HELD_OUT = "held_out_"


def read_log(path: Path) -> list[Json]:
    """Read the lines that a stage logged; of a step logged twice (a resumed run) the later counts.

    Raises
    ------
    InputError
        If a line is no JSON object with a step; an unfinished last line is passed over.
    """
    by_step: dict[int, Json] = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        record = _record(line)
        if record is not None:
            by_step[int(record["step"])] = record
        elif number < len(lines):
            raise InputError(f"{path} line {number} is no record of a step: give the folder of a run")
    return [by_step[step] for step in sorted(by_step)]


def _record(line: str) -> Json | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None


def stage_curves(name: str, records: Sequence[Json]) -> Json:
    """Return the charts of one stage: columns of its log by title."""
    columns = list(dict.fromkeys(key for record in records for key in record))
    in_mm = any(key.endswith("_mm") for key in columns)
    logarithmic = {title: log for title, log, _ in _CHARTS} | {_PARTS: True}
    charts: dict[str, list[Json]] = {}
    for key in columns:
        if key in _NOT_DRAWN:
            continue
        title = _chart_of(key, in_mm)
        values = [_finite(record.get(key)) for record in records]
        if logarithmic[title]:
            values = [value if value is not None and value > 0 else None for value in values]
        held_out = key.startswith(_HELD_OUT)
        line = {"name": _line_name(key, in_mm), "hue": _hue(key), "held_out": held_out, "values": values}
        charts.setdefault(title, []).append(line)
    order = ["Loss", *(title for title in logarithmic if title != "Loss")]
    drawn = [
        {"title": title, "log": logarithmic[title], "lines": charts[title]}
        for title in order
        if title in charts
    ]
    last = records[-1]
    note = f"{last['step']} steps; {last.get('skipped', 0)} not finite and skipped. Dotted: held-out motion."
    title = STAGE_TITLES.get(name, name)
    return {"title": title, "note": note, "steps": [record["step"] for record in records], "charts": drawn}


def _chart_of(key: str, in_mm: bool) -> str:
    if key == _HELD_OUT + "score" and in_mm:
        return _CHARTS[0][0]
    bare = key.removeprefix(_HELD_OUT)
    return next((title for title, _, ends in _CHARTS if bare.endswith(ends)), _PARTS)


def _hue(key: str) -> str:
    """What a line is about: training and held-out lines of one thing share a colour."""
    bare = key.removeprefix(_HELD_OUT)
    for ending in ("_mm", "_loss", "_accuracy", "_perplexity", "_usage"):
        bare = bare.removesuffix(ending)
    return "total" if bare == "score" else bare


def _line_name(key: str, in_mm: bool) -> str:
    about = _hue(key).replace("_", " ")
    if not key.startswith(_HELD_OUT):
        return about
    if in_mm and key == _HELD_OUT + "score":
        return "body"
    if " residual " in about:
        # Six lines in one legend; none of them has a line of training beside it.
        return about.replace(" residual", "")
    return about if key.endswith("_mm") else f"{about} held out"


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def figure_tables(evaluation: Mapping[str, Any]) -> list[Json]:
    """Return the tables of an evaluation's JSON file, cells as text.

    Raises
    ------
    InputError
        If it is no such file.
    """
    tables = evaluation.get("tables")
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InputError("the evaluation has no tables: give the file of bailando-train evaluate --json")
    return [{"title": title, **_figure_table(table)} for title, table in tables.items()]


def _figure_table(table: Mapping[str, Mapping[str, float | None]]) -> Json:
    rows = []
    for label, key, decimals, factor in ROWS:
        values = [figures.get(key) for figures in table.values()]
        if any(value is not None for value in values):
            cells = ["" if value is None else f"{value * factor:,.{decimals}f}" for value in values]
            rows.append({"label": label, "cells": cells})
    return {"columns": list(table), "rows": rows}


def model_sizes(checkpoint: DancerCheckpoint) -> list[Json]:
    """Return the parameters of each part of a dancer; codebooks count although they are averages."""
    halves = {"upper": checkpoint.upper_vqvae, "lower": checkpoint.lower_vqvae}
    counts: dict[str, int] = {}
    for half, model in halves.items():
        counts[f"{half} encoder"] = _count(model.encoder)
        counts[f"{half} decoder"] = _count(model.decoder)
        counts[f"{half} codebook"] = model.codebook.vectors.numel()
    if checkpoint.residual is not None:
        for half, finer in zip(halves, checkpoint.residual.halves, strict=True):
            books = cast(HalfResidual, finer).codebooks
            counts[f"{half} residual encoder"] = _count(finer)
            counts[f"{half} residual codebooks"] = sum(book.vectors.numel() for book in books)
        counts["residual predictor"] = _count(checkpoint.residual.predictor)
    counts["GPT"] = _count(checkpoint.gpt)
    if checkpoint.movement is not None:
        counts["critic of movement"] = _count(checkpoint.movement)
    return [{"name": name, "parameters": count} for name, count in counts.items()]


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def codebook_wall(checkpoint: DancerCheckpoint) -> list[Json]:
    """Decode every code of both books by itself, the other half in its mean pose.

    Each code is decoded as a row of the same one, and the last token's 8 frames are kept, when the decoder
    has forgotten that it began. Codes come in the order of their share in training.
    """
    books = []
    halves = checkpoint.upper_vqvae.eval(), checkpoint.lower_vqvae.eval()
    for number, (title, own) in enumerate((("upper body", UPPER_JOINTS), ("lower body", LOWER_JOINTS))):
        model = halves[number]
        counts = model.codebook.count.detach().cpu().numpy().astype(np.float64)
        order = np.argsort(-counts, kind="stable")
        decoded = _decode_each(model, order)
        joints = _joints(decoded, _mean_channels(halves[1 - number]), upper=number == 0)
        heights = joints[..., list(own), 1]
        shares = counts / counts.sum() if counts.sum() > 0 else None
        books.append(
            {
                "title": title,
                "frames": joints.shape[1],
                "own_joints": list(own),
                "centre": float((heights.min() + heights.max()) / 2 * 1000) if number else 1050.0,
                "reach": 1500.0 if number else 1750.0,
                "joints": to_millimetres(joints),
                "codes": [
                    {"code": int(code), "share": None if shares is None else float(shares[code])}
                    for code in order
                ],
            }
        )
    return books


def _decode_each(model: PoseVQVAE, codes: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Return the 8 frames (codes, 8, channels) of each code held."""
    held = torch.from_numpy(np.repeat(codes[:, None], _SETTLING_TOKENS + 1, axis=1).astype(np.int64))
    frames = model.config.frames_per_code
    parts = [model.decode(part)[:, -frames:].cpu() for part in torch.split(held, 64)]
    decoded: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return decoded


def _mean_channels(model: PoseVQVAE) -> npt.NDArray[np.float32]:
    mean: npt.NDArray[np.float32] = model.mean.detach().cpu().numpy()
    return mean


def _joints(
    decoded: npt.NDArray[np.float32], other_mean: npt.NDArray[np.float32], upper: bool
) -> npt.NDArray[np.float32]:
    """Return joints (codes, frames, 24, 3), in place and facing the viewer."""
    codes, frames, _ = decoded.shape
    other = np.broadcast_to(other_mean, (codes * frames, len(other_mean)))
    flat = decoded.reshape(codes * frames, -1)
    halves = [flat, other] if upper else [other, flat]
    lower = halves[1].copy()
    lower[:, VELOCITY.start : TURN + 1] = 0.0
    motion = decode_motion(halves[0], lower)
    return motion.positions.reshape(codes, frames, 24, 3)


def dance_content(motion: Motion, song_beats_s: npt.NDArray[Any], audio: str | None) -> Json:
    """Return a dance, its joint speed, its beats and the song's, in frames."""
    positions = motion.positions
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(axis=1) * motion.fps
    beats = np.round(song_beats_s * motion.fps).astype(int)
    return {
        "frames": motion.frame_count,
        "fps": motion.fps,
        "joints": to_millimetres(positions),
        "speed": [round(float(value), 3) for value in speed],
        "beats": [int(beat) for beat in beats if beat < motion.frame_count],
        "accents": [int(beat) for beat in motion_beats(positions)],
        "audio": audio,
    }


def to_millimetres(joints: npt.NDArray[np.floating[Any]]) -> str:
    """Return positions in metres as base64 of little-endian int16 millimetres."""
    whole = np.clip(np.round(np.asarray(joints, np.float64) * 1000), -32768, 32767)
    return base64.b64encode(whole.astype("<i2").tobytes()).decode("ascii")


def audio_url(samples: npt.NDArray[np.float32], rate_hz: int) -> str:
    """Return samples (n,) as a data URL of Ogg Vorbis."""
    import soundfile

    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", rate_hz, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(samples), rate_hz):
            file.write(samples[start : start + rate_hz])
    return "data:audio/ogg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
