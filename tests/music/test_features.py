"""The feature extractor: streaming contract, causality, robustness and its definition."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click_tracks import RATE, steady_clicks
from contract import (
    StreamUnit,
    check_declared_lookahead,
    check_interleaved_sessions,
    check_snapshot_and_restore,
    check_steps_equal_offline,
)

from bailando.errors import ConfigError
from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec, FeatureState

EXCERPT = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"
EXTRACTOR = FeatureExtractor()
SPEC = EXTRACTOR.spec


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    return load_mono(EXCERPT, RATE)


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """A state as the flat dictionary of arrays that the contract's checks take."""
    arrays = {}
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        if dataclasses.is_dataclass(part):
            arrays |= flat(part, f"{prefix}{field.name}.")
        else:
            arrays[prefix + field.name] = part
    return arrays


def unflat(template: Any, arrays: dict[str, Any], prefix: str = "") -> Any:
    values = {}
    for field in dataclasses.fields(template):
        part = getattr(template, field.name)
        nested = dataclasses.is_dataclass(part)
        key = prefix + field.name
        values[field.name] = unflat(part, arrays, f"{key}.") if nested else arrays[key]
    return type(template)(**values)


def feature_unit(samples: np.ndarray) -> StreamUnit:
    def step(arrays: tuple[Any, ...], state: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        features, after = EXTRACTOR.step(arrays[0][0], unflat(EXTRACTOR.initial_state(), state))
        return (features[None],), flat(after)

    hops = samples[: len(samples) // SPEC.hop_length * SPEC.hop_length].reshape(1, -1, SPEC.hop_length)
    return StreamUnit(
        forward=lambda hops: (EXTRACTOR.extract(hops.ravel())[None],),
        step=step,
        initial_state=lambda: flat(EXTRACTOR.initial_state()),
        inputs=(hops,),
        tolerance=0.0,
    )


def test_steps_equal_offline_bit_for_bit(song: np.ndarray) -> None:
    # 5 s are a hundred times the window, the longest buffer.
    check_steps_equal_offline(feature_unit(song[: 5 * RATE]))


def test_large_and_odd_chunks_equal_offline_bit_for_bit(song: np.ndarray) -> None:
    hops = song[: len(song) // 400 * 400].reshape(-1, 400)
    state, parts = EXTRACTOR.initial_state(), []
    for chunk in np.split(hops, [1, 1, 8, 15, 527, 530]):
        features, state = EXTRACTOR.step(chunk, state)
        parts.append(features)
    assert np.array_equal(np.concatenate(parts), EXTRACTOR.extract(song))


def test_interleaved_sessions_do_not_disturb_each_other(song: np.ndarray) -> None:
    check_interleaved_sessions(feature_unit(song[: 2 * RATE]))


def test_a_snapshot_continues_as_the_original(song: np.ndarray) -> None:
    check_snapshot_and_restore(feature_unit(song[: 3 * RATE]))


def test_nothing_depends_on_the_future(song: np.ndarray) -> None:
    check_declared_lookahead(feature_unit(song[: RATE // 2]))


def test_a_changed_future_does_not_change_the_past(song: np.ndarray) -> None:
    changed = song.copy()
    changed[6 * RATE :] = np.random.default_rng(5).normal(0, 0.3, len(song) - 6 * RATE)
    first, second = EXTRACTOR.extract(song), EXTRACTOR.extract(changed)
    assert np.array_equal(first[: 6 * 60], second[: 6 * 60])
    assert np.any(first[6 * 60] != second[6 * 60])


def test_a_copied_state_shares_no_memory(song: np.ndarray) -> None:
    _, state = EXTRACTOR.step(song[:4000].reshape(-1, 400), EXTRACTOR.initial_state())
    copied = flat(state.copy())
    for name, value in flat(state).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, copied[name])
            assert not np.shares_memory(value, copied[name]), name


def hostile_signals() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 0.2, 4 * RATE).astype(np.float32)
    holes = noise.copy()
    holes[rng.integers(0, len(holes), 500)] = np.nan
    holes[rng.integers(0, len(holes), 500)] = np.inf
    return {
        "silence": np.zeros_like(noise),
        "constant": np.full_like(noise, 0.9),
        "clipped": np.sign(noise),
        "huge": noise * np.float32(1e30),
        "tiny": noise * np.float32(1e-20),
        "nan": np.full_like(noise, np.nan),
        "holes": holes,
        "bursts": np.where(np.arange(len(noise)) // 5000 % 2, noise, 0).astype(np.float32),
        "integers": (noise * 32767).astype(np.float32),
    }


@pytest.mark.parametrize("name", sorted(hostile_signals()))
def test_features_are_finite_and_bounded_for(name: str) -> None:
    features = EXTRACTOR.extract(hostile_signals()[name])
    assert features.dtype == np.float32
    assert np.all(np.isfinite(features))
    assert np.abs(features).max() <= 2.0


def test_nan_counts_as_silence(song: np.ndarray) -> None:
    silent, broken = song[: 2 * RATE].copy(), song[: 2 * RATE].copy()
    silent[1000:2000] = 0.0
    broken[1000:2000] = np.nan
    assert np.array_equal(EXTRACTOR.extract(silent), EXTRACTOR.extract(broken))


def test_the_recording_level_hardly_matters(song: np.ndarray) -> None:
    loud, quiet = EXTRACTOR.extract(song), EXTRACTOR.extract(song / 10)
    np.testing.assert_allclose(quiet[120:], loud[120:], atol=0.03)


def test_a_rise_of_level_within_the_song_shows(song: np.ndarray) -> None:
    level = SPEC.channel_names.index("level")
    risen = song.copy()
    risen[: 8 * RATE] *= 0.1
    features = EXTRACTOR.extract(risen)[:, level]
    assert features[8 * 60 : 8 * 60 + 30].mean() > features[7 * 60 : 8 * 60].mean() + 0.2


def test_onset_peaks_within_two_frames_of_a_click() -> None:
    samples, clicks = steady_clicks(120.0, 6.0)
    onset = EXTRACTOR.extract(samples)[:, SPEC.channel_names.index("onset")]
    for click in clicks[2:-1]:
        frame = int(click * 60)
        window = onset[frame - 5 : frame + 10]
        assert 0 <= int(np.argmax(window)) - 5 <= 2


def test_brightness_rises_with_pitch() -> None:
    time = np.arange(RATE) / RATE
    column = SPEC.channel_names.index("brightness")
    low, high = (EXTRACTOR.extract(np.sin(2 * np.pi * hz * time))[-1, column] for hz in (200, 4000))
    assert high > low + 0.3


def test_mel_bands_peak_where_the_tone_is() -> None:
    time = np.arange(RATE) / RATE
    bands = [
        int(np.argmax(EXTRACTOR.extract(np.sin(2 * np.pi * hz * time))[-1, :40])) for hz in (100, 1000, 7000)
    ]
    assert bands[0] < 3 < bands[1] < 20 < bands[2]


def test_channels_are_named_and_counted() -> None:
    names = SPEC.channel_names
    assert len(set(names)) == len(names) == SPEC.frame_dim == 51
    assert names[0] == "mel_0"
    assert names[40:44] == ("onset", "onset_low", "onset_mid", "onset_high")
    assert names[46:] == ("beat_sin", "beat_cos", "tempo_octave", "beat_confidence", "beat_pulse")
    assert EXTRACTOR.extract(np.zeros(4000)).shape == (10, 51)


def test_less_than_a_hop_gives_no_frame() -> None:
    assert EXTRACTOR.extract(np.zeros(399)).shape == (0, 51)
    state = EXTRACTOR.initial_state()
    features, after = EXTRACTOR.step(np.zeros((0, 400)), state)
    assert features.shape == (0, 51)
    assert isinstance(after, FeatureState)


def test_hops_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(n, 400\)"):
        EXTRACTOR.step(np.zeros((8, 512)), EXTRACTOR.initial_state())


def test_the_definition_survives_a_manifest() -> None:
    spec = FeatureSpec(n_mels=32, max_hz=8000)
    assert FeatureSpec.from_dict(spec.to_dict()) == spec
    assert FeatureExtractor(spec).extract(np.zeros(4000)).shape == (10, spec.frame_dim)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_mel": 40}, "unknown keys"),
        ({"n_mels": "forty"}, "n_mels is 'forty'"),
        ({"n_mels": True}, "n_mels is True"),
        ({"version": 2}, "feature version 2"),
        ({"n_fft": 100}, "hop_length 400, n_fft 100"),
        ({"max_hz": 20000.0}, "mel range"),
        ({"min_bpm": 300.0}, "tempo range"),
        ({"n_mels": 2}, "n_mels 2"),
    ],
)
def test_a_wrong_definition_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FeatureSpec.from_dict(values)
