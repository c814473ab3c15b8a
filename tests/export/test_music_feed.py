from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from bailando.errors import ExportError
from bailando.export.music_feed import music_tokens, synthetic_song
from bailando.music.features import FeatureExtractor, FeatureSpec

SPEC = FeatureSpec(n_mels=8)


def test_synthetic_song_is_loud_bounded_and_repeatable() -> None:
    song = synthetic_song(10.0, 24000)
    assert song.shape == (240_000,)
    assert np.abs(song).max() == 1.0
    np.testing.assert_array_equal(song, synthetic_song(10.0, 24000))


def test_tokens_are_stacked_frames_and_dancers_hear_different_parts() -> None:
    tokens = music_tokens(SPEC, 8, 20, 2)
    assert tokens.shape == (20, 2, 8 * SPEC.frame_dim)
    seconds = 20 * 8 / 60
    frames = FeatureExtractor(SPEC).extract(synthetic_song(seconds + 1.0, SPEC.sample_rate_hz))
    np.testing.assert_array_equal(tokens[3, 0], frames[24:32].ravel())
    assert (tokens[:, 0] != tokens[:, 1]).any()


def test_song_from_a_file_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    sf.write(path, 0.5 * synthetic_song(4.0, 24000, seed=5), 24000)
    tokens = music_tokens(SPEC, 8, 10, 1, path)
    assert tokens.shape == (10, 1, 8 * SPEC.frame_dim)
    assert not np.array_equal(tokens, music_tokens(SPEC, 8, 10, 1))


def test_song_that_is_far_too_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    sf.write(path, np.zeros(24000, np.float32), 24000)
    with pytest.raises(ExportError, match="use a longer song"):
        music_tokens(SPEC, 8, 100, 1, path)
