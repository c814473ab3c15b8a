from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from swings import SWING_FRAMES, swinging, write_clicks

from bailando.errors import InputError
from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec
from bailando.training.config import PairingConfig
from bailando.training.pairing import dance_beats, extend_grid, pair_segment, song_grid, warp
from bailando.training.songs import Song, analyse_song, find_songs

BEATS = np.arange(15.0, 200.0, 30.0)
CONFIG = PairingConfig(draws=2, cold_draws=1, preroll_frames=64)


def test_beats_of_a_swing_are_its_turning_points() -> None:
    beats = dance_beats(swinging(600).positions, CONFIG)
    inner = beats[(beats > 60) & (beats < 540)]
    turning_points = SWING_FRAMES / 4 + SWING_FRAMES / 2 * np.round((inner - SWING_FRAMES / 4) / 30)
    assert len(inner) == 16
    np.testing.assert_allclose(inner, turning_points, atol=2)


def test_motion_without_accents_gets_a_plain_grid() -> None:
    still = swinging(240, amplitude=0.0).positions
    np.testing.assert_array_equal(np.diff(dance_beats(still, CONFIG)), 30.0)


def test_a_grid_goes_on_at_its_own_interval() -> None:
    grid = extend_grid(np.array([10.0, 20.0, 30.0]), -5.0, 45.0)
    np.testing.assert_allclose(grid, np.arange(-10.0, 51.0, 10.0))


@pytest.mark.parametrize(("dance_s", "count", "ratio"), [(0.5, 11, 1.0), (0.26, 21, 0.96), (1.05, 6, 0.95)])
def test_a_song_is_taken_at_the_octave_that_changes_it_least(
    dance_s: float, count: int, ratio: float
) -> None:
    chosen = song_grid(np.arange(11) * 0.5, dance_s, CONFIG)
    assert chosen is not None
    assert len(chosen[0]) == count
    assert chosen[1] == pytest.approx(ratio, abs=0.01)


def test_a_song_that_would_change_too_much_is_not_taken() -> None:
    assert song_grid(np.arange(11) * 0.5, 0.5, PairingConfig(min_ratio=0.7, max_ratio=1.3)) is not None
    assert song_grid(np.arange(11) * 0.5, 0.36, PairingConfig(min_ratio=0.75, max_ratio=1.3)) is None


def test_warped_clicks_fall_on_the_given_times() -> None:
    rate = 24000
    song = np.zeros(rate * 6, np.float32)
    song_s = np.arange(0.5, 5.5, 0.5)
    song[(song_s * rate).astype(int)] = 1.0
    dance_s = np.cumsum([0.3, 0.44, 0.4, 0.47, 0.42, 0.45, 0.39, 0.46, 0.43, 0.44])
    warped = warp(song, rate, dance_s, song_s, rate * 4)
    for beat in dance_s[1:-1]:
        near = slice(int((beat - 0.1) * rate), int((beat + 0.1) * rate))
        found = near.start + int(np.argmax(np.abs(warped[near])))
        assert found == pytest.approx(beat * rate, abs=0.002 * rate)


def test_a_tone_keeps_its_shape_when_read_faster() -> None:
    rate = 24000
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    faster = warp(tone, rate, np.array([0.0, 0.8]), np.array([0.0, 1.0]), int(0.8 * rate))
    wanted = np.sin(2 * np.pi * 1250 * np.arange(len(faster)) / rate)
    np.testing.assert_allclose(faster[1000:-1000], wanted[1000:-1000], atol=0.01)


@pytest.fixture(scope="module")
def songs(folders: tuple[Path, Path]) -> tuple[Song, ...]:
    return tuple(analyse_song(path) for path in find_songs([folders[1]]))


def test_beats_of_a_click_track_are_found(songs: tuple[Song, ...]) -> None:
    beats = np.array(songs[0].beats_s)
    assert songs[0].bpm == pytest.approx(125, rel=0.05)
    offsets = (beats[4:-2] - 0.25 + 0.24) % 0.48 - 0.24
    assert np.abs(offsets).max() < 0.04


def test_a_fast_song_has_a_beat_on_every_second_pulse_to_which_the_tracker_counts(tmp_path: Path) -> None:
    write_clicks(tmp_path / "fast.wav", 0.375, 24.0, 0)
    song = analyse_song(tmp_path / "fast.wav")
    assert song.bpm == pytest.approx(80, rel=0.03)
    beats = np.array(song.beats_s)
    np.testing.assert_allclose(np.diff(beats[4:-2]), 0.75, atol=0.04)
    assert song.agreement > 0.8
    features = FeatureExtractor(FeatureSpec()).extract(load_mono(song.path, 24000))
    on_beat = features[np.round(beats[12:-2] * 60).astype(int), FeatureSpec().channel_names.index("beat_cos")]
    assert on_beat.mean() > 0.8


def test_each_pulse_of_fast_music_is_a_beat_of_pairs_that_say_so(tmp_path: Path) -> None:
    write_clicks(tmp_path / "fast.wav", 0.375, 24.0, 0)
    song = analyse_song(tmp_path / "fast.wav", each_pulse=True)
    assert song.bpm == pytest.approx(160, rel=0.03)
    assert song.agreement > 0.8
    fast_dance = np.arange(10.0, 1180.0, 22.5)
    by_pulses = replace(CONFIG, each_pulse=True)
    _, draws = pair_segment(fast_dance, 1180, [song], by_pulses, np.random.default_rng(0))
    assert min(draw["agreement"] for draw in draws[by_pulses.cold_draws :]) > 0.8
    _, draws = pair_segment(fast_dance, 1180, [song], CONFIG, np.random.default_rng(0))
    assert max(draw["agreement"] for draw in draws) < 0.5


def test_song_beats_fall_on_dance_beats(songs: tuple[Song, ...]) -> None:
    beats = dance_beats(swinging(600).positions, CONFIG)
    features, draws = pair_segment(beats, 600, songs, CONFIG, np.random.default_rng(0))
    onset = features[:, CONFIG.preroll_frames :, FeatureSpec().channel_names.index("onset")].astype(float)
    for heard, draw in zip(onset, draws, strict=True):
        beats = np.array([round(beat) for beat in draw["beats"] if 60 < beat < 540])
        on_beat = np.max([heard[beats + shift] for shift in (-1, 0, 1)], axis=0).mean()
        off_beat = np.max([heard[beats + 15 + shift] for shift in (-1, 0, 1)], axis=0).mean()
        assert on_beat > 4 * off_beat


def test_the_same_seed_draws_the_same_music(songs: tuple[Song, ...]) -> None:
    first = pair_segment(BEATS, 200, songs, CONFIG, np.random.default_rng(3))
    second = pair_segment(BEATS, 200, songs, CONFIG, np.random.default_rng(3))
    other = pair_segment(BEATS, 200, songs, CONFIG, np.random.default_rng(4))
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert not np.array_equal(first[0], other[0])


def test_a_cold_draw_hears_nothing_before_the_motion(songs: tuple[Song, ...]) -> None:
    features, draws = pair_segment(BEATS, 200, songs, CONFIG, np.random.default_rng(0))
    assert [draw["preroll_frames"] for draw in draws] == [0, 64]
    assert not features[0, :64].any()
    assert features[1, :64].any()


def test_songs_that_do_not_fit_are_an_error(songs: tuple[Song, ...]) -> None:
    config = PairingConfig(min_ratio=0.1, max_ratio=0.2)
    with pytest.raises(InputError, match="no song fits"):
        pair_segment(BEATS, 200, songs, config, np.random.default_rng(0))
