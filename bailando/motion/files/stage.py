"""Where the camera stands and where things of the stage appear in its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bailando.motion.files.body_shape import Capsule
from bailando.motion.kinematics import global_rotations
from bailando.motion.motion import Motion
from bailando.motion.rotations import FloatArray, rotate

_DISTANCE_M = 5.0
_CAMERA_HEIGHT_M = 1.45
_TARGET_HEIGHT_M = 0.98
_HALF_VIEW_RAD = np.radians(16.5)
_FOLLOW_S = 0.8
_NEAR_M = 0.3


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera in front of the dancer that looks along -Z, a little downwards.

    Parameters
    ----------
    width, height : int
        Size of the picture, pixels.
    centre : ndarray, shape (2,)
        Place on the floor (x, z) that it looks at, metres.
    """

    width: int
    height: int
    centre: FloatArray

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Pixels (..., 2) of points (..., 3), and pixels per metre (...) at their depth."""
        drop = np.arctan2(_CAMERA_HEIGHT_M - _TARGET_HEIGHT_M, _DISTANCE_M)
        place = np.array([self.centre[0], _CAMERA_HEIGHT_M, self.centre[1] + _DISTANCE_M])
        relative = points - place
        across = relative[..., 0]
        up = relative[..., 1] * np.cos(drop) - relative[..., 2] * np.sin(drop)
        depth = -relative[..., 1] * np.sin(drop) - relative[..., 2] * np.cos(drop)
        scale = self.height / 2 / np.tan(_HALF_VIEW_RAD) / np.maximum(depth, _NEAR_M)
        pixels = np.stack([self.width / 2 + across * scale, self.height / 2 - up * scale], axis=-1)
        return pixels, scale


def follow(motion: Motion) -> FloatArray:
    """Place on the floor (T, 2) that the camera looks at: the dancer's own, smoothed."""
    road = motion.root_position[:, [0, 2]].astype(np.float64)
    reach = min(max(1, round(3 * _FOLLOW_S * motion.fps)), 10 * motion.frame_count)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (_FOLLOW_S * motion.fps)) ** 2)
    weights /= weights.sum()
    padded = np.pad(road, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, axis], weights, "valid") for axis in range(2)], axis=-1)


def capsule_ends(motion: Motion, capsules: list[Capsule]) -> FloatArray:
    """Both ends of each capsule in the world, (T, C, 2, 3), metres."""
    joints = [capsule.joint for capsule in capsules]
    local = np.array([[capsule.start_m, capsule.end_m] for capsule in capsules])
    world = global_rotations(motion.skeleton, motion.rotations.astype(np.float64))[:, joints]
    return rotate(world[:, :, None], local) + motion.positions[:, joints, None]
