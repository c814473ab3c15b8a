"""Which form of a stage a configuration asks for, and what the earlier stages of a run have made."""

from __future__ import annotations

from pathlib import Path

from bailando.models.presets import PUBLISHED_UPPER_CHANNELS
from bailando.models.vqvae import PoseVQVAE
from bailando.training import root_stage, vqvae_stage
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset, preset_of
from bailando.training.loop import Stage, load_weights
from bailando.training.position_stage import PositionVQVAEStage
from bailando.training.vqvae_stage import VQVAEStage, load_models


def new_vqvae_stage(config: TrainConfig, dataset: Dataset) -> Stage:
    """Return the first stage: on our pose channels, or on positions where the model is the published one."""
    sizes = preset_of(config.model, dataset)
    if sizes.upper.channels == PUBLISHED_UPPER_CHANNELS:
        return PositionVQVAEStage(config, dataset)
    return VQVAEStage(config, dataset)


def load_vqvaes(config: TrainConfig, dataset: Dataset, run_folder: Path) -> tuple[PoseVQVAE, PoseVQVAE]:
    """Return a run's trained VQ-VAEs in evaluation mode, the root branch included if it has been trained.

    Raises
    ------
    InputError
        If they have not been trained.
    """
    upper, lower = load_models(config, dataset, load_weights(run_folder, vqvae_stage.NAME))
    if lower.root_decoder is not None and (run_folder / f"{root_stage.NAME}.best.pt").is_file():
        lower.root_decoder.load_state_dict(load_weights(run_folder, root_stage.NAME))
    return upper, lower
