from __future__ import annotations

import numpy as np
import torch

from bailando.motion.motion import Motion
from bailando.motion.pose import encode_pose
from bailando.motion.rotations import normalize, remove_heading
from bailando.training.kinematics import PoseKinematics
from bailando.training.losses import floor_velocity


def _random_motion(frames: int) -> Motion:
    rng = np.random.default_rng(0)
    rotations = normalize(rng.standard_normal((frames, 24, 4)) + np.array([0, 0, 0, 3.0]))
    return Motion(rotations, rng.standard_normal((frames, 3)), np.zeros((frames, 4)))


def _channels(motion: Motion) -> tuple[torch.Tensor, torch.Tensor]:
    upper, lower = encode_pose(motion)
    return torch.from_numpy(upper)[None], torch.from_numpy(lower)[None]


def test_positions_are_those_of_the_body_without_heading_and_place() -> None:
    motion = _random_motion(12)
    rotations = motion.rotations.copy()
    rotations[:, 0] = remove_heading(rotations[:, 0])
    in_place = motion.root_position * [0, 1, 0]
    wanted = Motion(rotations, in_place, motion.contacts).positions
    made = PoseKinematics()(*_channels(motion))
    np.testing.assert_allclose(made[0].numpy(), wanted, atol=1e-5)


def test_floor_velocity_is_how_far_joints_move_in_the_world() -> None:
    motion = _random_motion(12)
    upper, lower = _channels(motion)
    velocity = floor_velocity(PoseKinematics()(upper, lower), lower)
    moved = np.linalg.norm(np.diff(motion.positions, axis=0), axis=-1)
    np.testing.assert_allclose(velocity[0].norm(dim=-1).numpy(), moved, atol=1e-4)
