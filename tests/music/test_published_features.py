from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bailando.errors import ConfigError
from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec
from bailando.music.published_features import (
    BEAT,
    LAG_TOKENS,
    ONSET,
    RHYTHM,
    TEMPOGRAM,
    PublishedFeatures,
    PublishedSpec,
)

SONG = Path(__file__).parents[1] / "data/music/panic_on_meadow.ogg"
BASE = FeatureSpec()


def features(samples: np.ndarray, *, rhythm: bool) -> np.ndarray:
    frames = FeatureExtractor(BASE).extract(samples)
    published = PublishedFeatures(PublishedSpec(BASE, rhythm))
    return np.array(
        [
            published.step(samples[3200 * token : 3200 * (token + 1)], frames[8 * token : 8 * token + 8])
            for token in range(len(frames) // 8)
        ]
    )


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    return load_mono(SONG, 24000)[: 24000 * 12]


def test_cepstra_agree_with_librosa_two_windows_later(song: np.ndarray) -> None:
    librosa = pytest.importorskip("librosa")
    ours = features(song, rhythm=False)
    offline = librosa.resample(song, orig_sr=24000, target_sr=3840)
    theirs = librosa.feature.mfcc(y=offline, sr=3840, n_mfcc=20, hop_length=512)
    theirs = np.concatenate([theirs, librosa.feature.delta(theirs, width=3)]).T
    ours, theirs = ours[8:, :40], theirs[8 - LAG_TOKENS : len(ours) - LAG_TOKENS]
    assert np.corrcoef(ours[:, 0], theirs[:, 0])[0, 1] > 0.99
    for columns in (slice(1, 20), slice(20, 40)):
        error = np.sqrt(np.mean((ours - theirs)[:, columns] ** 2))
        assert error < 0.3 * theirs[:, columns].std()


def test_rhythm_columns_are_silent_unless_asked_for(song: np.ndarray) -> None:
    silent, computed = features(song, rhythm=False), features(song, rhythm=True)
    assert not silent[:, RHYTHM].any()
    np.testing.assert_array_equal(silent[:, :52], computed[:, :52])
    assert 4 < computed[:, BEAT].sum() < 40
    assert computed[:, ONSET].max() > 1.0
    np.testing.assert_allclose(computed[20:, TEMPOGRAM].max(axis=1), 1.0, atol=1e-6)


def test_nothing_depends_on_the_future(song: np.ndarray) -> None:
    changed = song.copy()
    changed[20 * 3200 :] = 0.0
    np.testing.assert_array_equal(features(song, rhythm=True)[:20], features(changed, rhythm=True)[:20])


def test_a_tone_lights_its_own_semitone() -> None:
    tone = np.sin(2 * np.pi * 440.0 * np.arange(24000 * 3) / 24000).astype(np.float32)
    chroma = features(tone, rhythm=False)[-1, 40:52]
    assert int(chroma.argmax()) == 9
    assert np.sort(chroma)[-2] < 0.3


def test_rubbish_and_silence_give_finite_values() -> None:
    samples = np.zeros(3200 * 6, np.float32)
    samples[3200:3300] = np.nan
    samples[6400:6500] = np.inf
    assert np.isfinite(features(samples, rhythm=True)).all()


def test_spec_travels_in_a_manifest() -> None:
    spec = PublishedSpec(BASE, True)
    assert PublishedSpec.read(spec.to_dict()) == spec
    assert PublishedSpec.read(BASE.to_dict()) is None


@pytest.mark.parametrize(
    "change", [{"kind": "other"}, {"more": 1}, {"rhythm": 1}, {"base": {"hop_length": 300}}, {"base": 3}]
)
def test_foreign_specs_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        PublishedSpec.read(PublishedSpec(BASE).to_dict() | change)
