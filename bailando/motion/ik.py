"""Legs that reach given places: analytic two-bone kinematics of hip, knee and ankle, then the foot.

Vectorised over leading axes; a leg that is asked to stay where it is keeps its rotations exactly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bailando.motion.rotations import cross, dot, inverse, lengths, multiply, orthogonal, rotate

Array = npt.NDArray[np.floating[Any]]

_REACH = 0.9995
"""Longest a leg is made, as a part of both bones: never quite straight."""
_SOFT_REACH = 0.97
"""Part of both bones from which on a lengthened leg resists."""
_STRAIGHT_M = 0.03
"""Knee this near the line from hip to ankle: the way it bends is read off the thigh instead."""
_UNMOVED_M = 1e-7
_NO_TURN = np.array([0.0, 0, 0, 1])
_FORWARD = np.array([0.0, 0, 1])
_FLAT = np.array([1.0, 0, 1])
_TURNED_BY = np.array([0, 1, 2, 2])
"""Which of the turns of thigh, shin and foot each joint takes: toes go with the foot."""


class Legs(NamedTuple):
    """Both legs over time: joints hip, knee, ankle, toes along the axis of 4.

    Parameters
    ----------
    positions : ndarray, shape (..., 4, 3)
        Joint positions, metres.
    rotations : ndarray, shape (..., 4, 4)
        Rotations against the world, `xyzw`.
    above : ndarray, shape (..., 4)
        Rotation of the pelvis against the world.
    """

    positions: Array
    rotations: Array
    above: Array


def solve_legs(legs: Legs, ankles: Array, toes: Array, tip: Array, floor: bool) -> Array:
    """Bend legs so that ankles and toes come to the given places.

    Bones keep their lengths and knees the side they bend to. A leg that is made longer slows down
    towards its full reach instead of snapping straight. Toes take their target's height exactly;
    along the floor they lie on the line from the ankle to their target.

    Parameters
    ----------
    legs : Legs
        The animation.
    ankles, toes : ndarray, shape (..., 3)
        Targets, metres.
    tip : ndarray, shape (3,)
        End of the toes in their own frame.
    floor : bool
        Turn toes up whose tips would lie below y = 0.

    Returns
    -------
    ndarray, shape (..., 4, 4)
        Local rotations of hip, knee, ankle and toes.
    """
    hip, ankle, toe = (legs.positions[..., joint, :] for joint in (0, 2, 3))
    new_knee, new_ankle = _place_knees(legs, ankles)
    new_toe = _place_toes(new_ankle, toes, toe - ankle)
    before = legs.positions[..., 1:, :] - legs.positions[..., :3, :]
    after = np.stack([new_knee - hip, new_ankle - new_knee, new_toe - new_ankle], axis=-2)
    moved = np.abs(after - before).max(axis=(-1, -2), keepdims=True) > _UNMOVED_M
    turns = np.where(moved, _arc(before, after), _NO_TURN)
    world = multiply(turns.take(_TURNED_BY, axis=-2), legs.rotations)
    if floor:
        world[..., 3, :] = _lift_tips(world[..., 3, :], new_toe[..., 1], tip)
    parents = np.concatenate([legs.above[..., None, :], world[..., :3, :]], axis=-2)
    return multiply(inverse(parents), world)


def _place_knees(legs: Legs, ankles: Array) -> tuple[Array, Array]:
    """Positions of knees and ankles, each (..., 3)."""
    hip, knee, ankle = (legs.positions[..., joint, :] for joint in range(3))
    thigh, shin = lengths(knee - hip), lengths(ankle - knee)
    line, wanted = ankle - hip, ankles - hip
    was, distance = lengths(line), lengths(wanted)
    far = _soft_reach(distance, was, thigh + shin)
    far = np.maximum(far, np.abs(thigh - shin) + 0.02)
    way = wanted / np.maximum(distance, 1e-6)
    old_way = line / np.maximum(was, 1e-6)
    pole = rotate(_arc(old_way, way), _knee_pole(legs, old_way))
    pole = pole - way * dot(pole, way)
    pole = pole / np.maximum(lengths(pole), 1e-9)
    along = (thigh * thigh - shin * shin + far * far) / (2 * far)
    aside = np.sqrt(np.maximum(thigh * thigh - along * along, 0))
    new_knee = hip + way * along + pole * aside
    new_ankle = hip + way * far
    still = np.abs(ankles - ankle).max(axis=-1, keepdims=True) <= _UNMOVED_M
    return np.where(still, knee, new_knee), np.where(still, ankle, new_ankle)


def _knee_pole(legs: Legs, way: Array) -> Array:
    """Direction (..., 3) at right angles to the leg's line to which the knee bends."""
    bend = legs.positions[..., 1, :] - legs.positions[..., 0, :]
    bend = bend - way * dot(bend, way)
    forward = rotate(legs.rotations[..., 0, :], _FORWARD)
    forward = forward - way * dot(forward, way)
    straight = np.exp(-np.square(lengths(bend) / _STRAIGHT_M))
    pole = bend + 0.5 * _STRAIGHT_M * straight * forward
    size = lengths(pole)
    unit: Array = pole / np.maximum(size, 1e-6)
    return unit if size.min() > 1e-6 else np.where(size > 1e-6, unit, orthogonal(way))


def _soft_reach(distance: Array, was: Array, full: Array) -> Array:
    """Length of the leg: as asked when shorter than before or well bent, else slowing to full reach."""
    soft = np.maximum(_SOFT_REACH * full, was)
    room = np.maximum(_REACH * full - soft, 1e-5)
    over = np.maximum(distance - soft, 0)
    reach: Array = np.minimum(distance, soft) + room * (1 - np.exp(-over / room))
    return reach


def _place_toes(ankle: Array, target: Array, bone: Array) -> Array:
    """Toes at the target's height, a bone's length from the ankle, towards the target."""
    return ankle + _with_height(target - ankle, target[..., 1] - ankle[..., 1], bone)


def _with_height(way: Array, height: Array, bone: Array) -> Array:
    """Vector as long as `bone` that rises by `height` and lies along `way` on the floor."""
    length = lengths(bone)
    flat = way * _FLAT
    size = lengths(flat)
    if size.min() <= 1e-6:
        flat = np.where(size > 1e-6, flat, bone * _FLAT)
        size = lengths(flat)
    rise = np.minimum(np.maximum(height[..., None], -length), length)
    reach = np.sqrt(np.maximum(length * length - rise * rise, 0))
    result: Array = flat * (reach / np.maximum(size, 1e-9))
    result[..., 1] = rise[..., 0]
    return result


def _lift_tips(rotations: Array, heights: Array, tip: Array) -> Array:
    """Turn toes (..., 4) at the given heights so that their tips are not below the floor."""
    ends = rotate(rotations, tip)
    low = ends[..., 1] + heights < 0
    if not low.any():
        return rotations
    lifted = multiply(_arc(ends, _with_height(ends, -heights, ends)), rotations)
    return np.where(low[..., None], lifted, rotations)


def _arc(start: Array, end: Array) -> Array:
    """`rotations.shortest_arc` for bones, which never turn right round: a third of its time."""
    w = lengths(start) * lengths(end) + dot(start, end)
    q = np.concatenate([cross(start, end), np.maximum(w, 1e-9)], axis=-1)
    unit: Array = q / lengths(q)
    return unit
