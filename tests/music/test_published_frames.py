from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bailando.errors import ConfigError
from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec
from bailando.music.published_features import LAG_TOKENS, PublishedSpec
from bailando.music.published_frames import (
    CONTEXT_TOKENS,
    PublishedFrameSpec,
    read_published,
)

SONG = Path(__file__).parents[1] / "data/music/panic_on_meadow.ogg"
BASE = FeatureSpec()


def tokens(samples: np.ndarray) -> np.ndarray:
    """What the music transformer is given, (tokens, 11, 8, 55)."""
    frames = FeatureExtractor(BASE).extract(samples)
    extractor = PublishedFrameSpec(BASE).extractor()
    given = [
        extractor.step(samples[3200 * token : 3200 * (token + 1)], frames[8 * token : 8 * token + 8])
        for token in range(len(frames) // 8)
    ]
    return np.array(given).reshape(len(given), CONTEXT_TOKENS, 8, 55)


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    return load_mono(SONG, 24000)[: 24000 * 8]


@pytest.fixture(scope="module")
def heard(song: np.ndarray) -> np.ndarray:
    return tokens(song)


def test_cepstra_agree_with_librosa_two_tokens_later(song: np.ndarray, heard: np.ndarray) -> None:
    librosa = pytest.importorskip("librosa")
    offline = librosa.resample(song, orig_sr=24000, target_sr=30720)
    theirs = librosa.feature.mfcc(y=offline, sr=30720, n_mfcc=20, hop_length=512)
    theirs = np.concatenate([theirs, librosa.feature.delta(theirs, width=3)]).T
    ours, lag = heard[:, -1].reshape(-1, 55), 8 * LAG_TOKENS
    ours, theirs = ours[64:, :40], theirs[64 - lag : len(ours) - lag]
    # The song ends at 12 kHz: the bands above, which are guessed, cost the most.
    for columns, least in ((slice(0, 1), 0.98), (slice(1, 20), 0.85), (slice(20, 40), 0.93)):
        assert np.corrcoef(ours[:, columns].ravel(), theirs[:, columns].ravel())[0, 1] > least


def test_each_token_comes_with_the_ten_before_it(heard: np.ndarray) -> None:
    np.testing.assert_array_equal(heard[20:, :-1], heard[19:-1, 1:])
    np.testing.assert_array_equal(heard[3, 0], heard[0, -1])


def test_rhythm_is_heard(heard: np.ndarray) -> None:
    frames = heard[:, -1].reshape(-1, 55)
    assert frames[:, 52].max() > 1.0
    assert 8 < frames[:, 53].sum() < 40
    assert set(np.unique(frames[:, 54])) == {0.0, 1.0}
    assert frames[120:, 54].all()


def test_nothing_depends_on_the_future(song: np.ndarray, heard: np.ndarray) -> None:
    changed = song.copy()
    changed[20 * 3200 :] = 0.0
    np.testing.assert_array_equal(heard[:20], tokens(changed)[:20])


def test_a_tone_lights_its_own_semitone() -> None:
    tone = np.sin(2 * np.pi * 440.0 * np.arange(24000 * 3) / 24000).astype(np.float32)
    chroma = tokens(tone)[-1, -1, -1, 40:52]
    assert int(chroma.argmax()) == 9
    assert np.sort(chroma)[-2] < 0.3


def test_rubbish_and_silence_give_finite_values() -> None:
    samples = np.zeros(3200 * 6, np.float32)
    samples[3200:3300] = np.nan
    samples[6400:6500] = np.inf
    assert np.isfinite(tokens(samples)).all()


def test_specs_travel_in_a_manifest() -> None:
    for spec in (PublishedFrameSpec(BASE), PublishedSpec(BASE, True)):
        assert read_published(spec.to_dict()) == spec
    assert read_published(BASE.to_dict()) is None


@pytest.mark.parametrize("change", [{"more": 1}, {"base": {"hop_length": 300}}, {"base": 3}])
def test_foreign_specs_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        read_published(PublishedFrameSpec(BASE).to_dict() | change)
