"""Forward kinematics of pose channels in torch, for losses and errors in millimetres."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bailando.motion.pose import HEIGHT, LOWER_ROTATIONS
from bailando.motion.skeleton import LOWER_JOINTS, UPPER_JOINTS, Skeleton


def matrix_from_6d(six: Tensor) -> Tensor:
    """Return rotation matrices ``[..., 3, 3]`` of ``[..., 6]``: the first two columns, orthonormalised.

    Source: Zhou et al., On the continuity of rotation representations, CVPR 2019.
    """
    first, second = six[..., :3], six[..., 3:]
    x = F.normalize(first, dim=-1, eps=1e-6)
    y = F.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1, eps=1e-6)
    return torch.stack((x, y, torch.linalg.cross(x, y, dim=-1)), dim=-1)


class PoseKinematics(nn.Module):
    """Joint positions of pose channels on one skeleton, without the heading and the place on the floor.

    Joints are computed level by level of the tree, so that the work is a handful of batched products.
    """

    offsets: Tensor
    order: Tensor

    def __init__(self, skeleton: Skeleton | None = None) -> None:
        super().__init__()
        skeleton = skeleton or Skeleton.default()
        self.register_buffer("offsets", torch.tensor(skeleton.offsets, dtype=torch.float32))
        channel_joints = [*UPPER_JOINTS, *LOWER_JOINTS]
        order = [channel_joints.index(joint) for joint in range(skeleton.joint_count)]
        self.register_buffer("order", torch.tensor(order))
        self.levels = _levels(skeleton.parents)

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Return positions ``[..., 24, 3]`` in metres of channels ``[..., 90]`` and ``[..., 62]``."""
        six = torch.cat((upper, lower[..., LOWER_ROTATIONS]), dim=-1)
        local = matrix_from_6d(six.reshape(*six.shape[:-1], -1, 6))[..., self.order, :, :]
        height = lower[..., HEIGHT]
        root = torch.stack((torch.zeros_like(height), height, torch.zeros_like(height)), dim=-1)
        world = {0: local[..., 0, :, :]}
        positions = {0: root}
        for joints, parents in self.levels:
            parent_world = torch.stack([world[parent] for parent in parents], dim=-3)
            turned = torch.matmul(parent_world, self.offsets[joints].unsqueeze(-1)).squeeze(-1)
            level_world = torch.matmul(parent_world, local[..., joints, :, :])
            for place, (joint, parent) in enumerate(zip(joints, parents, strict=True)):
                positions[joint] = positions[parent] + turned[..., place, :]
                world[joint] = level_world[..., place, :, :]
        return torch.stack([positions[joint] for joint in range(len(positions))], dim=-2)


def _levels(parents: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Group the joints by their distance from the root: pairs of joints and their parents."""
    depth = [0] * len(parents)
    for joint, parent in enumerate(parents):
        depth[joint] = 0 if parent < 0 else depth[parent] + 1
    levels = []
    for level in range(1, max(depth) + 1):
        joints = [joint for joint in range(len(parents)) if depth[joint] == level]
        levels.append((joints, [parents[joint] for joint in joints]))
    return levels
