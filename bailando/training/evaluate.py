"""`bailando-train evaluate`: a model beside ground truth and three baselines, in one table."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bailando.engine.dancer import Dancer
from bailando.errors import ConfigError, InputError, OutputError
from bailando.motion.skeleton import Skeleton
from bailando.training import evaluate_material as material
from bailando.training.evaluate_material import Music, Truth
from bailando.training.metrics.figures import (
    FRAME_RATE_HZ,
    Dance,
    Features,
    clip_features,
    cut_clips,
    set_figures,
)
from bailando.training.songs import Song

Table = dict[str, dict[str, float]]
TRUTH, MODEL = "ground truth", "model"
# Name in the table, key, decimals, factor.
ROWS: tuple[tuple[str, str, int, float], ...] = (
    ("FID_k", "fid_k", 2, 1),
    ("FID_g", "fid_g", 2, 1),
    ("Div_k", "div_k", 2, 1),
    ("Div_g", "div_g", 2, 1),
    ("BAS over music beats", "bas_music", 3, 1),
    ("  at random phase", "bas_music_random_phase", 3, 1),
    ("  of the way from chance to truth, %", "bas_share", 0, 100),
    ("BAS over motion beats", "bas_motion", 3, 1),
    ("  at random phase", "bas_motion_random_phase", 3, 1),
    ("beat-phase vector strength", "phase_lock", 3, 1),
    ("  preferred phase, beats", "preferred_phase", 2, 1),
    ("  p-value", "phase_p_value", 4, 1),
    ("foot contact score (PFC)", "foot_contact_score", 3, 1),
    ("foot-skate ratio, %", "foot_skate_ratio", 1, 100),
    ("jitter, m/s³", "jitter_m_s3", 1, 1),
    ("joint speed, m/s", "joint_speed_m_s", 3, 1),
    ("bone-length error, mm", "bone_length_error_mm", 2, 1),
    ("reach on the floor, m", "floor_reach_m", 2, 1),
    ("upper codes: perplexity", "upper_perplexity", 1, 1),
    ("  usage, %", "upper_usage", 0, 100),
    ("lower codes: perplexity", "lower_perplexity", 1, 1),
    ("  usage, %", "lower_usage", 0, 100),
    ("longest repeat, s", "longest_repeat_s", 1, 1),
    ("dances", "dances", 0, 1),
    ("minutes", "minutes", 1, 1),
    ("clips", "clips", 0, 1),
)


@dataclass(frozen=True)
class EvaluateOptions:
    """What to evaluate against what.

    Parameters
    ----------
    bundle : Path, optional
        Folder or zip of the dancer; either this or `dances`.
    dances : Path, optional
        Folder of .npz dances made elsewhere, named after their songs.
    data : Path, optional
        Prepared data set: its held-out side is the ground truth and gives paired music.
    truth : Path, optional
        Folder of .bvh or .npz ground truth dances instead.
    songs : Path, optional
        Folder of songs to dance to.
    checkpoint : Path, optional
        The dancer's .pt file: adds reconstruction error and token accuracy on the data set.
    json : Path, optional
        File for the figures.
    clip_seconds : float
        Length of the clips that features are taken from.
    max_seconds : float
        Of each song.
    seed : int
        Of the first dance (each dance has the next one) and of the random clips.
    repeats : int
        Dances to each piece of music: with few pieces the diversity of one dance each is mostly luck.
    groove : float
        How much the beat counts to the dancer, as a share of what its bundle says; 0: what it is without.
    """

    bundle: Path | None = None
    dances: Path | None = None
    data: Path | None = None
    truth: Path | None = None
    songs: Path | None = None
    checkpoint: Path | None = None
    json: Path | None = None
    clip_seconds: float = 4.0
    max_seconds: float = 120.0
    seed: int = 0
    repeats: int = 1
    groove: float = 1.0

    def __post_init__(self) -> None:
        if self.bundle is not None and self.dances is not None:
            raise ConfigError("both --bundle and --dances are given; choose one")
        if self.data is not None and self.truth is not None:
            raise ConfigError("both --data and --truth are given; choose one")
        if self.checkpoint is not None and self.data is None:
            raise ConfigError("--checkpoint is judged on a data set: give it with --data")
        if self.bundle is None and self.dances is None and self.data is None and self.truth is None:
            raise ConfigError("nothing to evaluate: give --bundle or --dances, or --data or --truth")
        if self.bundle is not None and self.data is None and self.songs is None:
            raise ConfigError("no music for the bundle: give --songs FOLDER or --data FOLDER")
        if not (0.5 <= self.clip_seconds <= 60 and self.max_seconds >= 1):
            raise ConfigError(
                f"clips of {self.clip_seconds} s, songs of {self.max_seconds} s; "
                "expected clips of 0.5 to 60 s and at least 1 s of song"
            )
        if self.repeats < 1:
            raise ConfigError(f"repeats is {self.repeats}; give 1 or more")


def run_evaluate(options: EvaluateOptions) -> dict[str, Any]:
    """Evaluate, print the tables and write the JSON file.

    Returns
    -------
    dict
        ``tables``: figures by music ("held-out pairs", "songs", "dances"), column and name, None where one
        does not apply; ``models``: reconstruction error and token accuracy, with a checkpoint; ``settings``.

    Raises
    ------
    BailandoError
        If something is missing or does not fit.
    """
    songs = [] if options.songs is None else material.songs_to_dance(options.songs, options.max_seconds)
    truth = _truth(options, songs)
    dancer = None if options.bundle is None else Dancer.open(options.bundle)
    tables: dict[str, Table] = {}
    for name, music, dances in _performances(options, dancer, truth, songs):
        tables[name] = _table(options, dancer, truth, music, dances)
    result: dict[str, Any] = {"tables": tables, "settings": _settings(options)}
    if options.checkpoint is not None and options.data is not None:
        from bailando.training.evaluate_checkpoint import checkpoint_figures

        result["models"] = checkpoint_figures(options.checkpoint, options.data)
    result = _without_nan(result)
    print(format_result(result))  # noqa: T201 - the command's result
    if options.json is not None:
        try:
            options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{options.json} cannot be written: {error.strerror}") from None
    return result


def _truth(options: EvaluateOptions, songs: Sequence[Song]) -> Truth | None:
    if options.data is not None:
        return material.truth_of_dataset(options.data)
    if options.truth is not None:
        return material.truth_of_folder(options.truth, songs)
    return None


def _performances(
    options: EvaluateOptions, dancer: Dancer | None, truth: Truth | None, songs: Sequence[Song]
) -> list[tuple[str, list[Music], list[Dance]]]:
    """Return what was danced to, by table: name, music, dances (none without a model)."""
    if options.dances is not None:
        return [("dances", *_given_dances(options.dances, songs))]
    sets = {
        "held-out pairs": truth.music if truth else [],
        "songs": [material.music_of_song(s) for s in songs],
    }
    if dancer is None:
        return [(name, music, []) for name, music in sets.items() if music] or [("ground truth", [], [])]
    performances = []
    for name, pieces in sets.items():
        music = pieces * options.repeats
        dances = [
            material.dance_to(dancer, piece, options.seed + number, options.groove)
            for number, piece in enumerate(tqdm(music, desc=name, unit="", disable=not music))
        ]
        if music:
            performances.append((name, music, dances))
    return performances


def _given_dances(folder: Path, songs: Sequence[Song]) -> tuple[list[Music], list[Dance]]:
    music, dances = [], []
    for name, motion in material.load_dances(folder):
        song = material.match_song(name, songs)
        if song is None and songs:
            raise InputError(f"dance {name} has no song: name it after one of {[s.name for s in songs][:5]}")
        beats = material.own_beats(motion.positions) if song is None else material.music_of_song(song).beats
        dances.append(material.as_dance(name, motion, beats))
        music.append(Music(name, dances[-1].music_beats, motion.frame_count))
    return music, dances


def _table(
    options: EvaluateOptions,
    dancer: Dancer | None,
    truth: Truth | None,
    music: list[Music],
    dances: list[Dance],
) -> Table:
    """Return all columns of one table."""
    columns: dict[str, list[Dance]] = {}
    if truth is not None:
        columns[TRUTH] = truth.judged
    if dances:
        columns[MODEL] = dances
    if truth is not None:
        columns["random clip"] = material.random_clips(music, truth, options.seed) if music else []
        columns["mean pose"] = material.mean_poses(music, truth.mean_pose)
    columns["other song"] = material.exchanged(dances or (truth.judged if truth and music else []))
    columns = {name: of_column for name, of_column in columns.items() if of_column}
    clip_frames = round(options.clip_seconds * FRAME_RATE_HZ)
    fewest = min(len(cut_clips(of_column, clip_frames)) for of_column in columns.values())
    reference = _reference(truth, clip_frames)
    size = None if dancer is None else dancer.manifest.codebook_size.upper
    skeleton = None if dancer is None else Skeleton.from_dict(dancer.manifest.skeleton)
    table = {}
    for name, of_column in columns.items():
        clips = cut_clips(of_column, clip_frames, max(fewest, 2))
        table[name] = set_figures(of_column, clips, reference, size, skeleton)
    return _with_share(table)


def _reference(truth: Truth | None, clip_frames: int) -> Features | None:
    """Features of all ground truth: the held-out side alone is too few clips for a covariance."""
    if truth is None:
        return None
    both = truth.judged if truth.others is truth.judged else [*truth.judged, *truth.others]
    clips = cut_clips(both, clip_frames)
    return clip_features(clips) if len(clips) > 1 else None


def _with_share(table: Table) -> Table:
    """Add how far each column gets from its own chance towards what the truth gains over its chance."""
    if TRUTH not in table:
        return table
    gain = table[TRUTH]["bas_music"] - table[TRUTH]["bas_music_random_phase"]
    for figures in table.values():
        above = figures["bas_music"] - figures["bas_music_random_phase"]
        figures["bas_share"] = above / gain if gain > 0 else math.nan
    return table


def _settings(options: EvaluateOptions) -> dict[str, Any]:
    values = {name: getattr(options, name) for name in EvaluateOptions.__dataclass_fields__}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def format_result(result: dict[str, Any]) -> str:
    """Return the tables of `run_evaluate` as text: a row per figure, a column per dancer."""
    parts = [format_table(name, table) for name, table in result["tables"].items()]
    if "models" in result:
        width = max(len(name) for name in result["models"])
        lines = [f"{name:<{width}}  {value:>9.4g}" for name, value in result["models"].items()]
        parts.append("\n".join(["models on the held-out side", *lines]))
    return "\n\n".join(parts)


def format_table(title: str, table: dict[str, dict[str, float | None]]) -> str:
    """Return one table as text; figures that apply to no column are left out."""
    width = max(len(row[0]) for row in ROWS)
    lines = [f"{title:<{width}}" + "".join(f"{name:>14}" for name in table)]
    for label, key, decimals, factor in ROWS:
        values = [figures.get(key) for figures in table.values()]
        if any(value is not None for value in values):
            cells = ["-" if value is None else f"{value * factor:.{decimals}f}" for value in values]
            lines.append(f"{label:<{width}}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def add_evaluate_command(commands: Any) -> argparse.ArgumentParser:
    """Add ``evaluate`` to the sub-commands of an argument parser; its ``work`` runs it."""
    text = "judge a dancer beside ground truth and three baselines"
    parser: argparse.ArgumentParser = commands.add_parser("evaluate", help=text, description=text)
    default = EvaluateOptions(truth=Path())
    parser.add_argument("--bundle", type=Path, help="the dancer: a bundle's folder or .zip")
    parser.add_argument("--dances", type=Path, help="folder of .npz dances instead, named after their songs")
    parser.add_argument("--data", type=Path, help="data set of `prepare`: ground truth and paired music")
    parser.add_argument("--truth", type=Path, help="folder of .bvh or .npz ground truth instead")
    parser.add_argument("--songs", type=Path, help="folder of songs to dance to")
    parser.add_argument("--checkpoint", type=Path, help="dancer.pt: adds reconstruction and token accuracy")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    for name, kind, purpose in (
        ("clip_seconds", float, "of the clips that features are taken from"),
        ("max_seconds", float, "of each song"),
        ("seed", int, "of the first dance, the others have the next ones, and of the random clips"),
        ("repeats", int, "dances to each piece of music"),
        ("groove", float, "how much the beat counts, 0 to 2, as a share of what the bundle says"),
    ):
        flag, description = "--" + name.replace("_", "-"), f"{purpose} (default: %(default)s)"
        parser.add_argument(flag, type=kind, default=getattr(default, name), help=description)
    parser.set_defaults(work=_work)
    return parser


def _work(arguments: argparse.Namespace) -> None:
    names = EvaluateOptions.__dataclass_fields__
    run_evaluate(EvaluateOptions(**{name: getattr(arguments, name) for name in names}))
