"""Foot contacts from movement: low and slow, with hysteresis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.motion.skeleton import CONTACT_JOINTS, Skeleton

HEIGHT_ON_M = 0.045
HEIGHT_OFF_M = 0.075
SPEED_ON_M_S = 0.35
SPEED_OFF_M_S = 0.65
_SMOOTHING_S = 0.05


def detect_contacts(
    positions: npt.NDArray[np.floating[Any]], fps: float, skeleton: Skeleton | None = None
) -> npt.NDArray[np.float32]:
    """Find when ankles and toes are planted.

    A joint is planted once it is both lower than `HEIGHT_ON_M` above its height in a flat stand
    and slower than `SPEED_ON_M_S`; it stays so until it exceeds one of the `OFF` thresholds.

    Parameters
    ----------
    positions : ndarray, shape (T, 24, 3)
        Joint positions, metres, floor at y = 0.
    fps : float
        Frames a second.
    skeleton : Skeleton, optional
        Tells how high the ankle of a flat foot is.

    Returns
    -------
    ndarray, shape (T, 4), float32
        1 or 0 for left ankle, right ankle, left toes, right toes.
    """
    skeleton = skeleton or Skeleton.default()
    flat_foot = -skeleton.offsets[[10, 11], 1]
    stand_height = np.concatenate([flat_foot, np.zeros(2)])
    feet = positions[:, CONTACT_JOINTS].astype(np.float64)
    height = feet[..., 1] - stand_height
    speed = _speed(feet, fps)
    on = (height < HEIGHT_ON_M) & (speed < SPEED_ON_M_S)
    off = (height > HEIGHT_OFF_M) | (speed > SPEED_OFF_M_S)
    contacts = np.zeros(on.shape, bool)
    planted = on[0]
    for frame in range(len(on)):
        planted = np.where(planted, ~off[frame], on[frame])
        contacts[frame] = planted
    return contacts.astype(np.float32)


def _speed(feet: npt.NDArray[np.float64], fps: float) -> npt.NDArray[np.float64]:
    """Speed (T, 4) in metres a second over a window centred on each frame."""
    half = max(1, round(_SMOOTHING_S * fps / 2))
    frames = np.arange(len(feet))
    after, before = np.minimum(frames + half, len(feet) - 1), np.maximum(frames - half, 0)
    elapsed_s = np.maximum(after - before, 1) / fps
    speed: npt.NDArray[np.float64] = np.linalg.norm(feet[after] - feet[before], axis=-1) / elapsed_s[:, None]
    return speed
