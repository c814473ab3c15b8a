from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.backends import Arrays
from bailando.export.motion_effect import joint_difference_mm, movement
from bailando.motion.pose import HEIGHT, VELOCITY

STRAIGHT = np.array([1.0, 0, 0, 0, 1, 0], np.float32)


def walk(steps: int = 3, m_per_frame: float = 0.01, height_m: float = 1.0) -> list[Arrays]:
    """A stiff body that glides forward at an even speed."""
    upper = np.tile(STRAIGHT, 15)[None, None].repeat(8, axis=1)
    lower = np.zeros((1, 8, 62), np.float32)
    lower[..., :54] = np.tile(STRAIGHT, 9)
    lower[..., HEIGHT] = height_m
    lower[..., VELOCITY.start + 1] = m_per_frame
    return [{"upper_pose": upper.copy(), "lower_pose": lower.copy()} for _ in range(steps)]


def test_even_glide_has_its_speed_and_no_jerk() -> None:
    speed, jerk = movement(walk(m_per_frame=0.01))
    assert speed == pytest.approx(0.01, rel=1e-3)
    assert jerk < 1e-6


def test_higher_body_differs_by_its_height_and_the_road_counts_nothing() -> None:
    assert joint_difference_mm(walk(), walk(height_m=1.005)) == pytest.approx(5.0, rel=1e-3)
    assert joint_difference_mm(walk(), walk(m_per_frame=0.3)) == 0.0


def test_bent_arm_moves_only_its_own_joints() -> None:
    bent = walk()
    quarter = np.array([0.0, 1, 0, -1, 0, 0], np.float32)
    for step in bent:
        step["upper_pose"][..., -6 * 4 : -6 * 3] = quarter  # joint 20, the left wrist: the hand follows
    assert 0 < joint_difference_mm(walk(), bent) < 15.0


def test_shaking_shows_as_jerk() -> None:
    shaken = walk()
    for step in shaken:
        step["lower_pose"][:, ::2, HEIGHT] += 0.002
    assert movement(shaken)[1] > 5 * movement(walk())[1]
