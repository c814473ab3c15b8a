"""Cost of the music features per token (8 frames, 133.3 ms of sound), and where it goes.

Usage: python benchmarks/features.py [--song SONG] [--tokens 1500]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from bailando.music.audio import StreamResampler, load_mono
from bailando.music.beats import BeatSpec, BeatTracker
from bailando.music.features import FeatureExtractor

FRAMES_PER_TOKEN = 8
INPUT_RATE_HZ = 44100
DEMO = Path(__file__).parents[1] / "bailando" / "assets" / "demo" / "demo.ogg"


def percentiles(name: str, times_ns: list[int]) -> str:
    """Format one row of the table, ms."""
    milliseconds = np.array(times_ns) / 1e6
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return f"{name:<28}{p50:8.3f}{p95:8.3f}{p99:8.3f}{milliseconds.max():8.3f}"


def time_extractor(hops: np.ndarray, extractor: FeatureExtractor) -> tuple[list[int], np.ndarray]:
    """Return the time of each call with one token of hops, ns, and the features (T, F)."""
    state = extractor.initial_state()
    times, features = [], []
    for start in range(0, len(hops), FRAMES_PER_TOKEN):
        begun = time.perf_counter_ns()
        part, state = extractor.step(hops[start : start + FRAMES_PER_TOKEN], state)
        times.append(time.perf_counter_ns() - begun)
        features.append(part)
    return times, np.concatenate(features)


def time_tracker(onsets: np.ndarray) -> list[int]:
    """Return the time of each token in the beat tracker alone, ns."""
    tracker = BeatTracker(BeatSpec())
    state = tracker.initial_state()
    times = []
    for start in range(0, len(onsets), FRAMES_PER_TOKEN):
        begun = time.perf_counter_ns()
        _, state = tracker.step(onsets[start : start + FRAMES_PER_TOKEN], state)
        times.append(time.perf_counter_ns() - begun)
    return times


def time_resampler(tokens: int, rate_hz: int) -> list[int]:
    """Return the time of resampling one token of sound from 44.1 kHz, ns."""
    resampler = StreamResampler(INPUT_RATE_HZ, rate_hz)
    noise = np.random.default_rng(0).normal(0, 0.1, INPUT_RATE_HZ * FRAMES_PER_TOKEN // 60).astype(np.float32)
    times = []
    for _ in range(tokens):
        begun = time.perf_counter_ns()
        resampler.process(noise)
        times.append(time.perf_counter_ns() - begun)
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--song", type=Path, default=DEMO)
    parser.add_argument("--tokens", type=int, default=900)
    options = parser.parse_args()
    extractor = FeatureExtractor()
    spec = extractor.spec
    samples = load_mono(options.song, spec.sample_rate_hz)
    tokens = min(options.tokens, len(samples) // spec.hop_length // FRAMES_PER_TOKEN)
    hops = samples[: tokens * FRAMES_PER_TOKEN * spec.hop_length].reshape(-1, spec.hop_length)
    whole, features = time_extractor(hops, extractor)
    onset = features[:, spec.channel_names.index("onset")].astype(np.float64)
    tracker = time_tracker(onset)
    rest = [max(0, a - b) for a, b in zip(whole, tracker, strict=True)]
    print(f"{tokens} tokens of {options.song.name}; F = {spec.frame_dim} channels; ms per token, one thread")
    print(f"{'':<28}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}")
    print(percentiles("features, all", whole))
    print(percentiles("  beat tracker alone", tracker))
    print(percentiles("  spectra and timbre (rest)", rest))
    print(percentiles("resampling from 44.1 kHz", time_resampler(tokens, spec.sample_rate_hz)))


if __name__ == "__main__":
    main()
