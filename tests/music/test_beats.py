"""Accuracy of the beat tracker on sounds whose beats are known."""

from __future__ import annotations

from pathlib import Path

import mir_eval
import numpy as np
import pytest
from click_tracks import RATE, click_track, steady_clicks

from bailando.errors import ConfigError
from bailando.music.audio import load_mono
from bailando.music.beats import BeatSpec, BeatTracker
from bailando.music.features import REFERENCE_BPM, FeatureExtractor, FeatureSpec, beat_times

EXCERPT = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"
SPEC = FeatureSpec()
CONFIDENCE = SPEC.channel_names.index("beat_confidence")
OCTAVE = SPEC.channel_names.index("tempo_octave")


def track(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return beat times (n,), and tempo and confidence of each frame (T,)."""
    features = FeatureExtractor(SPEC).extract(samples)
    return beat_times(features, SPEC), REFERENCE_BPM * 2.0 ** features[:, OCTAVE], features[:, CONFIDENCE]


def signed_offsets_ms(clicks: np.ndarray, beats: np.ndarray) -> np.ndarray:
    nearest = beats[np.abs(beats[None, :] - clicks[:, None]).argmin(axis=1)]
    return 1000 * (nearest - clicks)


@pytest.mark.parametrize("bpm", [70, 85, 100, 120, 128, 140])
def test_steady_clicks_are_tracked_on_time(bpm: float) -> None:
    samples, clicks = steady_clicks(bpm, 24.0)
    beats, tempo, confidence = track(samples)
    settled, clicks = beats[beats > 9.0], clicks[clicks > 9.0]
    assert mir_eval.beat.f_measure(clicks, settled) > 0.95
    assert abs(signed_offsets_ms(clicks[:-1], beats).mean()) < 10.0
    assert tempo[-1] == pytest.approx(bpm, rel=0.01)
    assert confidence[-1] > 0.5


@pytest.mark.parametrize("bpm", [150, 174, 180])
def test_fast_clicks_are_counted_by_twos_without_changing_step(bpm: float) -> None:
    samples, clicks = steady_clicks(bpm, 24.0)
    beats, tempo, confidence = track(samples)
    settled, clicks = beats[beats > 9.0], clicks[clicks > 9.0]
    first, second = (mir_eval.beat.f_measure(half, settled) for half in (clicks[0::2], clicks[1::2]))
    assert max(first, second) > 0.95
    assert min(first, second) == 0.0
    assert tempo[-1] == pytest.approx(bpm / 2, rel=0.01)
    assert confidence[-1] > 0.5


@pytest.mark.parametrize("loud", [0, 1])
def test_by_twos_the_louder_pulse_is_the_beat(loud: int) -> None:
    every, clicks = steady_clicks(150.0, 40.0)
    place = ((np.arange(len(every)) / RATE - clicks[0]) * 150 / 60 + 0.5) // 1
    beats, _, _ = track(np.where(place % 2 == loud, every, 0.3 * every).astype(np.float32))
    settled = beats[beats > 20.0]
    assert mir_eval.beat.f_measure(clicks[loud::2][clicks[loud::2] > 20.0], settled) > 0.95


def test_a_tempo_around_the_limit_does_not_change_the_count() -> None:
    samples, _ = click_track(lambda time: 152 if time < 12 else 146 + 4 * np.sin(time), 40.0)
    _, tempo, _ = track(samples)
    assert tempo[480:].max() < 80.0


def test_beats_are_told_when_they_sound_and_not_later() -> None:
    samples, clicks = steady_clicks(120.0, 20.0)
    offsets = signed_offsets_ms(clicks[20:-1], track(samples)[0])
    assert np.abs(offsets).max() < 15.0


@pytest.mark.parametrize(("before", "after"), [(100, 140), (140, 100), (120, 126)])
def test_a_changed_tempo_is_found_within_six_seconds(before: float, after: float) -> None:
    samples, clicks = click_track(lambda time: before if time < 12 else after, 26.0)
    beats, tempo, _ = track(samples)
    late = clicks[clicks > 18.0]
    assert mir_eval.beat.f_measure(late, beats[beats > 17.9]) > 0.95
    assert tempo[-1] == pytest.approx(after, rel=0.01)


@pytest.mark.parametrize("bpm_per_s", [1.0, -1.0])
def test_a_tempo_ramp_is_followed_without_a_break(bpm_per_s: float) -> None:
    samples, clicks = click_track(lambda time: 105 + bpm_per_s * time, 30.0)
    beats, _, _ = track(samples)
    settled, clicks = beats[beats > 6.0], clicks[clicks > 6.0]
    assert mir_eval.beat.f_measure(clicks, settled) > 0.97
    assert mir_eval.beat.continuity(clicks, settled)[1] > 0.95


def accented(bpm: float, seconds: float, between: float) -> np.ndarray:
    """Clicks at twice the tempo, every second one of which is softer."""
    every, main = steady_clicks(2 * bpm, seconds)[0], steady_clicks(bpm, seconds)[0]
    return between * every + (1 - between) * main


@pytest.mark.parametrize("between", [0.3, 0.5])
def test_the_beat_is_counted_where_people_dance_and_not_twice_as_fast(between: float) -> None:
    _, tempo, _ = track(accented(98.0, 20.0, between))
    assert tempo[600:] == pytest.approx(98.0, rel=0.02)


def test_fast_music_is_counted_steadily_at_one_level() -> None:
    _, tempo, _ = track(accented(87.0, 30.0, 0.6))
    assert tempo[480:] == pytest.approx(87.0, rel=0.02)


def test_each_pulse_is_a_beat_where_that_is_asked_for() -> None:
    samples, clicks = steady_clicks(170.0, 20.0)
    features = FeatureExtractor(SPEC, each_pulse=True).extract(samples)
    channel = {name: number for number, name in enumerate(SPEC.channel_names)}
    assert 2 ** np.median(features[480:, channel["tempo_octave"]]) * 120 == pytest.approx(170, rel=0.02)
    on_beat = features[np.round(clicks[(clicks > 8) & (clicks < 19)] * 60).astype(int), channel["beat_cos"]]
    assert on_beat.min() > 0.6


def test_the_song_excerpt_is_tracked_on_its_grid() -> None:
    samples = load_mono(EXCERPT, RATE)
    grid = 0.0036 + np.arange(40) * 60 / 130.0
    beats, tempo, confidence = track(samples)
    inside = (grid > 4.0) & (grid < len(samples) / RATE)
    assert mir_eval.beat.f_measure(grid[inside], beats[beats > 4.0]) > 0.95
    assert tempo[-1] == pytest.approx(130.0, rel=0.01)
    assert confidence[-1] > 0.6


def test_the_beat_goes_on_through_a_pause() -> None:
    samples, clicks = steady_clicks(120.0, 20.0)
    samples[14 * RATE : 17 * RATE] = 0.0
    beats, _, _ = track(samples)
    pause = clicks[(clicks > 14.0) & (clicks < 17.0)]
    assert np.abs(signed_offsets_ms(pause, beats)).max() < 50.0


def test_silence_has_no_confidence() -> None:
    _, tempo, confidence = track(np.zeros(10 * RATE, dtype=np.float32))
    assert confidence.max() == 0.0
    assert np.all((tempo >= SPEC.min_bpm) & (tempo <= SPEC.max_bpm))


def test_confidence_fades_after_the_music_ends() -> None:
    samples, _ = steady_clicks(120.0, 15.0)
    _, _, confidence = track(np.concatenate([samples, np.zeros(20 * RATE, dtype=np.float32)]))
    assert confidence[15 * 60] > 0.8
    assert confidence[-1] < 0.1


def test_noise_is_less_certain_than_clicks() -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, 15 * RATE).astype(np.float32)
    assert track(noise)[2][-300:].mean() < 0.4 < 0.7 < track(steady_clicks(120.0, 15.0)[0])[2][-300:].mean()


def test_the_scale_of_the_onsets_does_not_matter() -> None:
    tracker = BeatTracker()
    onsets = np.where(np.arange(600) % 30 == 0, 1.0, 0.02)
    quiet, _ = tracker.step(onsets, tracker.initial_state())
    loud, _ = tracker.step(64.0 * onsets, tracker.initial_state())
    np.testing.assert_allclose(loud.phase, quiet.phase, atol=1e-9)


def test_the_belief_stays_a_distribution_over_minutes() -> None:
    tracker = BeatTracker(BeatSpec(tempo_bins=8))
    rng = np.random.default_rng(4)
    beats, state = tracker.step(rng.exponential(1.0, 6000), tracker.initial_state())
    assert state.belief.min() >= 0.0
    assert state.belief.sum() == pytest.approx(1.0)
    assert np.all((beats.phase >= 0) & (beats.phase < 1))


def test_bad_onsets_are_taken_as_none() -> None:
    tracker = BeatTracker()
    bad = np.array([np.nan, np.inf, -np.inf, -5.0])
    _, state = tracker.step(bad, tracker.initial_state())
    _, expected = tracker.step(np.zeros(4), tracker.initial_state())
    np.testing.assert_array_equal(state.belief, expected.belief)


@pytest.mark.parametrize("change", [{"min_bpm": 200.0, "max_bpm": 100.0}, {"tempo_bins": 2}])
def test_impossible_constants_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        BeatSpec(**change)
