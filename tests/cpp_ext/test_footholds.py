"""Footholds by themselves; what they do to a dance is tested with the body."""

from __future__ import annotations

import numpy as np
import pytest

from bailando._native import Footholds

RATE = 0.4
ON_THE_FLOOR = np.zeros((4, 3))


def footholds(**changes: float) -> Footholds:
    constants = {
        "on": 0.5,
        "off": 0.3,
        "max_drift_m": 0.16,
        "release_rate": RATE,
        "engage_rate": 0.3,
        "ankle_m": 0.0,
        "root_rate": 0.0,
        "root_return": 0.004,
        "root_range_m": 0.3,
        "swing_clearance_m": 0.0,
        "swing_slow_m": 0.003,
        "swing_fast_m": 0.01,
        "swing_rate": RATE,
    }
    return Footholds(**(constants | changes))


def start(bodies: int = 1) -> np.ndarray:
    return np.tile(Footholds.first_state(), (bodies, 1))


def drifting(frames: int, step_m: float) -> np.ndarray:
    """Feet (1, T, 4, 3) that slide along x."""
    return (ON_THE_FLOOR + step_m * np.arange(frames)[:, None, None] * np.array([1.0, 0, 0]))[None]


def follow(held: Footholds, states: np.ndarray, feet: np.ndarray, contact: float) -> tuple[np.ndarray, ...]:
    return held.follow(states, feet, np.zeros((*feet.shape[:2], 2)), np.full(feet.shape[:3], contact))


def test_a_pinned_foot_stays_where_it_is() -> None:
    feet = drifting(30, 0.002)
    offsets, shifts, _ = follow(footholds(), start(), feet, 1.0)
    np.testing.assert_allclose((feet + offsets)[0, :, :, 0], 0.0, atol=1e-12)
    assert not shifts.any()


def test_an_offset_let_go_dies_out_like_a_critically_damped_spring() -> None:
    held = footholds()
    pinned, _, state = follow(held, start(), drifting(30, 0.002), 1.0)
    first, speed = pinned[0, -1, 0, 0], pinned[0, -1, 0, 0] - pinned[0, -2, 0, 0]
    offsets, *_ = follow(held, state, np.zeros((1, 20, 4, 3)), 0.0)
    frame = np.arange(1, 21)
    expected = (first + (speed + RATE * first) * frame) * np.exp(-RATE * frame)
    np.testing.assert_allclose(offsets[0, :, 0, 0], expected, atol=1e-12)


def test_a_foot_that_is_torn_away_is_held_again_only_when_the_animation_is_back() -> None:
    feet = drifting(120, 0.002)
    offsets, *_ = follow(footholds(), start(), feet, 1.0)
    size = np.abs(offsets[0, :, 0, 0])
    assert 0.15 < size.max() <= 0.16
    torn = int(size.argmax()) + 1
    again = torn + int(np.flatnonzero(np.diff(size[torn:]) > 0)[0])
    assert size[again] < 0.25 * 0.16


def test_a_swinging_foot_rises_to_its_height_and_a_standing_one_does_not() -> None:
    held = footholds(swing_clearance_m=0.07)
    swung, *_ = follow(held, start(), drifting(60, 0.02), 0.0)
    stood, *_ = follow(held, start(), drifting(60, 0.0), 0.0)
    assert swung[0, -1, :, 1] == pytest.approx(0.07, abs=1e-4)
    assert not stood.any()


def test_bodies_do_not_touch_each_other_and_states_are_left_as_they_were() -> None:
    rng, held = np.random.default_rng(0), footholds(root_rate=0.15, swing_clearance_m=0.07)
    feet = rng.normal(0, 0.02, (3, 40, 4, 3)).cumsum(axis=1)
    lows, contacts = rng.uniform(0, 0.02, (3, 40, 2)), rng.uniform(size=(3, 40, 4)).round()
    states = start(3)
    before = states.copy()
    together = held.follow(states, feet, lows, contacts)
    np.testing.assert_array_equal(states, before)
    for body in range(3):
        row = slice(body, body + 1)
        alone = held.follow(states[row], feet[row], lows[row], contacts[row])
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], all_of_them[body])


@pytest.mark.parametrize(
    "shapes",
    [
        ((1, 78), (1, 8, 4, 3), (1, 8, 2), (1, 8, 4)),
        ((2, 79), (1, 8, 4, 3), (1, 8, 2), (1, 8, 4)),
        ((1, 79), (8, 4, 3), (1, 8, 2), (1, 8, 4)),
        ((1, 79), (1, 8, 4, 3), (1, 7, 2), (1, 8, 4)),
        ((1, 79), (1, 8, 4, 3), (1, 8, 2), (1, 8, 2)),
    ],
)
def test_wrong_shapes_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        footholds().follow(*(np.zeros(shape) for shape in shapes))
