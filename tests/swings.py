"""Made-up motion and music for the training tests: arms that swing on a beat, thumps in noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from bailando.motion.motion import Motion
from bailando.motion.rotations import about_axis, identity

SWING_FRAMES = 60


def swinging(frames: int, amplitude: float = 0.8, phase: float = 0.0) -> Motion:
    """Both arms swing about the spine: the body is at rest every half `SWING_FRAMES`."""
    rotations = identity((frames, 24))
    angle = amplitude * np.sin(2 * np.pi * np.arange(frames) / SWING_FRAMES + phase)
    rotations[:, 16] = about_axis("Z", angle)
    rotations[:, 17] = about_axis("Z", angle)
    rotations[:, 3] = about_axis("Y", 0.3 * angle)
    root = np.tile([0.0, 0.9, 0.0], (frames, 1))
    return Motion(rotations, root, np.ones((frames, 4)))


def write_clicks(path: Path, beat_s: float, seconds: float, seed: int) -> None:
    """A song of a low thump on every beat over soft noise."""
    rate = 24000
    rng = np.random.default_rng(seed)
    song = 0.003 * rng.standard_normal(int(seconds * rate))
    thump = np.exp(-np.arange(2400) / 400) * np.sin(2 * np.pi * 80 * np.arange(2400) / rate)
    for beat in np.arange(0.25, seconds - 0.2, beat_s):
        start = int(beat * rate)
        song[start : start + 2400] += 0.6 * thump
    soundfile.write(path, song.astype(np.float32), rate)
