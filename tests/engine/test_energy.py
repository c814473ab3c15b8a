"""The slow mean about which movements are scaled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bailando.engine.energy import EnergyState, ease_energy, scale_energy


def poses(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(frames, 90)).astype(np.float32), random.normal(size=(frames, 62)).astype(
        np.float32
    )


@pytest.mark.parametrize("energy", [1.0, 0.5])
def test_mean_follows_the_dance_with_two_seconds_whatever_the_chunks(energy: float) -> None:
    upper, lower = poses(64)
    gain = 1.0 - math.exp(-1.0 / 120.0)
    mean = upper[0].astype(np.float64)
    for frame in upper:
        mean += gain * (frame - mean)
    for length in (8, 16, 64):
        state = EnergyState()
        for start in range(0, 64, length):
            chunk = slice(start, start + length)
            eased = ease_energy(energy, state, length)
            _, _, state = scale_energy(upper[chunk], lower[chunk], eased, state)
        np.testing.assert_allclose(state.upper, mean, atol=1e-6)


def test_energy_scales_about_the_mean_of_each_frame() -> None:
    upper, lower = poses(8)
    before = EnergyState(np.zeros(90, np.float32), np.zeros(62, np.float32), 0.5)
    scaled, _, _ = scale_energy(upper, lower, np.full((8, 1), 0.5, np.float32), before)
    gain = 1.0 - math.exp(-1.0 / 120.0)
    first_mean = gain * upper[0]
    np.testing.assert_allclose(scaled[0], first_mean + 0.5 * (upper[0] - first_mean), atol=1e-6)
