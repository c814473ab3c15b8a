"""Which form of a stage a configuration asks for, and what the earlier stages of a run have made."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from bailando.models.presets import PUBLISHED_UPPER_CHANNELS
from bailando.models.residual import PoseResidual
from bailando.models.vqvae import PoseVQVAE
from bailando.training import residual_stage, root_stage, vqvae_stage
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset, preset_of
from bailando.training.loop import Stage, load_weights
from bailando.training.position_stage import PositionVQVAEStage
from bailando.training.residual_stage import new_residual
from bailando.training.vqvae_stage import VQVAEStage, load_models


def new_vqvae_stage(config: TrainConfig, dataset: Dataset) -> Stage:
    """Return the first stage: on our pose channels, or on positions where the model is the published one."""
    sizes = preset_of(config.model, dataset)
    if sizes.upper.channels == PUBLISHED_UPPER_CHANNELS:
        return PositionVQVAEStage(config, dataset)
    return VQVAEStage(config, dataset)


def load_vqvaes(config: TrainConfig, dataset: Dataset, run_folder: Path) -> tuple[PoseVQVAE, PoseVQVAE]:
    """Return a run's trained VQ-VAEs in evaluation mode, as the last stage that trained a part left it.

    Raises
    ------
    InputError
        If they have not been trained.
    """
    upper, lower = load_models(config, dataset, load_weights(run_folder, vqvae_stage.NAME))
    if lower.root_decoder is not None and (run_folder / f"{root_stage.NAME}.best.pt").is_file():
        lower.root_decoder.load_state_dict(load_weights(run_folder, root_stage.NAME))
    if has_residual(config, run_folder):
        weights = load_weights(run_folder, residual_stage.NAME)
        for name, model in (("upper", upper), ("lower", lower)):
            model.load_state_dict(_part(weights, name))
    return upper, lower


def load_residual(
    config: TrainConfig, dataset: Dataset, run_folder: Path, vqvaes: tuple[PoseVQVAE, PoseVQVAE]
) -> PoseResidual | None:
    """Return the residual codes of a run in evaluation mode, None if none have been trained."""
    if not has_residual(config, run_folder):
        return None
    residual = new_residual(config, dataset, vqvaes)
    residual.load_state_dict(_part(load_weights(run_folder, residual_stage.NAME), "residual"))
    return residual.eval()


def has_residual(config: TrainConfig, run_folder: Path) -> bool:
    """Return whether the configuration has residual codes and the run has trained them."""
    return config.residual is not None and (run_folder / f"{residual_stage.NAME}.best.pt").is_file()


def _part(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
