"""The stages by name: open the data set, train, write into the run folder."""

from __future__ import annotations

from pathlib import Path

from bailando.training import vqvae_stage
from bailando.training.assemble import assemble
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.gpt_stage import GPTStage
from bailando.training.loop import Trainer, load_weights
from bailando.training.vqvae_stage import VQVAEStage, load_models

CHECKPOINT_NAME = "dancer.pt"


def train_vqvae(config: TrainConfig, data_folder: Path, run_folder: Path) -> Trainer:
    """Train the pose VQ-VAEs, from their last checkpoint if there is one."""
    trainer = Trainer(VQVAEStage(config, Dataset(data_folder)), run_folder, config.seed)
    trainer.run()
    return trainer


def train_gpt(config: TrainConfig, data_folder: Path, run_folder: Path) -> Trainer:
    """Train the GPT on the codes of the run's VQ-VAEs, from its last checkpoint if there is one.

    Raises
    ------
    InputError
        If the VQ-VAEs have not been trained.
    """
    dataset = Dataset(data_folder)
    upper, lower = load_models(config, dataset, load_weights(run_folder, vqvae_stage.NAME))
    trainer = Trainer(GPTStage(config, dataset, upper, lower), run_folder, config.seed)
    trainer.run()
    return trainer


def export_checkpoint(config: TrainConfig, data_folder: Path, run_folder: Path, name: str) -> Path:
    """Write ``dancer.pt`` into the run folder from the stages' best weights, and return its path."""
    output = run_folder / CHECKPOINT_NAME
    assemble(config, Dataset(data_folder), run_folder, output, name)
    return output
