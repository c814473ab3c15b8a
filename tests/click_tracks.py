"""Click tracks with known beats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RATE = 24000


def click_track(bpm_at: Callable[[float], float], seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return samples (n,) at 24 kHz and the times of the clicks, s; bpm_at maps seconds to a tempo."""
    beats = []
    time = 0.3
    while time < seconds:
        beats.append(time)
        time += 60.0 / bpm_at(time)
    age = np.arange(round(0.03 * RATE)) / RATE
    click = np.sin(2 * np.pi * 1000 * age) * np.exp(-age / 0.008)
    samples = np.zeros(round(seconds * RATE) + len(click), dtype=np.float32)
    for beat in beats:
        start = round(beat * RATE)
        samples[start : start + len(click)] += click
    return samples[: round(seconds * RATE)], np.array(beats)


def steady_clicks(bpm: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    return click_track(lambda _: bpm, seconds)
