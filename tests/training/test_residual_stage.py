"""The stage that adds residual codes to trained VQ-VAEs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from bailando.errors import ConfigError, InputError
from bailando.models.vqvae import PoseVQVAE
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.loop import Trainer, load_weights
from bailando.training.reconstruction_limits import reconstruction_limits
from bailando.training.residual_config import ResidualStageConfig
from bailando.training.residual_stage import ResidualStage
from bailando.training.run import (
    export_checkpoint,
    train_actor_critic,
    train_gpt,
    train_residual,
    train_vqvae,
)
from bailando.training.stage_models import load_residual, load_vqvaes
from bailando.training.vqvae_stage import load_models


@pytest.fixture(scope="module")
def longer(tiny_config: TrainConfig) -> TrainConfig:
    """Enough steps for residual codes to be of use."""
    assert tiny_config.residual is not None
    faster = dataclasses.replace(tiny_config.vqvae.optimiser, steps=80, learning_rate=5e-3)
    optimiser = dataclasses.replace(faster, steps=60)
    vqvae = dataclasses.replace(tiny_config.vqvae, optimiser=faster, warmup_steps=40)
    stage = dataclasses.replace(tiny_config.residual, optimiser=optimiser, evaluate_every=60, save_every=30)
    return dataclasses.replace(tiny_config, vqvae=vqvae, residual=stage)


@pytest.fixture(scope="module")
def trained(
    longer: TrainConfig, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Trainer]:
    """A run with VQ-VAEs and residual codes."""
    run = tmp_path_factory.mktemp("run")
    train_vqvae(longer, data_folder, run)
    return run, train_residual(longer, data_folder, run)


def both(run: Path, config: TrainConfig, data_folder: Path) -> tuple[list[PoseVQVAE], list[PoseVQVAE]]:
    dataset = Dataset(data_folder)
    before = load_models(config, dataset, load_weights(run, "vqvae"))
    return list(before), list(load_vqvaes(config, dataset, run))


def test_first_codes_stay_and_decoders_learn(
    trained: tuple[Path, Trainer], longer: TrainConfig, data_folder: Path
) -> None:
    for old, new in zip(*both(trained[0], longer, data_folder), strict=True):
        for part in ("encoder", "codebook"):
            ours, theirs = getattr(new, part).state_dict(), getattr(old, part).state_dict()
            assert all(torch.equal(ours[name], theirs[name]) for name in theirs), part
        assert not torch.equal(new.decoder.layers[0].conv.weight, old.decoder.layers[0].conv.weight)


def test_residual_codes_bring_the_poses_nearer(trained: tuple[Path, Trainer], data_folder: Path) -> None:
    stage = trained[1].stage
    assert isinstance(stage, ResidualStage)
    stage.model.eval()
    with torch.no_grad():
        figures = stage.evaluate()
    assert figures["score"] < 0.9 * figures["coarse_mm"]
    assert figures["upper_residual_1_perplexity"] > 1.5
    assert figures["expected_mm"] != figures["coarse_mm"]
    limits = reconstruction_limits(*stage.halves, stage.kinematics, Dataset(data_folder), stage.residual)
    assert limits["unquantised_mm"] < 0.9 * figures["coarse_mm"]
    for name in ("coarse_mm", "expected_mm"):
        assert limits[name] == figures[name], name


def test_an_interrupted_run_equals_a_whole_one(
    trained: tuple[Path, Trainer], longer: TrainConfig, data_folder: Path, tmp_path: Path
) -> None:
    dataset = Dataset(data_folder)

    def stage() -> ResidualStage:
        return ResidualStage(
            longer, dataset, *load_models(longer, dataset, load_weights(trained[0], "vqvae"))
        )

    Trainer(stage(), tmp_path, longer.seed).run(until=30)
    resumed = Trainer(stage(), tmp_path, longer.seed)
    resumed.run()
    whole = trained[1].stage.model.state_dict()
    for name, value in resumed.stage.model.state_dict().items():
        assert torch.equal(value, whole[name]), name


def test_the_dancer_has_them(trained: tuple[Path, Trainer], longer: TrainConfig, data_folder: Path) -> None:
    from bailando.models.checkpoint import load_checkpoint

    run = trained[0]
    train_gpt(longer, data_folder, run)
    train_actor_critic(longer, data_folder, run)
    residual = load_checkpoint(export_checkpoint(longer, data_folder, run, "tiny")).residual
    assert residual is not None
    dataset = Dataset(data_folder)
    wanted = load_residual(longer, dataset, run, load_vqvaes(longer, dataset, run))
    assert wanted is not None
    for name, value in wanted.state_dict().items():
        assert torch.equal(residual.state_dict()[name], value), name


def test_a_configuration_without_the_stage_leaves_them_out(
    trained: tuple[Path, Trainer], longer: TrainConfig, data_folder: Path
) -> None:
    without = dataclasses.replace(longer, residual=None)
    dataset = Dataset(data_folder)
    plain = load_vqvaes(without, dataset, trained[0])
    assert load_residual(without, dataset, trained[0], plain) is None
    old, _ = both(trained[0], longer, data_folder)
    assert torch.equal(plain[0].decoder.layers[0].conv.weight, old[0].decoder.layers[0].conv.weight)
    with pytest.raises(ConfigError, match="no residual section"):
        train_residual(without, data_folder, trained[0])


def test_vqvaes_come_first(tiny_config: TrainConfig, data_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train that stage first"):
        train_residual(tiny_config, data_folder, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expected_share": 1.0}, "expected_share"),
        ({"expected_share": 0.6, "coarse_share": 0.5}, "together"),
        ({"prediction": -1.0}, "prediction"),
        ({"window_frames": 20}, "multiple of 8"),
    ],
)
def test_a_wrong_configuration_is_refused(tiny_config: TrainConfig, change: dict, message: str) -> None:
    assert isinstance(tiny_config.residual, ResidualStageConfig)
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(tiny_config.residual, **change)
