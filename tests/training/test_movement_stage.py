"""The stage that learns how fast codes move."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from bailando.errors import ConfigError, InputError
from bailando.models.checkpoint import load_checkpoint
from bailando.training.config import TrainConfig
from bailando.training.config_files import load_config
from bailando.training.dataset import Dataset
from bailando.training.kinematics import PoseKinematics
from bailando.training.loop import Trainer
from bailando.training.movement_stage import MovementStage, paces, spliced
from bailando.training.run import export_checkpoint, train_gpt, train_movement, train_vqvae
from bailando.training.stage_models import load_vqvaes


@pytest.fixture(scope="module")
def longer(tiny_config: TrainConfig) -> TrainConfig:
    """Enough steps for codes to be told apart."""
    assert tiny_config.movement is not None
    faster = dataclasses.replace(tiny_config.vqvae.optimiser, steps=80, learning_rate=5e-3)
    vqvae = dataclasses.replace(tiny_config.vqvae, optimiser=faster, warmup_steps=40)
    optimiser = dataclasses.replace(tiny_config.movement.optimiser, steps=120, learning_rate=1e-2)
    stage = dataclasses.replace(
        tiny_config.movement, stretches=200, optimiser=optimiser, evaluate_every=120, save_every=60
    )
    return dataclasses.replace(tiny_config, vqvae=vqvae, movement=stage)


@pytest.fixture(scope="module")
def trained(
    longer: TrainConfig, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Trainer]:
    run = tmp_path_factory.mktemp("run")
    train_vqvae(longer, data_folder, run)
    return run, train_movement(longer, data_folder, run)


def stage_of(trained: tuple[Path, Trainer]) -> MovementStage:
    stage = trained[1].stage
    assert isinstance(stage, MovementStage)
    return stage


def test_it_explains_most_of_the_speed_of_motion_that_it_never_saw(trained: tuple[Path, Trainer]) -> None:
    assert stage_of(trained).evaluate()["score"] < 0.5


def test_the_codes_themselves_are_told_apart(trained: tuple[Path, Trainer]) -> None:
    """Not only the body before them: with other codes in their place it explains less."""
    stage = stage_of(trained)
    rows, right = torch.arange(len(stage.held_out.body)), stage.evaluate()["score"]
    shuffled = stage.held_out.codes[:, torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
    stage.held_out, kept = stage.held_out._replace(codes=shuffled), stage.held_out
    wrong = stage.evaluate()["score"]
    stage.held_out = kept
    assert wrong > 1.3 * right


def test_a_body_is_told_of_the_token_before_and_a_pace_of_the_codes_after(
    trained: tuple[Path, Trainer],
) -> None:
    stage, codes = stage_of(trained), torch.zeros(2, 1, 6, dtype=torch.long)
    codes[:, 0, 2:] = 1
    other = codes.clone()
    other[:, 0, 4] = 2
    one, two = stage._decode(codes), stage._decode(other)
    assert torch.equal(one.codes, codes[..., 1:])
    assert torch.equal(one.body[:, :4], two.body[:, :4])
    assert torch.equal(one.pace[:, :3], two.pace[:, :3])
    assert not torch.equal(one.pace[:, 3], two.pace[:, 3])
    assert not torch.equal(one.body[:, 4], two.body[:, 4])


def test_an_interrupted_run_equals_a_whole_one(
    trained: tuple[Path, Trainer], longer: TrainConfig, data_folder: Path, tmp_path: Path
) -> None:
    dataset = Dataset(data_folder)
    halves = load_vqvaes(longer, dataset, trained[0])
    Trainer(MovementStage(longer, dataset, halves), tmp_path, longer.seed).run(until=60)
    resumed = Trainer(MovementStage(longer, dataset, halves), tmp_path, longer.seed)
    resumed.run()
    wanted = stage_of(trained).model.state_dict()
    for name, value in resumed.stage.model.state_dict().items():
        assert torch.equal(value, wanted[name]), name


def test_up_and_down_counts_less_than_over_the_floor() -> None:
    """A body that stands otherwise: its pelvis goes 2 cm a frame, up or to the front."""
    upper = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(1, 9, 15)
    still = torch.cat((torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(1, 9, 9), torch.zeros(1, 9, 8)), dim=-1)
    up, forward = still.clone(), still.clone()
    up[..., 54] = 0.9 + 0.02 * torch.arange(9)
    forward[..., 56] = 0.02
    for lower, speed in ((still, 0.0), (up, 0.3 * 0.02), (forward, 0.02)):
        wanted = torch.full((1, 8), speed + 0.002).log()
        torch.testing.assert_close(paces(upper, lower, PoseKinematics()), wanted, rtol=0.0, atol=1e-3)


def test_halves_are_spliced_of_stretches_that_go_on_or_jump() -> None:
    stretches = [torch.stack((torch.arange(10), 100 + torch.arange(10))), torch.full((2, 5), 50)]
    upper, lower = spliced(stretches, 400, 12, torch.Generator().manual_seed(0))
    assert upper.shape == lower.shape == (400, 12)
    assert set(upper.unique().tolist()) == {*range(10), 50}
    assert set(lower.unique().tolist()) == {*range(100, 110), 50}
    ends = (upper[:, :-1] == 9) | (upper[:, :-1] == 50)
    goes_on = (upper[:, 1:] == upper[:, :-1] + 1)[~ends].double().mean()
    assert 0.7 < goes_on < 0.85
    together = (upper == lower - 100) | (upper == lower)
    assert together[:, 0].all()
    assert not together[:, -1].all()


def test_a_dancer_has_it_once_it_has_been_learned(
    trained: tuple[Path, Trainer], longer: TrainConfig, data_folder: Path
) -> None:
    run = trained[0]
    train_gpt(longer, data_folder, run)
    dancer = load_checkpoint(export_checkpoint(longer, data_folder, run, "tiny"))
    assert dancer.movement is not None
    assert longer.movement is not None
    assert dancer.groove == longer.movement.beat
    learned = run / "movement.best.pt"
    learned.rename(run / "kept.pt")
    without = load_checkpoint(export_checkpoint(longer, data_folder, run, "tiny"))
    (run / "kept.pt").rename(learned)
    assert (without.movement, without.groove) == (None, None)


def test_a_configuration_without_the_stage_cannot_run_it(
    longer: TrainConfig, data_folder: Path, trained: tuple[Path, Trainer]
) -> None:
    with pytest.raises(ConfigError, match="no movement section"):
        train_movement(dataclasses.replace(longer, movement=None), data_folder, trained[0])


def test_vqvaes_come_first(longer: TrainConfig, data_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train that stage first"):
        train_movement(longer, data_folder, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beat: {strength: -1, restraint: 0, lead_frames: 0, sure: 1}", "strength"),
        ("beat: {strength: 1, restraint: 0, lead_frames: 0, sure: 0}", "sure"),
        ("beat: {strength: 1, restraint: 0, lead_frames: 90, sure: 1}", "lead_frames"),
        ("stretches: 2", "stretches"),
        ("stretch_tokens: 1", "stretch_tokens"),
        ("grooves: 2", "grooves"),
    ],
)
def test_impossible_settings_are_refused(text: str, message: str, tmp_path: Path) -> None:
    from importlib.resources import files

    lines = (files("bailando.training") / "presets" / "tiny.yaml").read_text().split("movement:")[0]
    path = tmp_path / "mine.yaml"
    path.write_text(f"{lines}movement:\n  optimiser: {{steps: 2, batch_size: 2}}\n  {text}\n")
    with pytest.raises(ConfigError, match=message):
        load_config(path)
