"""A made-up dance, one frame at a time: asymmetric, moving, on a beat of 120 a minute."""

from __future__ import annotations

import numpy as np

from bailando.engine.frame import JOINTS, Frame
from bailando.motion.skeleton import JOINT_NAMES


def dance_frame(number: int, swing: float = 1.0) -> Frame:
    """Return frame `number`; without swing the pose stands still: left arm up, turned 30 degrees."""
    angle = swing * np.sin(2 * np.pi * number / 60)
    rotations = np.tile(np.array([0, 0, 0, 1], np.float32), (JOINTS, 1))
    rotations[0] = _turn("y", np.pi / 6)
    rotations[JOINT_NAMES.index("left_shoulder")] = _turn("z", 1.0 + 0.4 * angle)
    rotations[JOINT_NAMES.index("right_shoulder")] = _turn("z", 0.9)
    rotations[JOINT_NAMES.index("right_elbow")] = _turn("y", 0.7)
    rotations[JOINT_NAMES.index("right_hip")] = _turn("x", -0.5 + 0.4 * angle)
    return Frame(
        number,
        positions=np.zeros((JOINTS, 3), np.float32),
        rotations=rotations,
        root_position=np.array([0.2 * angle, 0.985, 0.3], np.float32),
        contacts=np.array([1, 0, 1, 0], np.float32),
        beat=number % 30 == 0,
        bpm=120.0,
        phase=number % 30 / 30,
        confidence=0.9,
        level=0.6,
        onset=0.3,
    )


def _turn(axis: str, angle_rad: float) -> np.ndarray:
    quaternion = np.zeros(4, np.float32)
    quaternion["xyz".index(axis)] = np.sin(angle_rad / 2)
    quaternion[3] = np.cos(angle_rad / 2)
    return quaternion
