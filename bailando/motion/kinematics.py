"""Forward kinematics: local rotations and a root position to joint positions."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bailando.motion.rotations import FloatArray, product_matrix, rotate
from bailando.motion.skeleton import Skeleton


class _Tree(NamedTuple):
    """What of a skeleton can be computed once."""

    levels: tuple[tuple[npt.NDArray[np.intp] | slice, npt.NDArray[np.intp]], ...]
    """Per depth from 1 on: joints (a slice where they follow each other) and their parents."""
    parents: npt.NDArray[np.intp]
    chains: FloatArray
    """(J, J) float32: 1 where the column's bone leads to the row's joint."""
    offsets: FloatArray


@lru_cache(maxsize=16)
def _tree(skeleton: Skeleton) -> _Tree:
    depth = [0] * skeleton.joint_count
    chains = np.eye(skeleton.joint_count, dtype=np.float32)
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            depth[joint] = depth[parent] + 1
            chains[joint] += chains[parent]
    chains[:, 0] = 0  # the root's own place is given, not an offset
    levels: list[tuple[npt.NDArray[np.intp] | slice, npt.NDArray[np.intp]]] = []
    for level in range(1, max(depth) + 1):
        joints = [joint for joint, d in enumerate(depth) if d == level]
        together = joints[-1] - joints[0] + 1 == len(joints)
        place = slice(joints[0], joints[-1] + 1) if together else np.array(joints)
        levels.append((place, np.array([skeleton.parents[joint] for joint in joints])))
    parents = np.maximum(np.array(skeleton.parents), 0)
    return _Tree(tuple(levels), parents, chains, skeleton.offsets)


def global_rotations(skeleton: Skeleton, rotations: FloatArray) -> FloatArray:
    """Rotation of each joint against the world, (..., J, 4), from local rotations (..., J, 4)."""
    products = product_matrix(rotations)
    world: FloatArray = np.empty_like(rotations)
    world[..., 0, :] = rotations[..., 0, :]
    for joints, parents in _tree(skeleton).levels:
        above = world.take(parents, axis=-2)[..., None, :]
        world[..., joints, :] = (above @ products[..., joints, :, :])[..., 0, :]
    return world


def local_rotations(skeleton: Skeleton, world: FloatArray) -> FloatArray:
    """Rotation of each joint against its parent, (..., J, 4), from rotations against the world."""
    parents = _tree(skeleton).parents
    above = world[..., parents, :] * np.array([-1, -1, -1, 1], world.dtype)
    above[..., 0, :] = (0, 0, 0, 1)
    local: FloatArray = (above[..., None, :] @ product_matrix(world))[..., 0, :]
    return local


def forward_kinematics(
    skeleton: Skeleton, rotations: FloatArray, root_position: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Place the joints of a body.

    Parameters
    ----------
    skeleton : Skeleton
        Tree of J joints and their bones.
    rotations : ndarray, shape (..., J, 4)
        Local rotations, unit quaternions `xyzw`.
    root_position : ndarray, shape (..., 3)
        Position of the root joint, metres.

    Returns
    -------
    positions : ndarray, shape (..., J, 3)
        Joint positions, metres, in the floating type of `rotations`.
    global_rotations : ndarray, shape (..., J, 4)
        Rotations of the joints against the world.
    """
    tree = _tree(skeleton)
    world = global_rotations(skeleton, rotations)
    bones = rotate(world.take(tree.parents, axis=-2), tree.offsets.astype(rotations.dtype))
    positions: FloatArray = tree.chains.astype(rotations.dtype) @ bones
    positions += root_position.astype(rotations.dtype)[..., None, :]
    return positions, world
