"""A simple person around the bones: capsules, as a mesh to skin or as lines to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bailando.motion.rotations import FloatArray, rotate, shortest_arc
from bailando.motion.skeleton import Skeleton

_SIDES = 12
_RINGS = 4
"""Rings of one round end, pole included."""

_RADII_M = {
    "pelvis": 0.105,
    "hip": 0.075,
    "knee": 0.055,
    "spine1": 0.105,
    "spine2": 0.11,
    "spine3": 0.075,
    "neck": 0.05,
    "collar": 0.06,
    "shoulder": 0.047,
    "elbow": 0.04,
    "wrist": 0.035,
    "hand": 0.03,
    "ankle": 0.042,
    "foot": 0.038,
    "head": 0.1,
}
_OTHER_RADIUS_M = 0.05


@dataclass(frozen=True, eq=False)
class Capsule:
    """A rounded limb fixed to one joint.

    Parameters
    ----------
    joint : int
        The joint it moves with.
    start_m, end_m : ndarray, shape (3,)
        Centres of its round ends in the joint's frame, metres.
    radius_m : float
        Its thickness, half.
    """

    joint: int
    start_m: FloatArray
    end_m: FloatArray
    radius_m: float


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in the rest pose; every vertex moves with one joint.

    Parameters
    ----------
    positions, normals : ndarray, shape (V, 3)
        float32, metres, in the world at rest with the root at the origin.
    joints : ndarray, shape (V,)
        Joint of each vertex.
    triangles : ndarray, shape (F, 3)
        Corners, counter-clockwise seen from outside.
    """

    positions: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]
    joints: npt.NDArray[np.uint8]
    triangles: npt.NDArray[np.uint16]


def body_capsules(skeleton: Skeleton) -> list[Capsule]:
    """One capsule from each joint to each of its children, and one to the tip of each leaf."""
    capsules = []
    for child, parent in enumerate(skeleton.parents):
        if parent >= 0:
            end = skeleton.offsets[child]
            capsules.append(Capsule(parent, np.zeros(3), end, _radius_m(skeleton, parent)))
    for leaf in sorted(set(range(skeleton.joint_count)) - set(skeleton.parents)):
        tip = np.array(skeleton.tip_m(leaf))
        # The crown and the fingertips are where the skin ends, not the centre of a round end.
        radius = _radius_m(skeleton, leaf)
        end = tip * max(1 - radius / max(float(np.linalg.norm(tip)), 1e-6), 0.1)
        capsules.append(Capsule(leaf, np.zeros(3), end, radius))
    return capsules


def body_mesh(skeleton: Skeleton) -> Mesh:
    """The capsules of a body as one mesh of triangles."""
    rest = rest_positions(skeleton)
    positions, normals, joints, triangles = [], [], [], []
    first = 0
    for capsule in body_capsules(skeleton):
        directions, ends, faces = _unit_capsule()
        axis = capsule.end_m - capsule.start_m
        turn = shortest_arc(np.array([0.0, 1.0, 0.0]), axis / max(float(np.linalg.norm(axis)), 1e-9))
        normal = rotate(turn, directions)
        centre = np.where(ends[:, None], capsule.end_m, capsule.start_m)
        positions.append(rest[capsule.joint] + centre + capsule.radius_m * normal)
        normals.append(normal)
        joints.append(np.full(len(normal), capsule.joint))
        triangles.append(faces + first)
        first += len(normal)
    return Mesh(
        np.concatenate(positions).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
        np.concatenate(joints).astype(np.uint8),
        np.concatenate(triangles).astype(np.uint16),
    )


def rest_positions(skeleton: Skeleton) -> FloatArray:
    """Joint positions (J, 3) of the T-pose with the root at the origin, metres."""
    positions = np.zeros((skeleton.joint_count, 3))
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            positions[joint] = positions[parent] + skeleton.offsets[joint]
    return positions


def standing_height_m(skeleton: Skeleton) -> float:
    """Height of the root above the floor when the body stands at rest, metres."""
    return -float(rest_positions(skeleton)[:, 1].min())


def _radius_m(skeleton: Skeleton, joint: int) -> float:
    part = skeleton.joint_names[joint].removeprefix("left_").removeprefix("right_")
    return _RADII_M.get(part, _OTHER_RADIUS_M)


def _unit_capsule() -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Directions (V, 3) of the vertices of a capsule along +Y, whether each is of its end, faces."""
    half = np.linspace(0, np.pi / 2, _RINGS)
    tilt = np.concatenate([-np.pi / 2 + half, half])  # lower round end, then the upper
    around = 2 * np.pi * np.arange(_SIDES) / _SIDES
    ring = np.stack([np.cos(around), np.zeros(_SIDES), np.sin(around)], axis=-1)
    directions = ring * np.cos(tilt)[:, None, None] + np.array([0, 1, 0]) * np.sin(tilt)[:, None, None]
    ends = np.repeat(np.arange(2 * _RINGS) >= _RINGS, _SIDES)
    faces = []
    for row in range(2 * _RINGS - 1):
        for side in range(_SIDES):
            a, b = row * _SIDES + side, row * _SIDES + (side + 1) % _SIDES
            faces += [(a, a + _SIDES, b), (b, a + _SIDES, b + _SIDES)]
    return directions.reshape(-1, 3), ends, np.array(faces)
