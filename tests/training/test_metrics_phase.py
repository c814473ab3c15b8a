"""Beat-phase locking: what it must see and what it must be blind to."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.training import metrics

BEATS = np.arange(0, 6000, 30)


def test_locking_is_blind_to_a_constant_offset_and_tells_it() -> None:
    late = metrics.phase_lock(BEATS[:-1] + 6, BEATS)
    early = metrics.phase_lock(BEATS[1:] - 6, BEATS)
    assert late.vector_strength == early.vector_strength == pytest.approx(1)
    assert late.preferred_phase == pytest.approx(0.2)
    assert early.preferred_phase == pytest.approx(-0.2)
    assert late.p_value < 0.01


def test_accents_of_another_tempo_do_not_lock() -> None:
    lock = metrics.phase_lock(np.arange(0, 5900, 31.7), BEATS)
    assert lock.vector_strength < 0.1
    assert lock.p_value > 0.05


def test_random_accents_rarely_pass_the_test() -> None:
    generator = np.random.default_rng(0)
    accents = [np.sort(generator.uniform(0, 5900, 180)) for _ in range(40)]
    passed = sum(metrics.phase_lock(times, BEATS, permutations=200).p_value < 0.05 for times in accents)
    assert passed <= 6


def test_steady_accents_that_start_anywhere_do_not_pass_when_pooled() -> None:
    generator = np.random.default_rng(1)
    beats = np.arange(0, 240, 30)
    dances = [(beats[:-1] + generator.uniform(0, 30), beats) for _ in range(30)]
    assert metrics.pooled_phase_lock(dances).vector_strength < 0.3
    assert metrics.pooled_phase_lock(dances).p_value > 0.01


def test_locking_follows_a_song_that_speeds_up() -> None:
    beats = np.cumsum(np.linspace(40, 20, 100))
    lock = metrics.phase_lock(beats[:-1] + 0.25 * np.diff(beats), beats)
    assert lock.preferred_phase == pytest.approx(0.25, abs=1e-6)
    assert lock.vector_strength == pytest.approx(1)


def test_half_a_beat_early_and_late_cancel() -> None:
    lock = metrics.phase_lock(np.arange(0, 5900, 15), BEATS)
    assert lock.vector_strength < 0.01


def test_the_p_value_is_the_same_each_time() -> None:
    accents = np.sort(np.random.default_rng(2).uniform(0, 5900, 50))
    assert metrics.phase_lock(accents, BEATS) == metrics.phase_lock(accents, BEATS)


def test_no_accents_give_no_number_and_no_evidence() -> None:
    lock = metrics.phase_lock(np.zeros(0), BEATS)
    assert np.isnan(lock.vector_strength)
    assert (lock.p_value, lock.accents) == (1.0, 0)
