"""Kinetic features of a dance: how much energy every joint spends, 72 numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError

FloatArray = npt.NDArray[np.float64]
KINETIC_DIM = 72
_REACH_FRAMES = 2


def kinetic_features(positions: npt.NDArray[np.floating[Any]], fps: float = 60.0) -> FloatArray:
    """Return mean horizontal energy, vertical energy and effort of each joint.

    With v(t) and a(t) the velocity and acceleration of a joint averaged over frames t-2 ... t+2 (fewer
    at the ends), the three numbers are the means over t of |v_xz|², v_y² and |a|; joint-major.

    Source: Onuma, Faloutsos and Hodgins, "FMDistance: a fast and effective distance function for motion
    capture data", Eurographics 2008, in the form of the fairmotion toolbox, which the field compares by. That
    form divides only the earlier of the two positions by the frame time when it takes the backward
    velocity within the acceleration; the figures of every paper contain this, so it is kept.

    Parameters
    ----------
    positions : ndarray, shape (T, J, 3)
        Metres, Y up, at least 3 frames. Move the root of the first frame to the origin before (as
        `features_of` does): because of the above the result depends on it.
    fps : float
        Frames a second.

    Returns
    -------
    ndarray, shape (3 J,), float64
        72 numbers for 24 joints.

    Raises
    ------
    InputError
        If the shape is wrong or the motion too short.
    """
    frames = as_positions(positions, 3)
    frame_time_s = 1.0 / fps
    velocity = _windowed_mean(np.diff(frames, axis=0), first=1, last=len(frames) - 1) / frame_time_s
    horizontal = (velocity[..., [0, 2]] ** 2).sum(-1)
    vertical = velocity[..., 1] ** 2
    forward = (frames[2:] - frames[1:-1]) / frame_time_s
    backward = frames[1:-1] - frames[:-2] / frame_time_s
    acceleration = _windowed_mean(
        (forward - backward) / frame_time_s, first=1, last=len(frames) - 2, count=len(frames) - 1
    )
    effort = np.linalg.norm(acceleration, axis=-1)
    per_joint = np.stack([horizontal.mean(0), vertical.mean(0), effort.mean(0)], axis=-1)
    features: FloatArray = per_joint.reshape(-1)
    return features


def as_positions(positions: npt.NDArray[Any], minimum_frames: int) -> FloatArray:
    """Check joint positions (T, J, 3) and return them as float64."""
    array = np.asarray(positions, np.float64)
    if array.ndim != 3 or array.shape[2] != 3 or len(array) < minimum_frames:
        raise InputError(
            f"positions have shape {array.shape}; expected ({minimum_frames} or more frames, joints, 3)"
        )
    return array


def _windowed_mean(values: FloatArray, first: int, last: int, count: int | None = None) -> FloatArray:
    """Average `values`, which belong to frames first ... last, around frames 1 ... count.

    Each average takes the values that exist within two frames on either side.
    """
    count = last if count is None else count
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    frames = np.arange(1, count + 1)
    low = np.clip(frames - _REACH_FRAMES, first, last) - first
    high = np.clip(frames + _REACH_FRAMES, first, last) - first + 1
    mean: FloatArray = (sums[high] - sums[low]) / (high - low)[:, None, None]
    return mean
