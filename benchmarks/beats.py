"""Beat trackers on the same music: ours online, librosa's offline, and others, as programs.

python benchmarks/beats.py [FOLDER ...] [--seconds 60] [--limit N] [--tracker 'NAME=COMMAND {song}']
    [--each] [--json FILE]

Clicks have known beats. Of songs (by default the demo song) the reference is the grid with a whole number of
beats that the onsets agree with best, which holds for made-to-loop songs of constant tempo; warped songs are
sped up and slowed down by resampling, and the grid with them. librosa's tracker sees the whole song. aubio
and BeatNet are run where they are installed; any other program takes a command that prints the beats of a WAV
file, in seconds, one a line. The first correct beat is the first of four in a row within 70 ms; how long one
waits for it says something of online trackers only.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import librosa
import mir_eval
import numpy as np
import soundfile
from measure import show, write_json
from numpy.typing import NDArray
from trackers import installed

from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec, beat_times, write_beat_channels

SPEC = FeatureSpec()
RATE = SPEC.sample_rate_hz
WINDOW_S = 0.07
GRID_HOP = 160
SUFFIXES = {".ogg", ".wav", ".flac", ".mp3"}
DEMO = Path(__file__).parents[1] / "bailando" / "assets" / "demo" / "demo.ogg"
Array = NDArray[Any]
Tracker = Callable[[Array], Array]


class Case(NamedTuple):
    """Music and its beats, seconds."""

    kind: str
    name: str
    samples: Array
    beats_s: Array


class Score(NamedTuple):
    """One row of the table."""

    f_measure: float
    cml_t: float
    aml_t: float
    offset_ms: float
    first_s: float


def score(reference: Array, beats: Array) -> Score:
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


def clicks(bpm_at: Callable[[float], float], seconds: float) -> tuple[Array, Array]:
    """Return a click track and the times of its clicks."""
    beats, moment = [], 0.3
    while moment < seconds:
        beats.append(moment)
        moment += 60 / bpm_at(moment)
    return librosa.clicks(times=beats, sr=RATE, length=round(seconds * RATE), click_duration=0.03), np.array(
        beats
    )


def fitted_grid(samples: Array) -> Array:
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


def warp(samples: Array, grid: Array) -> tuple[Array, Array]:
    """Play the song at 0.9, 1.1 and 1.0 times its speed in turn, 20 s each."""
    speeds = np.array([0.9, 1.1, 1.0])
    source = np.concatenate([[0.0], np.cumsum(20.0 * speeds)])
    target = np.arange(0, 60.0, 1 / RATE)
    position = np.interp(target, [0, 20, 40, 60], source) * RATE
    warped = np.interp(position, np.arange(len(samples)), samples).astype(np.float32)
    inside = grid[grid < min(source[-1], len(samples) / RATE)]
    return warped[: int(np.searchsorted(position, len(samples)))], np.interp(inside, source, [0, 20, 40, 60])


def click_cases() -> list[Case]:
    """Return steady clicks, steps and ramps of tempo."""
    tempi = (70, 80, 90, 100, 110, 120, 128, 140, 150, 160, 174, 180)
    tempo_at: dict[str, tuple[Callable[[float], float], float]] = {
        f"clicks {bpm} bpm": (lambda _, bpm=bpm: bpm, 30.0) for bpm in tempi
    }
    tempo_at["step 100 > 140 bpm at 20 s"] = (lambda s: 100 if s < 20 else 140, 50.0)
    tempo_at["step 140 > 90 bpm at 20 s"] = (lambda s: 140 if s < 20 else 90, 50.0)
    tempo_at["step 120 > 126 bpm at 20 s"] = (lambda s: 120 if s < 20 else 126, 50.0)
    tempo_at["ramp 90 > 150 bpm in 60 s"] = (lambda s: 90 + s, 60.0)
    tempo_at["ramp 160 > 100 bpm in 60 s"] = (lambda s: 160 - s, 60.0)
    return [Case("clicks", name, *clicks(*how)) for name, how in tempo_at.items()]


def song_cases(songs: Sequence[Path], seconds: float) -> Iterator[Case]:
    """Yield songs with their grid, and warped songs with theirs."""
    for path in songs:
        whole = load_mono(path, RATE)
        grid = fitted_grid(whole)
        samples = whole[: round(seconds * RATE)]
        yield Case("songs", path.stem, samples, grid[grid < len(samples) / RATE])
        yield Case("warped songs", path.stem, *warp(whole, grid))


def ours(samples: Array) -> Array:
    """Return the pulses of our tracker, which hears the music as it comes (fast ones it counts by twos)."""
    extractor = FeatureExtractor(SPEC)
    hops = samples[: len(samples) // SPEC.hop_length * SPEC.hop_length].reshape(-1, 1, SPEC.hop_length)
    state, features = extractor.initial_state(), np.empty((len(hops), SPEC.frame_dim), np.float32)
    phase, bpm = np.empty((2, len(hops)))
    for frame, hop in enumerate(hops):
        features[frame], state = extractor.step(hop, state)
        phase[frame] = state.beat.phase
        bpm[frame] = 2.0**state.beat.log2_tempo * 60 * SPEC.frame_rate_hz
    write_beat_channels(features, phase, bpm, np.ones(len(hops)))
    return beat_times(features, SPEC)


def offline_librosa(samples: Array) -> Array:
    """Return the beats of librosa's tracker, which sees the whole song."""
    return np.asarray(
        librosa.beat.beat_track(y=samples, sr=RATE, hop_length=256, units="time", trim=False)[1]
    )


def program(command: str) -> Tracker:
    """Return a tracker that runs a command on a WAV file and reads the beats it prints."""

    def track(samples: Array) -> Array:
        with tempfile.TemporaryDirectory() as folder:
            song = Path(folder) / "song.wav"
            soundfile.write(song, samples, RATE, subtype="PCM_16")
            words = [word.format(song=song) for word in shlex.split(command)]
            printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        return np.array([float(line) for line in printed.split()])

    return track


def trackers(commands: Sequence[str]) -> dict[str, Tracker]:
    """Return the trackers to compare: ours, librosa's, those installed and those asked for by command."""
    script = Path(__file__).with_name("trackers.py")
    run = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}"
    others = [f"{name}={run} {name} {{song}}" for name in installed()] + list(commands)
    named = {name: program(command) for name, _, command in (other.partition("=") for other in others)}
    return {"ours, online": ours, "librosa, offline": offline_librosa, **named}


def means(scores: Mapping[str, Sequence[Score]]) -> dict[str, dict[str, float]]:
    """Return the mean of each tracker's scores by name of the score; what was never found is left out."""
    rows = {}
    for name, values in scores.items():
        table = np.array(values)
        found = np.isfinite(table).any(axis=0)
        average = np.nanmean(np.where(found, table, 0.0), axis=0)
        rows[name] = {
            field: float(value) if known else float("nan")
            for field, value, known in zip(Score._fields, average, found, strict=True)
        }
    return rows


def main() -> None:
    """Print a table for each kind of music."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, help="folders of songs; default: the demo song")
    parser.add_argument("--seconds", type=float, default=60.0, help="how much of each song to track")
    parser.add_argument("--limit", type=int, help="at most this many songs per folder")
    parser.add_argument("--tracker", action="append", default=[], help="NAME=COMMAND with {song}")
    parser.add_argument("--each", action="store_true", help="print each song's scores as well")
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    songs = [DEMO] if not options.folders else []
    for folder in options.folders:
        songs += sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)[: options.limit]
    compared = trackers(options.tracker)
    scores: dict[str, dict[str, list[Score]]] = {}
    for case in itertools.chain(click_cases(), song_cases(songs, options.seconds)):
        found = {name: score(case.beats_s, track(case.samples)) for name, track in compared.items()}
        for name, values in found.items():
            scores.setdefault(case.kind, {}).setdefault(name, []).append(values)
        if options.each:
            show(f"{case.name} ({case.kind})", {name: values._asdict() for name, values in found.items()})
    results = {kind: means(of_kind) for kind, of_kind in scores.items()}
    for kind, rows in results.items():
        show(f"{kind}, mean of {len(next(iter(scores[kind].values())))}", rows)
    write_json(options.json, "beats", {"songs": [song.name for song in songs], "results": results})


if __name__ == "__main__":
    main()
