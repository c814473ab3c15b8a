"""The actor-critic stage: it resumes, it learns, it leaves alone what it should, and its result is used."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bailando.errors import ConfigError
from bailando.models.checkpoint import load_checkpoint
from bailando.training.actor_critic_config import ActorCriticStageConfig, GrooveWeights
from bailando.training.actor_critic_stage import ActorCriticStage, Rollout
from bailando.training.assemble import start_codes
from bailando.training.code_values import code_values
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.loop import Trainer, load_weights
from bailando.training.optimiser_config import OptimiserConfig
from bailando.training.rollout import Codes, Sampling, roll_out
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
    advantage="expected",
    kl_weight=0.1,
    restraint=0.1,
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


GROUP = replace(
    OURS, repeats=6, advantage="group", discount=0.8, standardise=True, clip_ratio=0.2, kl_weight=0.01
)


PRICED = replace(
    OURS,
    optimiser=replace(OURS.optimiser, steps=96),
    restraint=0.0,
    sharpness=1.4,
    dearest=2.0,
    seams=2.0,
    carry_on=0.5,
)
HELD = replace(PRICED, hold_speed=0.1)


@pytest.mark.parametrize("form", ["paper", "group", "expected", "held"])
def test_a_resumed_stage_equals_an_uninterrupted_one_bit_for_bit(
    form: str, data_folder: Path, run_folder: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    ours = {"group": GROUP, "expected": OURS, "held": HELD}
    config = tiny_config if form == "paper" else replace(tiny_config, actor_critic=ours[form])
    whole = Trainer(stage_of(config, data_folder, run_folder), tmp_path / "whole", 0)
    whole.run(until=12)
    Trainer(stage_of(config, data_folder, run_folder), tmp_path / "cut", 0).run(until=8)
    resumed = Trainer(stage_of(config, data_folder, run_folder), tmp_path / "cut", 0)
    assert resumed.step == 8
    resumed.run(until=12)
    one, other = whole.stage.model.state_dict(), resumed.stage.model.state_dict()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert any(name.startswith("critic.") for name in one) == (form == "paper")
    assert ("prices.nats" in one and one["prices.nats"].abs().max() > 0.0) == (form == "held")
    assert ("restraint.cost" in one and one["restraint.cost"] != 0.0) == (form == "held")


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


def held_out_value(stage: ActorCriticStage) -> float:
    """Return the mean worth of the codes drawn to held-out music."""
    assert stage.speeds is not None
    generator = torch.Generator().manual_seed(5)
    music = stage.held_out_tracks.draw(24, 1, generator)
    start = torch.zeros(24, dtype=torch.int64), torch.zeros(24, dtype=torch.int64)
    codes, _ = roll_out(stage.gpt, music.tokens, music.style, start, Sampling(), generator)
    values = code_values(stage.speeds, music.phase)[:, :, 1:]
    drawn = torch.stack([half[:, 1:-1, None] for half in codes])
    return values.gather(-1, drawn).mean().item()


@pytest.mark.parametrize("form", [OURS, PRICED], ids=["unpriced", "priced"])
def test_learning_raises_the_reward_on_music_never_danced_to(
    form: ActorCriticStageConfig,
    data_folder: Path,
    run_folder: Path,
    tiny_config: TrainConfig,
    tmp_path: Path,
) -> None:
    """Half of the codes are slow, the others fast: slow ones come near the beat after some steps."""
    stage = stage_of(replace(tiny_config, actor_critic=form), data_folder, run_folder)
    slow = torch.arange(16)[None, :, None] % 2 == 0
    stage.speeds = torch.where(slow, -1.0, 1.0).expand(2, 16, 8)
    before = held_out_value(stage)
    Trainer(stage, tmp_path, 0).run()
    after = held_out_value(stage)
    assert abs(before) < 0.1
    assert after > before + 0.15


def test_the_policy_to_learn_is_the_sharpened_reference_times_values_less_prices_and_seams(
    data_folder: Path, run_folder: Path, tiny_config: TrainConfig
) -> None:
    stage = stage_of(replace(tiny_config, actor_critic=PRICED), data_folder, run_folder)
    assert stage.prices is not None
    assert stage.jumps is not None
    generator = torch.Generator().manual_seed(3)
    reference = torch.log_softmax(torch.randn(2, 3, 5, 16, generator=generator), dim=-1)
    values = torch.randn(2, 3, 5, 16, generator=generator)
    stage.prices.nats.copy_(torch.randn(2, 16, generator=generator))
    stage.jumps = torch.rand(16, 16, generator=generator)
    lower = torch.randint(16, (3, 6), generator=generator)
    empty = torch.zeros(0)
    rollout = Rollout(
        RolloutMusic(*[empty] * 4), Codes(empty, lower), empty, reference, torch.zeros(3, 5), values
    )
    weighed = reference.exp() ** 1.4 * (values / PRICED.kl_weight - stage.prices.nats[:, None, None]).exp()
    weighed[1] = weighed[1] * torch.exp(-2.0 * stage.jumps[lower[:, :5]])
    wished = (weighed / weighed.sum(-1, keepdim=True))[:, :, :-1]
    torch.testing.assert_close(stage._best_policy(rollout).exp(), wished)


@pytest.mark.parametrize("times_too_fast", [0.5, 2.0])
def test_movement_costs_more_after_dances_faster_than_the_data(
    times_too_fast: float, data_folder: Path, run_folder: Path, tiny_config: TrainConfig
) -> None:
    stage = stage_of(replace(tiny_config, actor_critic=HELD), data_folder, run_folder)
    assert stage.speeds is not None
    before = stage._rollout_parts(torch.Generator().manual_seed(4))
    speed = torch.cat([stage._movement(part.codes).speed for part in before])
    stage.restraint.cost.zero_()
    stage.data_speed = float(speed.mean()) / times_too_fast
    stage._rollout_parts(torch.Generator().manual_seed(5))
    cost = float(stage.restraint.cost)
    assert cost == pytest.approx(0.1 * math.log(times_too_fast), rel=0.3)
    stage.restraint.cost.zero_()
    music, codes = before[0].music, before[0].codes
    free = stage._values(stage.speeds, music, codes)
    stage.restraint.cost.fill_(cost)
    held = stage._values(stage.speeds, music, codes)
    mean_speed = stage.speeds.mean(dim=-1)[:, None, None, :]
    torch.testing.assert_close(held[:, :, :-1], (free - cost * mean_speed)[:, :, :-1])


def test_dances_carry_on_where_the_last_ones_ended(
    data_folder: Path, run_folder: Path, tiny_config: TrainConfig
) -> None:
    stage = stage_of(
        replace(tiny_config, actor_critic=replace(PRICED, carry_on=1.0)), data_folder, run_folder
    )
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
        ({"kl_weight": 0.0}, "divides by kl_weight"),
        ({"reward": "applause"}, "expected paper, released or groove"),
        ({"top_p": 0.0}, "top_p is 0.0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(OURS, **changes)  # type: ignore[arg-type]
