"""Honest pairs for motion without music: a real song, warped so that its beats fall on the dance's.

The beats of a dance are where its smoothed mean joint speed has minima; the dynamic-programming beat
tracker makes a nearly regular grid of them. A song is then read at a speed that changes from beat to beat
(as a turntable would, so pitch follows speed and nothing smears), each of its beats, or each second
or half of them, on one of the dance's. What was drawn is recorded; nothing here claims that
anybody danced to that song.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.music.audio import load_mono
from bailando.music.features import FeatureSpec
from bailando.training.config import PairingConfig
from bailando.training.music_features import CausalFeatures, MusicFeatures, extract_at
from bailando.training.songs import Song, beat_agreement, beat_times

FRAME_RATE_HZ = 60
_OVERSAMPLING = 2
_OCTAVES = (0.25, 0.5, 1.0, 2.0, 4.0)
FloatArray = npt.NDArray[np.float64]


def joint_speed(positions: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return the mean joint speed (T,) in metres per frame of positions (T, J, 3)."""
    steps = np.linalg.norm(np.diff(positions.astype(np.float64), axis=0), axis=-1).mean(axis=-1)
    return np.concatenate([steps[:1], steps])


def dance_accents(
    positions: npt.NDArray[np.floating[Any]], smoothing_frames: float = 5.0
) -> npt.NDArray[np.intp]:
    """Return the frames where the smoothed mean joint speed has a local minimum."""
    from scipy.ndimage import gaussian_filter1d

    speed = gaussian_filter1d(joint_speed(positions), smoothing_frames, mode="nearest")
    return np.flatnonzero((speed[1:-1] < speed[:-2]) & (speed[1:-1] <= speed[2:])) + 1


def dance_beats(positions: npt.NDArray[np.floating[Any]], config: PairingConfig) -> FloatArray:
    """Return a nearly regular beat grid of a dance, in frames.

    Parameters
    ----------
    positions : ndarray, (T, J, 3)
        Metres, 60 Hz.
    config
        Smoothing and tightness.

    Returns
    -------
    ndarray, (n,), float64
        Ascending, n >= 2; half a second apart where the motion has no accents.
    """
    import librosa

    accents = np.zeros(len(positions), np.float32)
    accents[dance_accents(positions, config.smoothing_frames)] = 1.0
    beats = np.zeros(0)
    if np.count_nonzero(accents) >= 4:
        _, beats = librosa.beat.beat_track(
            onset_envelope=accents,
            sr=FRAME_RATE_HZ,
            hop_length=1,
            tightness=config.tightness,
            trim=False,
            units="frames",
        )
    if len(beats) < 4:
        return np.arange(0.0, max(len(positions), 61), 30.0)
    return beats.astype(np.float64)


def extend_grid(beats: FloatArray, first: float, last: float) -> FloatArray:
    """Continue a beat grid at its median interval until it covers `first` ... `last`."""
    interval = float(np.median(np.diff(beats)))
    before = int(max(0, np.ceil((beats[0] - first) / interval)))
    after = int(max(0, np.ceil((last - beats[-1]) / interval)))
    return np.concatenate(
        [
            beats[0] - interval * np.arange(before, 0, -1),
            beats,
            beats[-1] + interval * np.arange(1, after + 1),
        ]
    )


def song_grid(
    song_beats_s: FloatArray, dance_interval_s: float, config: PairingConfig
) -> tuple[FloatArray, float] | None:
    """Choose every, every second, or half beats of a song, so that its speed has to change least.

    Returns
    -------
    grid_s : ndarray, ratio : float
        The grid, and song seconds per dance second; None if no choice is within the bounds.
    """
    interval = float(np.median(np.diff(song_beats_s)))
    octave = min(_OCTAVES, key=lambda factor: abs(np.log(interval * factor / dance_interval_s)))
    ratio = interval * octave / dance_interval_s
    if not config.min_ratio <= ratio <= config.max_ratio:
        return None
    if octave >= 1:
        return song_beats_s[:: round(octave)], ratio
    parts = round(1 / octave)
    places = np.arange((len(song_beats_s) - 1) * parts + 1) / parts
    return np.interp(places, np.arange(len(song_beats_s)), song_beats_s), ratio


def warp(
    samples: npt.NDArray[np.float32], rate_hz: int, dance_s: FloatArray, song_s: FloatArray, count: int
) -> npt.NDArray[np.float32]:
    """Read a song at a varying speed.

    Parameters
    ----------
    samples : ndarray, (n,)
        The song at `rate_hz`.
    dance_s, song_s : ndarray, (k,)
        Times in the result, ascending, and the times in the song that fall on them; linear between.
    count
        Samples of the result, at `rate_hz`, from time 0.

    Returns
    -------
    ndarray, (count,), float32
        Zero where the song has not begun or is over.
    """
    import soxr

    ratio = (song_s[-1] - song_s[0]) / (dance_s[-1] - dance_s[0])
    # The mean change of speed is a band-limited resampling; what is left to change is small.
    fine_rate = rate_hz * _OVERSAMPLING
    at_mean_speed = soxr.resample(samples, rate_hz * ratio, rate_hz, quality="HQ")
    fine = soxr.resample(at_mean_speed, rate_hz, fine_rate, quality="HQ").astype(np.float32)
    times = np.interp(np.arange(count) / rate_hz, dance_s, song_s)
    return _read_cubic(fine, times / ratio * fine_rate)


def _read_cubic(samples: npt.NDArray[np.float32], at: FloatArray) -> npt.NDArray[np.float32]:
    """Read between samples by Catmull-Rom splines; zero outside."""
    whole = np.floor(at).astype(np.intp)
    t = (at - whole).astype(np.float32)
    padded = np.concatenate([np.zeros(2, np.float32), samples, np.zeros(3, np.float32)])
    inside = (whole >= -1) & (whole < len(samples))
    a, b, c, d = (padded[np.clip(whole + shift, 0, len(padded) - 1)] for shift in (1, 2, 3, 4))
    value = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.where(inside, value, 0).astype(np.float32)


def pair_segment(
    beats: FloatArray,
    frames: int,
    songs: Sequence[Song],
    config: PairingConfig,
    rng: np.random.Generator,
    music: MusicFeatures | None = None,
) -> tuple[npt.NDArray[np.float16], list[dict[str, Any]]]:
    """Draw songs for a stretch of motion and extract their features.

    Parameters
    ----------
    beats : ndarray, (n,)
        Frames of the motion's beats.
    frames
        Length T of the motion, 60 Hz.
    songs
        To draw from; songs whose tempo does not fit are passed over.
    config, rng
        How, and the only source of chance.
    music
        What to extract; ours by default.

    Returns
    -------
    features : ndarray, (draws, preroll + T, F), float16
        Feature frame ``preroll + n`` belongs to frame n of the motion.
    draws : list of dict
        ``song``, ``ratio`` (speed), ``song_start_s`` (place in the song at frame 0), ``preroll_frames``
        (music before the motion), ``agreement`` (`beat_agreement`), ``beats`` (frames of the dance's grid).

    Raises
    ------
    InputError
        If no song fits the motion's tempo.
    """
    grid = extend_grid(beats, -config.preroll_frames, frames + FRAME_RATE_HZ)
    fitting = _fitting_songs(songs, grid, config)
    order = rng.permutation(len(fitting))
    music = music or CausalFeatures(each_pulse=config.each_pulse)
    features = np.zeros((config.draws, config.preroll_frames + frames, music.frame_dim), np.float16)
    draws = []
    for draw in range(config.draws):
        song, song_beats_s, ratio = fitting[order[draw % len(fitting)]]
        preroll = 0 if draw < config.cold_draws else config.preroll_frames
        dance_s, song_s = _align(grid, song_beats_s, preroll, frames, rng)
        audio = _warped(song, dance_s, song_s, preroll + frames)
        told, agreement = told_and_agreement(music, audio, grid, preroll, config.each_pulse)
        features[draw, config.preroll_frames - preroll :] = told
        draws.append(
            {
                "song": song.name,
                "ratio": round(ratio, 4),
                "song_start_s": round(float(np.interp(preroll / FRAME_RATE_HZ, dance_s, song_s)), 3),
                "preroll_frames": preroll,
                "agreement": agreement,
                "beats": [round(float(beat), 2) for beat in grid if 0 <= beat < frames],
            }
        )
    return features, draws


def told_and_agreement(
    music: MusicFeatures, audio: npt.NDArray[np.float32], grid: FloatArray, preroll: int, each_pulse: bool
) -> tuple[npt.NDArray[np.float16], float]:
    """Return what a model is told of sound at our rate, and how the tracker agrees with a grid after it."""
    own = CausalFeatures(each_pulse=each_pulse).extract(audio).astype(np.float16)
    rate_hz = FeatureSpec().sample_rate_hz
    told = own if isinstance(music, CausalFeatures) else extract_at(music, audio, rate_hz).astype(np.float16)
    return told, round(beat_agreement(own[preroll:], grid), 3)


def _fitting_songs(
    songs: Sequence[Song], grid: FloatArray, config: PairingConfig
) -> list[tuple[Song, FloatArray, float]]:
    interval_s = float(np.median(np.diff(grid))) / FRAME_RATE_HZ
    fitting = []
    for song in songs:
        chosen = song_grid(beat_times(song), interval_s, config)
        if chosen is not None and len(chosen[0]) >= 4:
            fitting.append((song, *chosen))
    if not fitting:
        raise InputError(
            f"no song fits beats {interval_s:.2f} s apart: give songs of other tempi or widen the ratios"
        )
    return fitting


def _align(
    grid: FloatArray, song_beats_s: FloatArray, preroll: int, frames: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return times from the start of the pre-roll and the song's times on them, knot by knot."""
    interval = float(np.median(np.diff(grid)))
    needed = grid[(grid > -preroll - 2 * interval) & (grid < frames + 2 * interval)]
    room = max(0, len(song_beats_s) - len(needed))
    first = int(rng.integers(room + 1))
    song = song_beats_s[first : first + len(needed)]
    if len(song) < len(needed):
        song = extend_grid(
            song, song[0], song[-1] + (len(needed) - len(song)) * float(np.median(np.diff(song)))
        )
    return (needed + preroll) / FRAME_RATE_HZ, song[: len(needed)]


def _warped(song: Song, dance_s: FloatArray, song_s: FloatArray, frames: int) -> npt.NDArray[np.float32]:
    """Read the song at the features' rate."""
    spec = FeatureSpec()
    samples = _load(song.path, spec.sample_rate_hz)
    margin_s = 1.0
    start = max(0, int((song_s[0] - margin_s) * spec.sample_rate_hz))
    stop = int((song_s[-1] + margin_s) * spec.sample_rate_hz)
    return warp(
        samples[start:stop],
        spec.sample_rate_hz,
        dance_s,
        song_s - start / spec.sample_rate_hz,
        frames * spec.hop_length,
    )


@lru_cache(maxsize=48)
def _load(path: Any, rate_hz: int) -> npt.NDArray[np.float32]:
    return load_mono(path, rate_hz)
