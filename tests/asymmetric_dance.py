"""A made-up dance for the tests of motion files: every joint turns, left and right differ."""

from __future__ import annotations

import numpy as np

from bailando.motion.motion import Motion
from bailando.motion.rotations import from_axis_angle, make_continuous

FRAMES = 90


def asymmetric_dance(frames: int = FRAMES) -> Motion:
    """Return a dance that travels, turns past half a circle and raises the left arm."""
    rng = np.random.default_rng(5)
    phase = 2 * np.pi * np.arange(frames)[:, None, None] / 45
    vectors = 0.25 * np.sin(phase * rng.integers(1, 3, 24)[:, None] + rng.uniform(0, 6, (24, 3)))
    vectors[:, 16] += (0, 0, 1.0)
    vectors[:, 0] = np.linspace([0, 0, 0], [0, 4.5, 0], frames)
    t = np.arange(frames) / 60
    root = np.stack([0.4 * t, 0.93 + 0.03 * np.sin(9 * t), -0.7 * t], axis=1)
    return Motion(make_continuous(from_axis_angle(vectors)), root, np.ones((frames, 4)))
