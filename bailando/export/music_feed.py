"""Music for validation, calibration and comparison: real features, from a file or a synthetic song."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bailando.errors import ExportError
from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec

_BPMS = (92.0, 124.0, 168.0)
_CHORD_HZ = (110.0, 138.6, 164.8, 220.0)
_SECTION_S = 8.0


def synthetic_song(seconds: float, sample_rate_hz: int, seed: int = 0) -> NDArray[np.float32]:
    """Return drums and chords at changing tempi, mono, (n,), within ±1; the same for the same seed.

    Sections of eight seconds differ in tempo; kick on each beat, noise between beats, a decaying chord
    on each fourth beat, and a silent last second in each third section.
    """
    random = np.random.default_rng(seed)
    sections = []
    for index in range(int(np.ceil(seconds / _SECTION_S))):
        section = _section(_BPMS[index % len(_BPMS)], sample_rate_hz, random)
        if index % 3 == 2:
            section[-sample_rate_hz:] = 0.0
        sections.append(section)
    song = np.concatenate(sections)[: int(seconds * sample_rate_hz)]
    return (song / max(1e-6, float(np.abs(song).max()))).astype(np.float32)


def _section(bpm: float, rate: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Eight seconds at one tempo."""
    time_s = np.arange(int(_SECTION_S * rate)) / rate
    beats = time_s * bpm / 60.0
    since_beat_s = (beats % 1.0) * 60.0 / bpm
    since_half_s = ((beats + 0.5) % 1.0) * 60.0 / bpm
    since_bar_s = (beats % 4.0) * 60.0 / bpm
    kick = np.sin(2 * np.pi * 60.0 * since_beat_s) * np.exp(-since_beat_s / 0.08)
    hat = random.standard_normal(len(time_s)) * np.exp(-since_half_s / 0.02) * 0.3
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in _CHORD_HZ) * np.exp(-since_bar_s / 0.6) * 0.15
    return np.asarray(kick + hat + chord)


def song_samples(spec: FeatureSpec, seconds: float, path: str | Path | None = None) -> NDArray[np.float32]:
    """Return the first seconds of a file, or so much of `synthetic_song`, mono, (n,)."""
    if path is None:
        return synthetic_song(seconds, spec.sample_rate_hz)
    return load_mono(path, spec.sample_rate_hz)[: int(seconds * spec.sample_rate_hz)]


def music_tokens(
    spec: FeatureSpec, frames_per_token: int, count: int, batch: int, path: str | Path | None = None
) -> NDArray[np.float32]:
    """Return `count` music tokens for each of `batch` dancers.

    Parameters
    ----------
    spec : FeatureSpec
        Definition of the features.
    frames_per_token : int
        Feature frames concatenated in one token.
    count, batch : int
        How many tokens; each dancer hears another part of the song.
    path : str or Path, optional
        Audio file; without one `synthetic_song` is heard.

    Returns
    -------
    ndarray, (count, batch, frames_per_token * F), float32

    Raises
    ------
    ExportError
        If the file is shorter than half of the tokens asked for; a shorter one is repeated.
    """
    seconds = count * frames_per_token / spec.frame_rate_hz
    frames = FeatureExtractor(spec).extract(song_samples(spec, seconds + 1.0, path))
    available = len(frames) // frames_per_token
    if available * 2 < count:
        raise ExportError(f"{path} gives {available} music tokens, {count} are needed: use a longer song")
    tokens = frames[: available * frames_per_token].reshape(available, -1)
    starts = np.arange(batch) * max(1, available // batch)
    heard = (np.arange(count)[:, None] + starts[None, :]) % available
    return np.asarray(tokens[heard], dtype=np.float32)
