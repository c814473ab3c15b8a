"""Jitter filter without delay lines: the one-euro filter on rotations and the root.

Casiez, Roussel, Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems", CHI 2012. A low-pass whose cutoff rises with the speed: jitter of a still body
is removed, fast movement passes. It looks at no future frame; what it costs is a lag of the order of
1/(2π·cutoff), which is why it is off by default.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

CUTOFF_HZ = 4.0
"""Cutoff for a body at rest."""
SPEED_CUTOFF_HZ = 6.0
"""Rise of the cutoff per unit of speed: rad/s of a joint, m/s of the root."""
_DERIVATIVE_CUTOFF_HZ = 3.0


def one_euro(values: Array, last: Array, speed: Array, fps: float, unit: bool) -> tuple[Array, Array]:
    """Filter a chunk.

    Parameters
    ----------
    values : ndarray, shape (T, N, C)
        N signals of C numbers: quaternions, or positions.
    last : ndarray, shape (N, C)
        Filtered values of the frame before.
    speed : ndarray, shape (N, C)
        Filtered derivative, per second, of the frame before.
    fps : float
        Frames a second.
    unit : bool
        The values are unit quaternions: q and -q are the same, results have length 1.

    Returns
    -------
    filtered : ndarray, shape (T, N, C)
    speed : ndarray, shape (N, C)
        State after the last frame; the other half of it is `filtered[-1]`.
    """
    filtered = np.empty_like(values)
    follow_speed = _weight(np.float64(_DERIVATIVE_CUTOFF_HZ), fps)
    scale = 2.0 if unit else 1.0  # the length of a unit quaternion's derivative is half the turn's
    for frame, value in enumerate(values):
        if unit:
            value = np.where(np.sum(value * last, axis=-1, keepdims=True) < 0, -value, value)
        speed = speed + follow_speed * ((value - last) * fps - speed)
        size = scale * np.sqrt(np.sum(speed * speed, axis=-1, keepdims=True))
        last = last + _weight(CUTOFF_HZ + SPEED_CUTOFF_HZ * size, fps) * (value - last)
        if unit:
            last = last / np.maximum(np.sqrt(np.sum(last * last, axis=-1, keepdims=True)), 1e-9)
        filtered[frame] = last
    return filtered, speed


def _weight(cutoff_hz: Array | np.float64, fps: float) -> Array | np.float64:
    """Weight of the new value in a first-order low-pass."""
    turn = 2 * math.pi * cutoff_hz / fps
    return turn / (turn + 1)
