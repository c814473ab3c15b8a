"""Poses that tell at a glance whether a receiver has its axes right: a T-pose and a wave."""

from __future__ import annotations

import numpy as np

from bailando.engine.frame import FRAME_RATE_HZ, Frame
from bailando.motion.files.body_shape import standing_height_m
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.rotations import from_axis_angle
from bailando.motion.skeleton import JOINT_NAMES, Skeleton

_RAISED_RAD = 0.9
_SWING_RAD = 0.6
_WAVES_PER_S = 1.5


def t_pose(skeleton: Skeleton, number: int) -> Frame:
    """Return frame `number` of somebody who stands on the floor with the arms to the sides."""
    return _standing(skeleton, number, np.zeros((skeleton.joint_count, 3)))


def wave(skeleton: Skeleton, number: int) -> Frame:
    """Return frame `number` of somebody who waves with the left hand above the left shoulder."""
    vectors = np.zeros((skeleton.joint_count, 3))
    swing = _SWING_RAD * np.sin(2 * np.pi * _WAVES_PER_S * number / FRAME_RATE_HZ)
    vectors[JOINT_NAMES.index("left_shoulder")] = (0.0, 0.0, _RAISED_RAD)
    vectors[JOINT_NAMES.index("left_elbow")] = (0.0, 0.0, _RAISED_RAD + swing)
    vectors[JOINT_NAMES.index("right_shoulder")] = (0.0, 0.0, 1.3)  # hangs down
    return _standing(skeleton, number, vectors)


def _standing(
    skeleton: Skeleton, number: int, vectors: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> Frame:
    """Return a frame of local rotations as axis times angle, (24, 3) rad, feet on the floor."""
    rotations = from_axis_angle(vectors).astype(np.float32)
    root = np.array((0.0, standing_height_m(skeleton), 0.0), np.float32)
    positions, _ = forward_kinematics(skeleton, rotations, root)
    return Frame(
        number=number,
        positions=positions.astype(np.float32),
        rotations=rotations,
        root_position=root,
        contacts=np.ones(4, np.float32),
    )
