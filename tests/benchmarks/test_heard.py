"""Moments of a song in a recording of it that a sound server held up."""

from __future__ import annotations

import numpy as np
import pytest
from heard import find_moments

RATE_HZ = 8000
MOMENTS_S = np.array([0.1, 1.0, 2.0, 3.0, 4.9])


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(5 * RATE_HZ).astype(np.float32)


def test_moments_are_found_where_the_sound_was_held_up(song: np.ndarray) -> None:
    pause = np.zeros(round(0.08 * RATE_HZ), np.float32)
    lead = np.zeros(RATE_HZ, np.float32)
    recording = 0.3 * np.concatenate(
        [lead, song[: round(1.5 * RATE_HZ)], pause, song[round(1.5 * RATE_HZ) :]]
    )
    found = find_moments(song, recording, MOMENTS_S, MOMENTS_S + 1.03, RATE_HZ)
    assert found == pytest.approx(MOMENTS_S + 1.0 + 0.08 * (MOMENTS_S > 1.5), abs=1 / RATE_HZ)


def test_a_moment_in_a_hole_is_not_found(song: np.ndarray) -> None:
    recording = song.copy()
    recording[round(1.85 * RATE_HZ) : round(2.15 * RATE_HZ)] = 0.0
    found = find_moments(song, recording, MOMENTS_S, MOMENTS_S, RATE_HZ)
    assert np.flatnonzero(np.isnan(found)).tolist() == [2]


def test_nothing_is_found_in_other_sound_or_outside_of_the_recording(song: np.ndarray) -> None:
    other = np.random.default_rng(1).standard_normal(len(song)).astype(np.float32)
    assert np.isnan(find_moments(song, other, MOMENTS_S, MOMENTS_S, RATE_HZ)).all()
    assert np.isnan(find_moments(song, song, MOMENTS_S, MOMENTS_S - 20.0, RATE_HZ)).all()
    assert np.isnan(find_moments(np.zeros_like(song), song, MOMENTS_S, MOMENTS_S, RATE_HZ)).all()
