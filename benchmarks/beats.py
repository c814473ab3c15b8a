"""Accuracy of the online beat tracker: click tracks, tempo changes, songs and songs with tempo changes.

Usage: python benchmarks/beats.py [FOLDER ...] [--seconds 60] [--limit N]

Clicks have known beats. Of the songs in the folders the reference is librosa's offline tracker, which
sees the whole song and still errs (it prefers 2/3 of a fast tempo); for made-to-loop songs of constant tempo
a second reference is fitted: the grid with a whole number of beats per loop that the onsets agree with
best. Warped songs are sped up and slowed down by resampling, and the grid with them.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import librosa
import mir_eval
import numpy as np

from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec, beat_times

SPEC = FeatureSpec()
RATE = SPEC.sample_rate_hz
WINDOW_S = 0.07
GRID_HOP = 160
SUFFIXES = {".ogg", ".wav", ".flac", ".mp3"}


class Score(NamedTuple):
    """One row of the table."""

    f_measure: float
    cml_t: float
    aml_t: float
    offset_ms: float
    first_s: float


def score(reference: np.ndarray, beats: np.ndarray) -> Score:
    """Compare beat times; the first five seconds count only for the time to the first correct beats."""
    late_reference, late = mir_eval.beat.trim_beats(reference), mir_eval.beat.trim_beats(beats)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f_measure = mir_eval.beat.f_measure(late_reference, late)
        _, cml_t, _, aml_t = mir_eval.beat.continuity(late_reference, late)
    errors = beats[:, None] - reference[None, :]
    nearest = errors[np.arange(len(beats)), np.abs(errors).argmin(axis=1)] if len(beats) else np.empty(0)
    hits = np.abs(nearest) < WINDOW_S
    offsets = nearest[hits & (beats > 5.0)]
    runs = np.flatnonzero(np.convolve(hits, np.ones(4), mode="valid") > 3.5) if len(hits) >= 4 else []
    first = float(beats[runs[0]]) if len(runs) else float("nan")
    return Score(
        f_measure, cml_t, aml_t, 1000 * float(offsets.mean()) if len(offsets) else float("nan"), first
    )


def clicks(bpm_at: Callable[[float], float], seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a click track and the times of its clicks."""
    beats, moment = [], 0.3
    while moment < seconds:
        beats.append(moment)
        moment += 60 / bpm_at(moment)
    return librosa.clicks(times=beats, sr=RATE, length=round(seconds * RATE), click_duration=0.03), np.array(
        beats
    )


def fitted_grid(samples: np.ndarray) -> np.ndarray:
    """Return the constant grid with whole beats per loop that fits the onsets best."""
    duration = len(samples) / RATE
    options = {"y": samples, "sr": RATE, "hop_length": GRID_HOP, "n_fft": SPEC.n_fft}
    every = librosa.onset.onset_strength(**options)
    kick = librosa.onset.onset_strength(**options, n_mels=4, fmax=200.0)
    envelope = every / every.mean() + kick / kick.mean()
    moments = librosa.times_like(envelope, sr=RATE, hop_length=GRID_HOP)
    counts = np.arange(int(duration * 75 / 60), int(duration * 185 / 60) + 1)
    waves = np.exp(-2j * np.pi * counts[:, None] / duration * moments)
    strength = np.abs(waves @ envelope) + 0.5 * np.abs(waves**2 @ envelope)
    rate = counts[int(strength.argmax())] / duration
    folded = np.bincount((moments * rate % 1 * 64).astype(int), envelope, 64)
    smooth = sum(np.roll(folded, shift) for shift in range(-2, 3))
    start = (int(np.argmax(smooth)) + 0.5) / 64
    return (np.arange(int(duration * rate)) + start) / rate


def warp(samples: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Play the song at 0.9, 1.1 and 1.0 times its speed in turn, 20 s each."""
    speeds = np.array([0.9, 1.1, 1.0])
    source = np.concatenate([[0.0], np.cumsum(20.0 * speeds)])
    target = np.arange(0, 60.0, 1 / RATE)
    position = np.interp(target, [0, 20, 40, 60], source) * RATE
    warped = np.interp(position, np.arange(len(samples)), samples).astype(np.float32)
    inside = grid[grid < min(source[-1], len(samples) / RATE)]
    return warped[: int(np.searchsorted(position, len(samples)))], np.interp(inside, source, [0, 20, 40, 60])


def row(name: str, scores: Score) -> None:
    """Print one line."""
    accuracy = f"{scores.f_measure:7.2f}{scores.cml_t:7.2f}{scores.aml_t:7.2f}"
    print(f"{name:<44}{accuracy}{scores.offset_ms:10.1f}{scores.first_s:9.1f}", flush=True)


def mean_row(name: str, scores: list[Score]) -> None:
    """Print the mean of some lines."""
    if scores:
        row(f"mean of {len(scores)}: {name}", Score(*np.nanmean(np.array(scores), axis=0)))


def click_table(track: Callable[[np.ndarray], np.ndarray]) -> None:
    """Steady clicks, steps and ramps of tempo."""
    tempi = (70, 80, 90, 100, 110, 120, 128, 140, 150, 160, 174, 180)
    cases: dict[str, tuple[Callable[[float], float], float]] = {
        f"clicks {bpm} bpm": (lambda _, bpm=bpm: bpm, 30.0) for bpm in tempi
    }
    cases["step 100 > 140 bpm at 20 s"] = (lambda s: 100 if s < 20 else 140, 50.0)
    cases["step 140 > 90 bpm at 20 s"] = (lambda s: 140 if s < 20 else 90, 50.0)
    cases["step 120 > 126 bpm at 20 s"] = (lambda s: 120 if s < 20 else 126, 50.0)
    cases["ramp 90 > 150 bpm in 60 s"] = (lambda s: 90 + s, 60.0)
    cases["ramp 160 > 100 bpm in 60 s"] = (lambda s: 160 - s, 60.0)
    scores = []
    for name, (bpm_at, seconds) in cases.items():
        samples, beats = clicks(bpm_at, seconds)
        scores.append(score(beats, track(samples)))
        row(name, scores[-1])
    mean_row("clicks", scores)


def song_table(songs: list[Path], seconds: float, track: Callable[[np.ndarray], np.ndarray]) -> None:
    """Songs against both references, and warped songs against their grid."""
    by_librosa, by_grid, warped_scores, librosa_by_grid = [], [], [], []
    for path in songs:
        whole = load_mono(path, RATE)
        _, reference = librosa.beat.beat_track(y=whole, sr=RATE, hop_length=256, units="time", trim=False)
        grid = fitted_grid(whole)
        samples = whole[: round(seconds * RATE)]
        beats = track(samples)
        end = len(samples) / RATE
        by_librosa.append(score(reference[reference < end], beats))
        by_grid.append(score(grid[grid < end], beats))
        librosa_by_grid.append(score(grid, reference))
        warped, warped_grid = warp(whole, grid)
        warped_scores.append(score(warped_grid, track(warped)))
        row(f"{path.stem[:32]} (grid)", by_grid[-1])
        row(f"{path.stem[:32]} (warped)", warped_scores[-1])
    mean_row("songs, grid", by_grid)
    mean_row("songs, librosa", by_librosa)
    mean_row("warped songs, grid", warped_scores)
    mean_row("librosa offline, grid", librosa_by_grid)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="folders of songs")
    parser.add_argument("--seconds", type=float, default=60.0, help="how much of each song to track")
    parser.add_argument("--limit", type=int, default=None, help="at most this many songs per folder")
    options = parser.parse_args()
    extractor = FeatureExtractor(SPEC)

    def track(samples: np.ndarray) -> np.ndarray:
        return beat_times(extractor.extract(samples), SPEC)

    print(f"{'':<44}{'F':>7}{'CMLt':>7}{'AMLt':>7}{'offset ms':>10}{'first s':>9}")
    click_table(track)
    for folder in options.folders:
        songs = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[: options.limit]
        song_table(songs, options.seconds, track)


if __name__ == "__main__":
    main()
