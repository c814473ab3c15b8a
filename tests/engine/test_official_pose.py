from __future__ import annotations

import numpy as np

from bailando.engine.official_pose import (
    PositionsState,
    decode_positions,
    join_positions,
    rest_positions,
    rotations_from_positions,
    split_positions,
)
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.pose import FloorSteering
from bailando.motion.rotations import about_axis, from_axis_angle, multiply
from bailando.motion.skeleton import Skeleton

SKELETON = Skeleton.default()


def swinging_body(frames: int = 40) -> np.ndarray:
    """Joints (T, 24, 3) relative to the pelvis of a body that bends every joint and turns round."""
    random = np.random.default_rng(0)
    angles = random.normal(0, 0.35, (24, 3)) * np.sin(np.arange(frames) / 9)[:, None, None]
    rotations = from_axis_angle(angles)
    rotations[:, 0] = multiply(about_axis("Y", np.linspace(0, 3, frames)), rotations[:, 0])
    return forward_kinematics(SKELETON, rotations, np.zeros((frames, 3)))[0]


def test_positions_of_our_own_body_are_found_again() -> None:
    joints = swinging_body()
    rotations = rotations_from_positions(joints, SKELETON)
    found, _ = forward_kinematics(SKELETON, rotations, np.zeros((len(joints), 3)))
    np.testing.assert_allclose(found, joints, atol=0.002)


def test_a_larger_body_gives_the_same_rotations() -> None:
    joints = swinging_body()
    first = rotations_from_positions(joints, SKELETON)
    np.testing.assert_allclose(rotations_from_positions(1.3 * joints, SKELETON), first, atol=1e-9)


def test_splitting_and_joining_are_inverse() -> None:
    joints = swinging_body(5)
    np.testing.assert_allclose(join_positions(*split_positions(joints)), joints, atol=1e-6)


def test_road_is_the_sum_of_velocities_and_cuts_do_not_matter() -> None:
    upper, lower = split_positions(swinging_body())
    lower[:, :3] = (0.01, 0.0, 0.02)
    whole = decode_positions(upper, lower, PositionsState(), SKELETON)
    np.testing.assert_allclose(whole[1][:, 0], 0.01 * np.arange(40), atol=1e-6)
    np.testing.assert_allclose(whole[1][:, 2], 0.02 * np.arange(40), atol=1e-6)
    state, parts = PositionsState(), []
    for cut in (slice(0, 8), slice(8, 9), slice(9, 40)):
        *arrays, state = decode_positions(upper[cut], lower[cut], state, SKELETON)
        parts.append(arrays)
    for index in range(3):
        np.testing.assert_allclose(np.concatenate([p[index] for p in parts]), whole[index], atol=1e-6)


def test_feet_stay_above_the_floor_and_the_root_on_it() -> None:
    upper, lower = split_positions(np.tile(swinging_body(), (30, 1, 1)))
    lower[:, :3] = (0.03, -0.002, 0.0)
    rotations, root, contacts, _ = decode_positions(
        upper, lower, PositionsState(), SKELETON, FloorSteering(radius_m=2.0)
    )
    positions, _ = forward_kinematics(SKELETON, rotations, root)
    assert positions[..., 1].min() > -1e-4
    assert positions[..., 1].min(axis=1).max() < 0.4
    assert np.hypot(root[:, 0], root[:, 2]).max() <= 2.0 + 1e-6
    assert np.isfinite(contacts).all()


def test_a_standing_body_touches_the_floor_and_a_flying_one_does_not() -> None:
    upper, lower = rest_positions(SKELETON, 8)
    *_, contacts, state = decode_positions(upper, lower, PositionsState(), SKELETON)
    assert contacts.min() > 0.9
    lower[:, 1] = 0.05
    *_, contacts, _ = decode_positions(upper, lower, state, SKELETON)
    assert contacts[2:].max() < 0.1


def test_joints_in_one_point_give_finite_rotations() -> None:
    assert np.isfinite(rotations_from_positions(np.zeros((2, 24, 3)), SKELETON)).all()
