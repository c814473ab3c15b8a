"""A beat that somebody gives instead of the tracker."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.tempo import BeatClock, TempoOverride
from bailando.music.features import FeatureSpec, beat_times, write_beat_channels

SPEC = FeatureSpec()


def features(frames: int, bpm: float = 100.0, phase: float = 0.0) -> np.ndarray:
    """Return features whose tracker hears a steady beat."""
    rows = np.zeros((frames, SPEC.frame_dim), np.float32)
    steady = np.ones(frames)
    phases = (phase + np.arange(1, frames + 1) * bpm / 3600) % 1.0
    write_beat_channels(rows, phases, steady * bpm, steady * 0.3)
    return rows


def test_without_a_given_beat_the_tracker_is_believed() -> None:
    rows = features(8)
    assert TempoOverride(SPEC.channel_names).apply(rows, 0) is rows


def test_clock_puts_its_beats_where_it_says() -> None:
    tempo = TempoOverride(SPEC.channel_names)
    tempo.follow(BeatClock(120.0, 0.0, 6.0))
    heard = np.concatenate([tempo.apply(features(8), first) for first in range(0, 240, 8)])
    np.testing.assert_allclose(beat_times(heard, SPEC), np.arange(0.1, 4.0, 0.5), atol=1e-3)


def test_taps_give_tempo_and_phase() -> None:
    tempo = TempoOverride(SPEC.channel_names)
    jitter = np.random.default_rng(0).normal(0, 0.6, 8)
    for beat in range(8):
        tempo.tap(10.0 + 36.0 * beat + jitter[beat])
    heard = np.concatenate([tempo.apply(features(8), first) for first in range(296, 536, 8)])
    times = beat_times(heard, SPEC) + 296 / 60
    expected = (10.0 + 36.0 * np.arange(8, 15)) / 60
    np.testing.assert_allclose(times[: len(expected)], expected[: len(times)], atol=0.04)


def test_fast_taps_count_by_twos_from_the_first_one() -> None:
    tempo = TempoOverride(SPEC.channel_names)
    for tap in range(11):
        tempo.tap(10.0 + 20.0 * tap)
    heard = np.concatenate([tempo.apply(features(8), first) for first in range(216, 456, 8)])
    np.testing.assert_allclose(
        beat_times(heard, SPEC) + 216 / 60, np.arange(250.0, 456.0, 40.0) / 60, atol=1e-3
    )


def test_a_fast_hint_is_the_tempo_the_tracker_counts() -> None:
    tempo = TempoOverride(SPEC.channel_names)
    tempo.hint(174.0)
    row = tempo.apply(features(1, bpm=87.0), 0)[0]
    assert 120.0 * 2.0 ** row[SPEC.channel_names.index("tempo_octave")] == pytest.approx(87.0)


def test_a_pause_begins_new_taps() -> None:
    tempo = TempoOverride(SPEC.channel_names)
    for frame in (0.0, 30.0, 500.0):
        tempo.tap(frame)
    tempo.tap(540.0)
    row = tempo.apply(features(1), 540)[0]
    octave = row[SPEC.channel_names.index("tempo_octave")]
    assert 120.0 * 2.0**octave == pytest.approx(90.0)


@pytest.mark.parametrize("gap", [5.0, 110.0])
def test_taps_at_no_danceable_tempo_change_nothing(gap: float) -> None:
    tempo = TempoOverride(SPEC.channel_names)
    tempo.tap(0.0)
    tempo.tap(gap)
    assert not tempo.active


def test_hint_keeps_the_tempo_and_is_drawn_to_the_phase_the_tracker_hears() -> None:
    tempo = TempoOverride(SPEC.channel_names)
    rows = features(1200, bpm=100.0)
    tempo.apply(rows[:8], 0)
    tempo.hint(101.0)
    heard = np.concatenate([tempo.apply(rows[first : first + 8], first) for first in range(0, 1200, 8)])
    late = beat_times(heard, SPEC)[-6:]
    tracked = beat_times(rows, SPEC)
    assert np.abs(late[:, None] - tracked).min(axis=1).max() < 0.05
    assert np.diff(late).mean() == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("cut", [1, 7, 64])
def test_given_beat_does_not_depend_on_how_features_are_cut(cut: int) -> None:
    rows = features(192, bpm=101.0, phase=0.3)
    whole, parts = (TempoOverride(SPEC.channel_names) for _ in range(2))
    for tempo in (whole, parts):
        tempo.hint(100.0)
    pieces = [parts.apply(rows[first : first + cut], first) for first in range(0, 192, cut)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole.apply(rows, 0))


def test_clear_gives_the_beat_back_to_the_tracker() -> None:
    tempo = TempoOverride(SPEC.channel_names)
    tempo.hint(90.0)
    tempo.clear()
    rows = features(8)
    assert tempo.apply(rows, 0) is rows
