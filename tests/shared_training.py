"""What each process of a shared training does in the tests; started by ``torchrun``.

Trains the stages on its share of the batches, whole and interrupted, and writes what it has learned.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from bailando.models.codebook import Codebook
from bailando.models.vqvae import PoseVQVAE
from bailando.training.actor_critic_stage import ActorCriticStage
from bailando.training.assemble import start_codes
from bailando.training.config import TrainConfig
from bailando.training.config_files import load_config
from bailando.training.dataset import Dataset
from bailando.training.distributed import my_share, process_count, process_group, rank
from bailando.training.gpt_stage import GPTStage
from bailando.training.loop import Stage, Trainer
from bailando.training.movement_stage import MovementStage
from bailando.training.residual_stage import ResidualStage
from bailando.training.run import data_speed, training_tracks
from bailando.training.vqvae_stage import VQVAEStage

STEPS = 3
STAGES = ("vqvae", "residual", "gpt", "actor_critic", "movement")


def shared_config() -> TrainConfig:
    """Tiny, quantised from step 1 on; no dropout, whose masks differ between processes."""
    config = load_config("tiny")
    optimiser = replace(config.vqvae.optimiser, steps=STEPS)
    vqvae = replace(config.vqvae, optimiser=optimiser, warmup_steps=1)
    gpt = replace(config.gpt, optimiser=replace(config.gpt.optimiser, steps=STEPS), dropout=0.0)
    assert config.actor_critic is not None
    whole_rollouts = replace(config.actor_critic.optimiser, steps=2 * config.actor_critic.minibatches)
    assert config.residual is not None
    optimiser = replace(config.residual.optimiser, steps=STEPS)
    finer = replace(config.residual, optimiser=optimiser, restart_fraction=0.0)
    stage = replace(config.actor_critic, optimiser=whole_rollouts, standardise=True)
    assert config.movement is not None
    critic = replace(config.movement, optimiser=replace(config.movement.optimiser, steps=STEPS))
    return replace(config, vqvae=vqvae, residual=finer, gpt=gpt, actor_critic=stage, movement=critic)


def new_stage(name: str, data_folder: Path) -> Stage:
    """The stage; later ones are on codes of untrained but filled VQ-VAEs, alike everywhere."""
    config, dataset = shared_config(), Dataset(data_folder)
    vqvae = VQVAEStage(config, dataset)
    if name == "vqvae":
        return vqvae
    for model in (vqvae.upper, vqvae.lower):
        model.eval()
        model.codebook.fill(torch.randn(model.codebook.vectors.shape, generator=torch.manual_seed(1)))
    if name == "residual":
        return _residual(config, dataset, vqvae)
    if name == "movement":
        return MovementStage(config, dataset, (vqvae.upper, vqvae.lower))
    gpt = GPTStage(config, dataset, vqvae.upper, vqvae.lower)
    return gpt if name == "gpt" else _actor_critic(config, dataset, (vqvae.upper, vqvae.lower), gpt)


def _residual(config: TrainConfig, dataset: Dataset, vqvae: VQVAEStage) -> Stage:
    """The residual codes, their predictor without dropout, whose masks differ between processes.

    The books are filled and none restarts: the swingers' legs are still, and which of many equal codes is
    used would be up to rounding.
    """
    stage = ResidualStage(config, dataset, vqvae.upper, vqvae.lower)
    stage.residual.predictor.dropout.p = 0.0
    generator = torch.manual_seed(2)
    for half in stage.residual.halves:
        for book in half.codebooks:
            book.fill(torch.randn(book.vectors.shape, generator=generator))
    return stage


def _actor_critic(
    config: TrainConfig, dataset: Dataset, vqvaes: tuple[PoseVQVAE, PoseVQVAE], gpt: GPTStage
) -> Stage:
    """The third stage, from an untrained GPT, in the published form: with a critic."""
    assert config.actor_critic is not None
    return ActorCriticStage(
        config,
        dataset,
        vqvaes,
        gpt.model.state_dict(),
        training_tracks(config.actor_critic, dataset, []),
        start_codes(dataset, *vqvaes),
        data_speed(dataset),
    )


def train(
    name: str, data_folder: Path, run_folder: Path, until: int | None = None
) -> dict[str, torch.Tensor]:
    """Train a stage; return its weights, and the gradients of the last step."""
    trainer = Trainer(new_stage(name, data_folder), run_folder, seed=0)
    trainer.run(until)
    model = trainer.stage.model
    gradients = {f"{key}.grad": p.grad for key, p in model.named_parameters() if p.grad is not None}
    return {**model.state_dict(), **gradients}


def learn_codes() -> dict[str, torch.Tensor]:
    """A codebook's buffers after ten batches, this process having seen its share; rare codes restart."""
    torch.manual_seed(rank())
    codebook = Codebook(16, 8, decay=0.8, restart_below=2.0)
    drawn = torch.Generator().manual_seed(2)
    for _ in range(10):
        codebook(my_share(torch.randn(8, 8, 8, generator=drawn)))
    return codebook.state_dict()


def main(data_folder: Path, output: Path) -> None:
    """Write ``<stage>.<rank>.pt`` and ``<stage>.resumed.<rank>.pt``."""
    with process_group():
        if process_count() != 2:
            raise SystemExit(f"{process_count()} processes, expected 2")
        torch.save(learn_codes(), output / f"codebook.{rank()}.pt")
        for name in STAGES:
            torch.save(train(name, data_folder, output / "whole"), output / f"{name}.{rank()}.pt")
            train(name, data_folder, output / "cut", until=2)
            resumed = train(name, data_folder, output / "cut")
            torch.save(resumed, output / f"{name}.resumed.{rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
