"""The cross-conditional GPT: what each step sees, and the rolling cache."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from contract import CHECKS, StreamUnit, check_steps_equal_offline

from bailando.errors import ConfigError
from bailando.models.gpt import CrossConditionalGPT, GPTConfig

WINDOW = 5
CONFIG = GPTConfig(
    codebook_size=7,
    music_dim=12,
    music_frames=4,
    width=16,
    heads=2,
    base_layers=2,
    head_layers=1,
    window=WINDOW,
    styles=3,
    music_clip=50.0,
)


def build(**changes: object) -> CrossConditionalGPT:
    torch.manual_seed(0)
    model = CrossConditionalGPT(dataclasses.replace(CONFIG, **changes))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


def sequences(steps: int, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(steps)
    codes = torch.randint(0, CONFIG.codebook_size, (2, batch, steps), generator=generator)
    return torch.randn(batch, steps, CONFIG.music_dim, generator=generator), codes[0], codes[1]


def unit(model: CrossConditionalGPT, steps: int) -> StreamUnit:
    style = torch.tensor([1, 2])

    def step(inputs: tuple, state: dict) -> tuple:
        logits, state = model.step(*(x[:, 0] for x in inputs), style, state)
        return tuple(half.unsqueeze(1) for half in logits), state

    return StreamUnit(
        forward=lambda *inputs: model(*inputs, style),
        step=step,
        initial_state=lambda: model.initial_state(2),
        inputs=sequences(steps),
        calls_at_once=False,
        ignored_state=tuple(name for name in model.initial_state(2) if name != "steps_taken"),
    )


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("positions", ["alibi", "rotary"])
def test_distance_positions_keep_the_contract_at_any_length(positions: str, check: str) -> None:
    CHECKS[check](unit(build(positions=positions), 3 * WINDOW))


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_place_positions_step_exactly_within_the_block(positions: str) -> None:
    check_steps_equal_offline(unit(build(positions=positions), WINDOW + 1))


def test_the_cache_is_exact_ten_times_past_its_capacity() -> None:
    check_steps_equal_offline(unit(build(), 10 * WINDOW + 3))


def test_place_positions_refuse_more_than_a_block() -> None:
    with pytest.raises(ConfigError, match="exceed the block"):
        build(positions="learned")(*sequences(WINDOW + 2))


def test_one_layer_sees_exactly_the_window() -> None:
    model = build(base_layers=1, head_layers=1)
    model.blocks[1].attention.output.weight.zero_()
    model.blocks[1].attention.output.bias.zero_()
    music, upper, lower = sequences(12, batch=1)
    music.requires_grad_(True)
    model(music, upper, lower)[0][0, 9].sum().backward()
    seen = music.grad[0].abs().sum(dim=-1) > 0
    assert seen.nonzero().flatten().tolist() == list(range(9 - WINDOW, 10))


@pytest.mark.parametrize("stream", [0, 1, 2])
@pytest.mark.parametrize("half", [0, 1])
def test_both_halves_see_all_three_streams_and_nothing_later(stream: int, half: int) -> None:
    model = build()
    inputs = list(sequences(4))
    reference = model(*inputs)[half]
    changed = inputs[stream].clone()
    changed[:, 2] = changed[:, 2] + 1 if stream == 0 else (changed[:, 2] + 1) % CONFIG.codebook_size
    inputs[stream] = changed
    difference = (model(*inputs)[half] - reference).abs().amax(dim=(0, 2))
    assert difference[:2].max() < 1e-6
    assert difference[2:].min() > 1e-4


def test_the_cache_has_the_layout_of_the_step_graph() -> None:
    state = build().initial_state(2)
    assert list(state) == [
        *(f"{kind}_cache_{layer}" for layer in range(3) for kind in ("key", "value")),
        "steps_taken",
    ]
    assert state["key_cache_0"].shape == state["value_cache_2"].shape == (2, 2, 3, WINDOW + 1, 8)
    assert state["steps_taken"].dtype == torch.int64


def test_each_step_takes_the_slot_of_the_one_that_left_the_window() -> None:
    model, state = build(), build().initial_state(2)
    music, upper, lower = sequences(4 * WINDOW)
    counts = []
    for j in range(4 * WINDOW):
        before = state["key_cache_1"]
        _, state = model.step(music[:, j], upper[:, j], lower[:, j], None, state)
        changed = (state["key_cache_1"] != before).any(dim=(0, 1, 2, 4))
        assert changed.nonzero().flatten().tolist() == [j % (WINDOW + 1)]
        counts.append(state["steps_taken"].tolist())
    assert counts[:WINDOW] == [[j + 1] * 2 for j in range(WINDOW)]
    assert max(counts) == [2 * WINDOW + 1] * 2


def test_a_batch_may_hold_streams_of_different_ages() -> None:
    model = build()
    music, upper, lower = sequences(3)
    state, fresh = model.initial_state(1), model.initial_state(1)
    for j in range(2):
        _, state = model.step(music[:1, j], upper[:1, j], lower[:1, j], None, state)
    joined = {k: torch.cat((v, fresh[k])) for k, v in state.items()}
    both, _ = model.step(music[:, 2], upper[:, 2], lower[:, 2], None, joined)
    alone, _ = model.step(music[1:, 2], upper[1:, 2], lower[1:, 2], None, fresh)
    torch.testing.assert_close(both[0][1:], alone[0])


def test_no_style_means_open() -> None:
    model, inputs = build(), sequences(3)
    torch.testing.assert_close(model(*inputs)[0], model(*inputs, torch.zeros(2, dtype=torch.int64))[0])


def test_the_style_changes_the_dance() -> None:
    model, inputs = build(), sequences(3)
    other = model(*inputs, torch.ones(2, dtype=torch.int64))[0]
    assert float((model(*inputs)[0] - other).abs().max()) > 1e-3


def test_music_is_normalised_per_feature_of_each_frame_and_clipped() -> None:
    model = build(music_clip=5.0)
    model.music_normaliser.set_statistics(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 1.0, 2.0]))
    token = torch.tensor([[2.0, 4.0, 3.0, 100.0, 2.0, 1.0, 1.0, 1.0, 3.0, 1.0, -100.0, 3.0]])
    expected = [2.0, 2.0, 0.0, 5.0, 0.0, -1.0, 0.0, -1.0, 0.0, 0.0, -5.0, 0.0]
    assert model.music_normaliser(token)[0].tolist() == expected


def test_dropout_acts_only_in_training() -> None:
    model, inputs = build(dropout=0.5), sequences(4)
    assert torch.equal(model(*inputs)[0], model(*inputs)[0])
    model.train()
    assert not torch.equal(model(*inputs)[0], model(*inputs)[0])


def test_a_configuration_survives_its_dictionary() -> None:
    assert GPTConfig.from_dict(CONFIG.to_dict()) == CONFIG


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": 29}, "unknown keys"),
        ({"heads": 3}, "multiple"),
        ({"music_frames": 5}, "music_frames"),
        ({"music_lead": 2}, "music_lead"),
        ({"positions": "none"}, "expected one of"),
        ({"dropout": 1.0}, "dropout"),
        ({"music_clip": -1.0}, "music_clip"),
        ({"window": True}, "window is True"),
    ],
)
def test_a_wrong_configuration_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GPTConfig.from_dict({**CONFIG.to_dict(), **change})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="codebook_size"):
        GPTConfig.from_dict({"music_dim": 8})
