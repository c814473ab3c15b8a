"""The stages' results put together into the one checkpoint that `bailando-export` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from bailando.errors import InputError
from bailando.models.checkpoint import DancerCheckpoint, Provenance, save_checkpoint
from bailando.models.code_movement import CodeMovement
from bailando.models.vqvae import PoseVQVAE
from bailando.training import actor_critic_stage, gpt_stage, movement_stage
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.loop import load_weights
from bailando.training.pairing import joint_speed
from bailando.training.representation import half_poses
from bailando.training.stage_models import load_residual, load_vqvaes

_START_WINDOW_FRAMES = 64
_START_CODES = 48


def assemble(
    config: TrainConfig, dataset: Dataset, run_folder: Path, output: Path, name: str
) -> DancerCheckpoint:
    """Write the dancer checkpoint of a run.

    Parameters
    ----------
    config, dataset, run_folder
        What was trained, on what, where.
    output
        The ``.pt`` file.
    name
        Of the dancer.

    Returns
    -------
    DancerCheckpoint
        What was written.

    Raises
    ------
    InputError
        If a stage has not been trained.
    """
    upper, lower = load_vqvaes(config, dataset, run_folder)
    gpt = gpt_stage.new_gpt(config, dataset)
    gpt.load_state_dict(_gpt_weights(run_folder))
    movement = _movement(config, run_folder, (upper, lower))
    checkpoint = DancerCheckpoint(
        upper_vqvae=upper,
        lower_vqvae=lower,
        gpt=gpt.eval(),
        features=dataset.index["features"],
        skeleton=dataset.index["skeleton"],
        styles=dataset.styles,
        style_shares=style_shares(dataset),
        start_codes=start_codes(dataset, upper, lower),
        provenance=provenance(dataset, config, name),
        residual=load_residual(config, dataset, run_folder, (upper, lower)),
        movement=movement,
        groove=config.movement.beat if config.movement and movement else None,
    )
    save_checkpoint(output, checkpoint)
    return checkpoint


def _movement(
    config: TrainConfig, run_folder: Path, halves: tuple[PoseVQVAE, PoseVQVAE]
) -> CodeMovement | None:
    """Return what the run has learned of how fast codes move; None if that stage has not run."""
    if config.movement is None:
        return None
    try:
        weights = load_weights(run_folder, movement_stage.NAME)
    except InputError:
        return None
    model = CodeMovement(movement_stage.new_movement_config(*halves))
    model.load_state_dict(weights)
    return model.eval()


def _gpt_weights(run_folder: Path) -> dict[str, torch.Tensor]:
    """Return the GPT's weights: the finetuned ones if that stage has run."""
    try:
        weights = load_weights(run_folder, actor_critic_stage.NAME)
    except InputError:
        return load_weights(run_folder, gpt_stage.NAME)
    return {name.removeprefix("gpt."): value for name, value in weights.items() if name.startswith("gpt.")}


def style_shares(dataset: Dataset) -> tuple[float, ...]:
    """Return the share of each style in the training motion, in the order of the styles, summing to 1."""
    frames = dict.fromkeys(dataset.styles, 0)
    for segment in dataset.of("train"):
        frames[segment.style] += segment.frames
    whole = sum(frames.values())
    return tuple(count / whole for count in frames.values())


@torch.no_grad()
def start_codes(dataset: Dataset, upper: PoseVQVAE, lower: PoseVQVAE) -> tuple[tuple[int, int], ...]:
    """Return code pairs of the calmest moments of the training dances, calmest first.

    Each is encoded as the first token of a window, as it will be decoded: with nothing before it.
    """
    frames = upper.config.frames_per_code
    calm: list[tuple[float, Any, int]] = []
    for segment in dataset.of("train"):
        speed = joint_speed(dataset.positions(segment))
        starts = range(0, segment.frames - _START_WINDOW_FRAMES + 1, frames)
        calm += [(float(speed[start : start + 2 * frames].mean()), segment, start) for start in starts]
    if not calm:
        raise InputError(f"no training motion has {_START_WINDOW_FRAMES} frames: give longer motion")
    pairs: dict[tuple[int, int], None] = {}
    for _, segment, start in sorted(calm, key=lambda moment: moment[0]):
        window = slice(start, start + _START_WINDOW_FRAMES)
        codes = [
            int(model.encode(torch.from_numpy(np.array(half[:1, window])))[0, 0])
            for model, half in zip((upper, lower), half_poses(dataset, segment, upper), strict=True)
        ]
        pairs[codes[0], codes[1]] = None
        if len(pairs) == _START_CODES:
            break
    return tuple(pairs)


def provenance(dataset: Dataset, config: TrainConfig, name: str) -> Provenance:
    """Return what the checkpoint says of itself, from the data set's index."""
    danced = [segment for segment in dataset.of("train") if not segment.is_other_speed]
    minutes = sum(segment.frames for segment in danced) / 3600
    songs = [song for song in dataset.index["songs"].values() if song["split"] == "train"]
    return Provenance(
        name=name,
        description=(
            f"Model sizes '{config.model}', trained on {minutes:.1f} minutes of motion, {len(songs)} songs. "
            "Nobody danced to these songs: they were warped onto the beats of the motion."
        ),
        licence="MIT",
        data=tuple(
            {key: source[key] for key in ("name", "licence", "credit")}
            for source in dataset.index["sources"].values()
        ),
    )
