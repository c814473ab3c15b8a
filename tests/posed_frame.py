"""One pose that shows every mistake of axes: left arm up, right foot forward, turned 30 degrees."""

from __future__ import annotations

import numpy as np

from bailando.engine.frame import Frame
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.rotations import from_axis_angle
from bailando.motion.skeleton import JOINT_NAMES, Skeleton

TURN_RAD = np.radians(30.0)
ROOT_M = (0.3, 0.9, -0.5)


def posed_frame(number: int = 0) -> Frame:
    """Turned to the dancer's left, that is from +Z towards +X."""
    vectors = np.zeros((24, 3))
    vectors[JOINT_NAMES.index("pelvis")] = (0.0, TURN_RAD, 0.0)
    vectors[JOINT_NAMES.index("left_shoulder")] = (0.0, 0.0, np.pi / 2)
    vectors[JOINT_NAMES.index("right_hip")] = (-0.7, 0.0, 0.0)
    rotations = from_axis_angle(vectors).astype(np.float32)
    positions, _ = forward_kinematics(Skeleton.default(), rotations, np.array(ROOT_M, np.float32))
    return Frame(
        number=number,
        positions=positions.astype(np.float32),
        rotations=rotations,
        root_position=np.array(ROOT_M, np.float32),
        contacts=np.zeros(4, np.float32),
    )
