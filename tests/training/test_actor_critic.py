"""The actor-critic stage: it resumes, it learns, it leaves alone what it should, and its result is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bailando.errors import ConfigError
from bailando.models.checkpoint import load_checkpoint
from bailando.training.actor_critic_config import ActorCriticStageConfig, GrooveWeights
from bailando.training.actor_critic_stage import ActorCriticStage
from bailando.training.assemble import start_codes
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.loop import Trainer, load_weights
from bailando.training.optimiser_config import OptimiserConfig
from bailando.training.rollout import Codes, Movement
from bailando.training.rollout_music import RolloutMusic
from bailando.training.run import (
    data_speed,
    export_checkpoint,
    train_actor_critic,
    train_gpt,
    train_vqvae,
    training_tracks,
)
from bailando.training.vqvae_stage import load_models

OURS = ActorCriticStageConfig(
    optimiser=OptimiserConfig(steps=48, batch_size=24, learning_rate=1e-2, warmup_steps=1),
    rollout_tokens=16,
    minibatches=2,
    passes=2,
    reward="groove",
    groove=GrooveWeights(closeness=0.0, pauses=0.0, swing=1.0),
    half_body_weight=0.0,
    advantage="gae",
    discount=0.8,
    standardise=True,
    clip_ratio=0.2,
    kl_weight=0.01,
    freeze_base=False,
    min_agreement=0.0,
    evaluation_dances=24,
    evaluate_every=12,
    save_every=4,
)


@pytest.fixture(scope="module")
def run_folder(data_folder: Path, tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose first two stages are done."""
    folder = tmp_path_factory.mktemp("run")
    train_vqvae(tiny_config, data_folder, folder)
    train_gpt(tiny_config, data_folder, folder)
    return folder


def stage_of(config: TrainConfig, data_folder: Path, run_folder: Path) -> ActorCriticStage:
    assert config.actor_critic is not None
    dataset = Dataset(data_folder)
    vqvaes = load_models(config, dataset, load_weights(run_folder, "vqvae"))
    return ActorCriticStage(
        config,
        dataset,
        vqvaes,
        load_weights(run_folder, "gpt"),
        training_tracks(config.actor_critic, dataset, []),
        start_codes(dataset, *vqvaes),
        data_speed(dataset),
    )


GROUP = replace(OURS, repeats=6, advantage="group", carry_on=0.5)


@pytest.mark.parametrize("form", ["paper", "gae", "group"])
def test_a_resumed_stage_equals_an_uninterrupted_one_bit_for_bit(
    form: str, data_folder: Path, run_folder: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    ours = {"gae": OURS, "group": GROUP}
    config = tiny_config if form == "paper" else replace(tiny_config, actor_critic=ours[form])
    whole = Trainer(stage_of(config, data_folder, run_folder), tmp_path / "whole", 0)
    whole.run(until=12)
    Trainer(stage_of(config, data_folder, run_folder), tmp_path / "cut", 0).run(until=8)
    resumed = Trainer(stage_of(config, data_folder, run_folder), tmp_path / "cut", 0)
    assert resumed.step == 8
    resumed.run(until=12)
    one, other = whole.stage.model.state_dict(), resumed.stage.model.state_dict()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert any(name.startswith("critic.") for name in one) == (form != "group")
    assert ("last_codes.codes" in one) == (form == "group")


def test_the_published_form_changes_the_head_and_the_critic_only(
    data_folder: Path, run_folder: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    trainer = Trainer(stage_of(tiny_config, data_folder, run_folder), tmp_path, 0)
    before = {name: value.clone() for name, value in trainer.stage.model.state_dict().items()}
    trainer.run(until=4)
    after = trainer.stage.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "gpt.blocks.1.mlp.0.weight" in changed
    assert "critic.blocks.0.mlp.0.weight" in changed
    assert not any(name.startswith(("gpt.blocks.0", "gpt.music", "gpt.stream")) for name in changed)
    assert not any("embedding" in name for name in changed)


@pytest.mark.parametrize("form", [OURS, GROUP], ids=["gae", "group"])
def test_learning_raises_the_reward_on_music_never_danced_to(
    form: ActorCriticStageConfig,
    data_folder: Path,
    run_folder: Path,
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of the codes are slow, the others fast: slow ones come near the beat after some steps."""

    def moved(codes: Codes) -> Movement:
        speed = codes.upper % 2 + codes.lower % 2 - 1.0
        return Movement(torch.zeros(0), speed.repeat_interleave(8, dim=1)[:, 1:])

    def swing(danced: Movement, music: RolloutMusic) -> torch.Tensor:
        on_beat = torch.cos(2 * torch.pi * music.phase).unflatten(1, (-1, 8)).mean(-1)
        return -danced.speed[:, ::8] * on_beat

    optimiser = replace(form.optimiser, steps=96, batch_size=48)
    at_once = replace(form, optimiser=optimiser, discount=0.0)
    stage = stage_of(replace(tiny_config, actor_critic=at_once), data_folder, run_folder)
    monkeypatch.setattr(stage, "_movement", moved)
    monkeypatch.setattr(stage, "_rewards", swing)
    before = stage.evaluate()["reward"]
    Trainer(stage, tmp_path, 0).run()
    after = stage.evaluate()["reward"]
    assert abs(before) < 0.1
    assert after > before + 0.15


def test_dances_carry_on_where_the_last_ones_ended(
    data_folder: Path, run_folder: Path, tiny_config: TrainConfig
) -> None:
    carried = replace(tiny_config, actor_critic=replace(OURS, carry_on=1.0))
    stage = stage_of(carried, data_folder, run_folder)
    assert stage.last_codes is not None
    generator = torch.Generator().manual_seed(4)
    parts = stage._rollout_parts(generator)
    ended = {(int(a[-1]), int(b[-1])) for part in parts for a, b in zip(*part.codes, strict=True)}
    assert {(a, b) for a, b in stage.last_codes.codes.tolist()} == ended
    parts = stage._rollout_parts(generator)
    begun = {(int(a[0]), int(b[0])) for part in parts for a, b in zip(*part.codes, strict=True)}
    assert begun <= ended


def test_the_finished_dancer_has_the_finetuned_weights(
    data_folder: Path, run_folder: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    for name in ("vqvae", "gpt"):
        (tmp_path / f"{name}.best.pt").write_bytes((run_folder / f"{name}.best.pt").read_bytes())
    train_actor_critic(tiny_config, data_folder, tmp_path)
    finetuned = load_weights(tmp_path, "actor_critic")["gpt.upper_head.weight"]
    pretrained = load_weights(tmp_path, "gpt")["upper_head.weight"]
    dancer = load_checkpoint(export_checkpoint(tiny_config, data_folder, tmp_path, "dancer"))
    assert torch.equal(dancer.gpt.upper_head.weight, finetuned)
    assert not torch.equal(finetuned, pretrained)


def test_a_configuration_without_the_stage_is_refused(
    data_folder: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no actor_critic section"):
        train_actor_critic(replace(tiny_config, actor_critic=None), data_folder, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"advantage": "group"}, "repeats must be 2 or more"),
        ({"save_every": 6}, "expected a multiple of minibatches x passes = 4"),
        ({"repeats": 5}, "expected a multiple of repeats 5"),
        ({"advantage": "praise"}, "expected td, gae or group"),
        ({"reward": "applause"}, "expected paper, released or groove"),
        ({"top_p": 0.0}, "top_p is 0.0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(OURS, **changes)  # type: ignore[arg-type]
