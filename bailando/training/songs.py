"""Songs on disk and their beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.music.audio import load_mono
from bailando.music.features import REFERENCE_BPM, FeatureExtractor, FeatureSpec

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3"}
_TIGHTNESS = 400.0
_SETTLING_FRAMES = 480
_LISTEN_FRAMES = 60


@dataclass(frozen=True)
class Song:
    """A song and its beats, found by looking at the whole of it.

    Parameters
    ----------
    name, path
        Stem of the file, and the file.
    duration_s, bpm
        Length and median tempo.
    beats_s
        Times of the beats, ascending.
    agreement
        How far the causal tracker's phase stands still on these beats: 1 always, 0 no relation.
    """

    name: str
    path: Path
    duration_s: float
    bpm: float
    beats_s: tuple[float, ...]
    agreement: float


def find_songs(folders: Sequence[Path]) -> list[Path]:
    """List the audio files of the folders.

    Raises
    ------
    InputError
        If a folder holds none, or two songs have the same name.
    """
    paths: list[Path] = []
    for folder in folders:
        found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise InputError(f"{folder} holds no song: give a folder of {sorted(SUFFIXES)} files")
        paths += found
    names = [path.stem for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"songs come twice, such as {twice[0]}: rename one")
    return paths


def analyse_song(path: Path, *, each_pulse: bool = False) -> Song:
    """Find the beats of a song.

    The tempo is the causal beat tracker's median; dynamic programming over the onsets of the whole
    song (`librosa.beat.beat_track`) then places the beats. Both use the features that the model is
    given, so that "on the beat" means the same to the pairs and to the dancer. Where the tracker counts
    pulses by twos, every second one is a beat, those to which the tracker counts; with `each_pulse` it
    never does.
    """
    import librosa

    spec = FeatureSpec()
    samples = load_mono(path, spec.sample_rate_hz)
    features, by_twos = _listen(FeatureExtractor(spec, each_pulse=each_pulse), samples)
    channel = {name: number for number, name in enumerate(spec.channel_names)}
    settled = features[len(features) // 8 :, channel["tempo_octave"]]
    bpm = REFERENCE_BPM * 2 ** float(np.median(settled)) if len(settled) else REFERENCE_BPM
    bpm = 2 * bpm if by_twos else bpm
    onsets = features[:, channel["onset"]] + features[:, channel["onset_low"]]
    duration_s = len(samples) / spec.sample_rate_hz
    if not onsets.any():
        return Song(path.stem, path, duration_s, 0.0, (), 0.0)
    _, beats = librosa.beat.beat_track(
        onset_envelope=onsets,
        sr=spec.frame_rate_hz,
        hop_length=1,
        bpm=bpm,
        tightness=_TIGHTNESS,
        trim=False,
        units="frames",
    )
    if by_twos:
        pairs = beats[0::2], beats[1::2]
        beats = max(pairs, key=lambda half: float(features[half, channel["beat_cos"]].sum()))
    if len(beats) < 2:
        return Song(path.stem, path, duration_s, 0.0, (), 0.0)
    beats_s = beats / spec.frame_rate_hz
    agreement = beat_agreement(features, beats[beats > _SETTLING_FRAMES].astype(np.float64))
    return Song(
        name=path.stem,
        path=path,
        duration_s=duration_s,
        bpm=60.0 / float(np.median(np.diff(beats_s))),
        beats_s=tuple(float(beat) for beat in beats_s),
        agreement=agreement,
    )


def _listen(
    extractor: FeatureExtractor, samples: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float64], bool]:
    """Return the features (T, F), and whether the tracker counted by twos most of the time."""
    hop = extractor.spec.hop_length
    hops = samples[: len(samples) // hop * hop].reshape(-1, hop)
    state, heard, by_twos = extractor.initial_state(), [], []
    for start in range(0, len(hops), _LISTEN_FRAMES):
        features, state = extractor.step(hops[start : start + _LISTEN_FRAMES], state)
        heard.append(features)
        by_twos.append(state.beat.by_twos)
    if not heard:
        return np.empty((0, extractor.spec.frame_dim)), False
    return np.concatenate(heard).astype(np.float64), float(np.mean(by_twos)) > 0.5


def beat_agreement(features: npt.NDArray[np.floating[Any]], beats: npt.NDArray[np.floating[Any]]) -> float:
    """Return how far the causal tracker's phase stands still on given beats: 1 always, 0 no relation.

    Parameters
    ----------
    features : ndarray, (T, F)
        As `FeatureExtractor` makes them.
    beats : ndarray, (n,)
        Frames; those outside are left out.
    """
    names = FeatureSpec().channel_names
    frames = beats[(beats >= 0) & (beats < len(features))].astype(np.intp)
    if not len(frames):
        return 0.0
    heard = features[frames].astype(np.float64)
    return float(np.abs((heard[:, names.index("beat_cos")] + 1j * heard[:, names.index("beat_sin")]).mean()))


def beat_times(song: Song) -> npt.NDArray[np.float64]:
    """Return the beats in seconds (n,)."""
    return np.array(song.beats_s, np.float64)
