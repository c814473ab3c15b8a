"""The sound card's clock against the host's."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.clock import SampleClock

RATE = 48000
BLOCK = 480


def follow(drift_ppm: float, seconds: float, jitter_ns: float = 0.0) -> tuple[int, float, list[int]]:
    """Return the estimate, the true host time of sample 0 by the drifted card, and all estimates."""
    clock, rng = SampleClock(RATE), np.random.default_rng(0)
    origins = []
    true_ns = 0.0
    for block in range(1, int(seconds * 100) + 1):
        arrival_ns = block * BLOCK / (RATE * (1 + drift_ppm * 1e-6)) * 1e9 + 1e9
        clock.observe(
            block * BLOCK, int(arrival_ns + rng.exponential(jitter_ns) if jitter_ns else arrival_ns)
        )
        origins.append(clock.origin_ns)
        true_ns = arrival_ns - block * BLOCK / RATE * 1e9
    return clock.origin_ns, true_ns, origins


def test_first_block_sets_the_origin() -> None:
    clock = SampleClock(RATE)
    clock.observe(BLOCK, 1_010_000_000)
    assert clock.origin_ns == 1_000_000_000


@pytest.mark.parametrize("drift_ppm", [500.0, -500.0])
def test_drift_is_followed_within_six_milliseconds(drift_ppm: float) -> None:
    estimate_ns, true_ns, _ = follow(drift_ppm, 120.0)
    assert abs(true_ns - 1e9) > 50e6
    assert abs(estimate_ns - true_ns) < 6e6


def test_estimate_never_jumps_under_jitter() -> None:
    _, _, origins = follow(0.0, 60.0, jitter_ns=8e6)
    assert np.abs(np.diff(origins)).max() <= 100_000
    assert abs(origins[-1] - 1_000_000_000) < 8e6
