"""What a precision does to the motion: where joints go for the same codes, how its own dance moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bailando.engine.backends import Arrays
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.pose import TURN, VELOCITY, RootState, decode_pose
from bailando.motion.skeleton import Skeleton

FloatArray = NDArray[np.float64]

_MILLIMETRES = 1000.0


def joint_difference_mm(expected: Sequence[Arrays], found: Sequence[Arrays]) -> float:
    """Return the mean distance of the joints, mm, of two decodes of the same codes.

    Both bodies are put on one spot at every frame, so that the difference is the pose's and not the road's.

    Parameters
    ----------
    expected, found : sequence of dict
        ``upper_pose`` [B, 8, 90] and ``lower_pose`` [B, 8, 62] of each step.
    """
    first, second = _joints(expected, on_the_spot=True), _joints(found, on_the_spot=True)
    return float(np.linalg.norm(first - second, axis=-1).mean()) * _MILLIMETRES


def movement(poses: Sequence[Arrays]) -> tuple[float, float]:
    """Return the mean speed (m per frame) and jerk (m per frame^3) of the joints of a dance."""
    joints = _joints(poses, on_the_spot=False)
    speed, jerk = (np.linalg.norm(np.diff(joints, n=n, axis=1), axis=-1).mean() for n in (1, 3))
    return float(speed), float(jerk)


def _joints(poses: Sequence[Arrays], *, on_the_spot: bool) -> FloatArray:
    """Joint positions (B, frames, 24, 3) of the default skeleton, m."""
    upper, lower = (
        np.concatenate([step[name] for step in poses], axis=1) for name in ("upper_pose", "lower_pose")
    )
    if on_the_spot:
        lower = lower.copy()
        lower[..., VELOCITY.start : TURN + 1] = 0.0
    skeleton, dancers = Skeleton.default(), []
    for one in zip(upper, lower, strict=True):
        rotations, root, _, _ = decode_pose(*one, RootState())
        dancers.append(forward_kinematics(skeleton, rotations.astype(np.float64), root)[0])
    return np.stack(dancers)
