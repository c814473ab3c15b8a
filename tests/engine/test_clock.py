"""The sound card's clock against the host's."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.clock import SampleClock

RATE = 48000
NS = 1_000_000_000
START_NS = 5 * NS


def card_times_ns(seconds: float, ppm: np.ndarray, block: int) -> np.ndarray:
    """Return the host time at the end of each block of a card whose drift changes evenly through `ppm`."""
    count = int(seconds * RATE / block)
    drift = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(ppm)), ppm)
    return START_NS + np.cumsum(block / RATE * 1e9 * (1 + drift * 1e-6))


def follow(times_ns: np.ndarray, block: int, jitter_ns: float = 0.0) -> tuple[SampleClock, np.ndarray]:
    """Return the clock after all blocks, and by how much it was wrong at each of them, ns."""
    clock = SampleClock(RATE)
    late_ns = np.random.default_rng(0).exponential(jitter_ns, len(times_ns)) if jitter_ns else 0.0
    errors = np.empty(len(times_ns))
    seen = np.round(times_ns + late_ns).astype(np.int64).tolist()
    true = np.round(times_ns).astype(np.int64).tolist()
    for index, (seen_ns, true_ns) in enumerate(zip(seen, true, strict=True)):
        samples = (index + 1) * block
        clock.observe(samples, seen_ns)
        errors[index] = clock.origin_ns + samples * NS // RATE - true_ns
    return clock, errors


def test_first_block_sets_the_origin() -> None:
    clock = SampleClock(RATE)
    clock.observe(480, 1_010_000_000)
    assert clock.origin_ns == 1_000_000_000
    assert clock.slewed_ns == 0


@pytest.mark.parametrize("ppm", [500.0, -500.0])
def test_eight_hours_of_drift_keep_the_offset_within_five_milliseconds(ppm: float) -> None:
    block = 4800
    clock, errors = follow(card_times_ns(8 * 3600.0, np.array([ppm, ppm]), block), block, jitter_ns=2e6)
    assert np.abs(errors).max() < 5e6
    assert np.abs(errors[len(errors) // 100 :]).max() < 2e6
    assert clock.drift_ppm == pytest.approx(ppm, abs=20.0)
    assert clock.slewed_ns == pytest.approx(8 * 3600 * NS * ppm * 1e-6, rel=0.01)


def test_drift_that_wanders_is_followed() -> None:
    ppm = np.array([0.0, 300.0, -300.0, 100.0])
    _, errors = follow(card_times_ns(3600.0, ppm, 480), 480, jitter_ns=2e6)
    assert np.abs(errors).max() < 5e6


def test_estimate_never_jumps_under_jitter() -> None:
    block = 480
    _, errors = follow(card_times_ns(60.0, np.zeros(2), block), block, jitter_ns=8e6)
    assert np.abs(np.diff(errors)).max() <= 601_000
    assert np.abs(np.diff(errors[600:])).max() <= 101_000
    assert np.abs(errors[500:]).max() < 2e6


def test_first_blocks_that_come_in_a_burst_are_made_good_within_seconds() -> None:
    block = 480
    times = card_times_ns(20.0, np.zeros(2), block)
    late = times.copy()
    late[:10] = np.maximum(late[:10], late[9] + 60e6)
    clock = SampleClock(RATE)
    errors = []
    for index, (seen, true) in enumerate(zip(late.tolist(), times.tolist(), strict=True)):
        clock.observe((index + 1) * block, round(seen))
        errors.append(clock.origin_ns + (index + 1) * block * NS // RATE - true)
    assert errors[0] > 100e6
    assert abs(errors[1200]) < 2e6
    assert abs(clock.drift_ppm) < 50


def test_samples_lost_unnoticed_are_walked_after_not_jumped_after() -> None:
    block = 480
    times = card_times_ns(60.0, np.zeros(2), block)
    times[3000:] += 40e6
    _, errors = follow(times, block)
    assert np.abs(np.diff(np.delete(errors, 3000))).max() <= 40e6 + 101_000
    assert np.abs(np.diff(errors[3001:])).max() <= 101_000
    assert abs(errors[-1]) < 1e6
