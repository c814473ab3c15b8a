"""Drawing codes from logits."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.sampling import (
    SamplingConfig,
    code_probabilities,
    generator_state,
    new_generator,
    restore_generator,
    sample_code,
)
from bailando.errors import ConfigError

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))


def test_temperature_one_is_the_softmax() -> None:
    np.testing.assert_allclose(code_probabilities(LOGITS, SamplingConfig()), [0.1, 0.4, 0.2, 0.3], rtol=1e-6)


def test_temperature_half_squares_the_odds() -> None:
    squares = np.array([0.1, 0.4, 0.2, 0.3]) ** 2
    got = code_probabilities(LOGITS, SamplingConfig(temperature=0.5))
    np.testing.assert_allclose(got, squares / squares.sum(), rtol=1e-5)


def test_temperature_zero_is_greedy() -> None:
    generator = new_generator(0)
    assert [sample_code(LOGITS, SamplingConfig(temperature=0.0), generator) for _ in range(20)] == [1] * 20


def test_top_k_keeps_the_k_likeliest_codes() -> None:
    got = code_probabilities(LOGITS, SamplingConfig(top_k=2))
    np.testing.assert_allclose(got, [0, 4 / 7, 0, 3 / 7], rtol=1e-6)


@pytest.mark.parametrize(("top_p", "kept"), [(0.3, [1]), (0.6, [1, 3]), (0.75, [1, 2, 3])])
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p: float, kept: list[int]) -> None:
    got = code_probabilities(LOGITS, SamplingConfig(top_p=top_p))
    assert np.flatnonzero(got).tolist() == kept
    assert got.sum() == pytest.approx(1.0)


def test_draws_follow_the_distribution() -> None:
    generator = new_generator(3)
    draws = [sample_code(LOGITS, SamplingConfig(), generator) for _ in range(4000)]
    np.testing.assert_allclose(np.bincount(draws, minlength=4) / 4000, [0.1, 0.4, 0.2, 0.3], atol=0.03)


def test_nan_logits_are_impossible_codes() -> None:
    generator = new_generator(0)
    logits = np.array([np.nan, 0.0, np.nan, np.nan], np.float32)
    assert [sample_code(logits, SamplingConfig(), generator) for _ in range(20)] == [1] * 20


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_logits_without_any_possible_code_give_none(value: float) -> None:
    logits = np.full(4, value, np.float32)
    assert sample_code(logits, SamplingConfig(), new_generator(0)) is None


def test_infinite_logit_is_certain() -> None:
    logits = np.array([0.0, 3e38, np.inf, 5.0], np.float32)
    assert sample_code(logits, SamplingConfig(top_k=1), new_generator(0)) in (1, 2)


def test_every_draw_advances_the_generator_alike() -> None:
    states = []
    for logits, config in [
        (LOGITS, SamplingConfig()),
        (LOGITS, SamplingConfig(temperature=0.0)),
        (np.full(4, np.nan, np.float32), SamplingConfig()),
    ]:
        generator = new_generator(5)
        sample_code(logits, config, generator)
        states.append(generator.random())
    assert states[0] == states[1] == states[2]


def test_generator_goes_on_from_its_state() -> None:
    generator = new_generator(9)
    generator.random(7)
    state = generator_state(generator)
    expected = generator.random(50)
    np.testing.assert_array_equal(restore_generator(state).random(50), expected)
    np.testing.assert_array_equal(restore_generator(state).random(50), expected)


@pytest.mark.parametrize(
    "values",
    [{"temperature": -0.1}, {"temperature": float("nan")}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.1}],
)
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SamplingConfig(**values)  # type: ignore[arg-type]


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed is -1"):
        new_generator(-1)
