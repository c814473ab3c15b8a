"""Beats against the pauses of a received motion."""

from __future__ import annotations

import numpy as np
import pytest
from end_to_end import beat_offsets, nearest_ms


def test_the_nearest_pause_before_a_beat_has_a_negative_offset() -> None:
    offsets = nearest_ms(np.array([1.0, 2.0]), np.array([0.9, 1.3, 2.05]))
    assert offsets.tolist() == pytest.approx([-100.0, 50.0])


def test_a_dance_that_pauses_late_is_told_by_how_much() -> None:
    times_s = np.arange(1800) / 60.0
    late_s, period_s = 0.05, 0.5
    joints = np.zeros((1800, 24, 3))
    joints[:, :, 0] = np.sin(np.pi / period_s * (times_s - 0.003))[:, None]  # pauses at 0.253 + n / 2
    beats_s = 0.253 + period_s * np.arange(58)
    arrival_ns = np.round(1e9 * (7.0 + times_s + late_s)).astype(np.int64)
    found = beat_offsets(beats_s, arrival_ns, joints, base_ns=7_000_000_000)
    assert found["signed_median_ms"] == pytest.approx(50.0, abs=9.0)
    assert found["within_100_ms"] == 1.0
    assert found["within_100_ms_at_random_phases"] == pytest.approx(0.4, abs=0.1)
