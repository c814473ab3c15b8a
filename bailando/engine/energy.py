"""Smaller or larger movements: the pose channels scaled about their own slow mean.

The mean follows the dance with a time constant of two seconds, so a held pose stays what it is and
only the movement about it shrinks or grows. The velocity of the root is scaled alike. A change of the
energy takes its time: 0.75 s from full to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bailando.errors import ConfigError
from bailando.motion.pose import CONTACTS, TURN, VELOCITY

MAX_ENERGY = 2.0
_TIME_CONSTANT_FRAMES = 120.0
_MAX_CHANGE_PER_FRAME = 1.0 / 45.0
_GAIN = 1.0 - math.exp(-1.0 / _TIME_CONSTANT_FRAMES)

Float32Array = NDArray[np.float32]


def check_energy(energy: float) -> float:
    """Return ``energy``, or raise ConfigError if it lies outside 0 to 2."""
    if not 0.0 <= energy <= MAX_ENERGY:
        raise ConfigError(
            f"energy is {energy}; give a number from 0 (still) to {MAX_ENERGY:g}, 1 is as danced"
        )
    return energy


@dataclass(frozen=True)
class EnergyState:
    """Slow means of the pose channels and the energy in force, None before the first frame."""

    upper: Float32Array | None = None
    lower: Float32Array | None = None
    energy: float | None = None


def ease_energy(wanted: float, state: EnergyState, frames: int) -> Float32Array:
    """Return the energy of each frame of a chunk, (frames, 1), on its way to the wanted one."""
    if state.energy is None or state.energy == wanted:
        return np.full((frames, 1), wanted, np.float32)
    steps = np.arange(1, frames + 1)[:, None] * _MAX_CHANGE_PER_FRAME
    eased = state.energy + np.clip(wanted - state.energy, -steps, steps)
    return np.asarray(eased, np.float32)


def scale_energy(
    upper: Float32Array, lower: Float32Array, energy: Float32Array, state: EnergyState
) -> tuple[Float32Array, Float32Array, EnergyState]:
    """Scale the movement of a chunk.

    Parameters
    ----------
    upper : (T, 90) float32
    lower : (T, 62) float32
        Pose channels (`bailando.motion.pose`).
    energy : (T, 1) float32
        1 throughout returns the channels untouched, 0 leaves the slow mean standing on its place.
    state : EnergyState
        Means after the chunk before.

    Returns
    -------
    upper, lower : float32, as given
    state : EnergyState
    """
    upper_mean, lower_mean = _running_mean(upper, state.upper), _running_mean(lower, state.lower)
    after = EnergyState(upper_mean[-1], lower_mean[-1], float(energy[-1, 0]))
    if np.all(energy == 1.0):
        return upper, lower, after
    scaled_lower = lower_mean + energy * (lower - lower_mean)
    road = slice(VELOCITY.start, TURN + 1)
    scaled_lower[:, road] = energy * lower[:, road]
    scaled_lower[:, CONTACTS] = lower[:, CONTACTS]
    return upper_mean + energy * (upper - upper_mean), scaled_lower, after


def _running_mean(channels: Float32Array, before: Float32Array | None) -> Float32Array:
    """Return the exponential mean at each frame, (T, C)."""
    weights = _mean_weights(len(channels))
    means: Float32Array = weights[:, 1:] @ channels
    means += weights[:, :1] * (channels[0] if before is None else before)
    return means


@lru_cache(maxsize=8)
def _mean_weights(frames: int) -> Float32Array:
    """Weights (T, 1 + T) of the mean before and of each frame in the exponential means."""
    left = 1.0 - _GAIN
    age = np.arange(frames)[:, None] - np.arange(frames)
    weights = np.where(age >= 0, _GAIN * left ** np.maximum(age, 0), 0.0)
    return np.hstack([left ** np.arange(1, frames + 1)[:, None], weights]).astype(np.float32)
