"""Pose channels of the published models: joint positions, turned into a moving body of our skeleton.

Upper channels are the positions of `UPPER_JOINTS` relative to the pelvis, 15 × 3, metres; lower channels
those of `LOWER_JOINTS`, 9 × 3, with the pelvis' velocity (m per frame) in place of its own position.
Bones follow the directions between the joints with no twist added, so our body dances with its own
lengths. The road is walked on our round floor, and the floor lies where the feet are at their lowest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailando.engine.energy import EnergyState, scale_energy
from bailando.motion.kinematics import forward_kinematics, local_rotations
from bailando.motion.pose import FloorSteering
from bailando.motion.rotations import FloatArray, about_axis, from_matrix, multiply, rotate, shortest_arc
from bailando.motion.skeleton import CONTACT_JOINTS, LOWER_JOINTS, PARENTS, UPPER_JOINTS, Skeleton

REPRESENTATION = "positions"
UPPER_CHANNELS = 3 * len(UPPER_JOINTS)
LOWER_CHANNELS = 3 * len(LOWER_JOINTS)
VELOCITY = slice(0, 3)
"""Channels of the lower half that hold the pelvis' velocity, m per frame."""

_FRAME_S = 1.0 / 60.0
# The floor falls at once with a foot below it and rises this fast towards feet above it.
_FLOOR_RISE_M = 0.05 * _FRAME_S
_CONTACT_HEIGHT_M = 0.06
_CONTACT_SPEED_M_S = 0.5
_SHARPNESS = 4.0

Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class PositionsState:
    """What one frame leaves to the next, metres and radians.

    Attributes
    ----------
    root : tuple of 3 float
        Pelvis, y above the origin of the published world.
    velocity : tuple of 3 float
        Its move to the next frame, in the published world.
    turn_rad : float
        By how much the floor's edge has turned the dancer about +Y.
    floor_m : float or None
        Height of the floor in the published world; None before the first frame.
    feet : tuple of 12 float or None
        Ankles and toes in the last frame.
    """

    root: tuple[float, float, float] = (0.0, 0.0, 0.0)
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_rad: float = 0.0
    floor_m: float | None = None
    feet: tuple[float, ...] | None = None


def join_positions(upper: Float32Array, lower: Float32Array) -> FloatArray:
    """Return the joints (T, 24, 3) relative to the pelvis, which is at zero."""
    joints = np.zeros((len(upper), len(PARENTS), 3))
    joints[:, list(UPPER_JOINTS)] = upper.reshape(len(upper), -1, 3)
    joints[:, list(LOWER_JOINTS)] = lower.reshape(len(lower), -1, 3)
    joints[:, 0] = 0.0
    return joints


def split_positions(joints: FloatArray) -> tuple[Float32Array, Float32Array]:
    """Return the channels of joints (T, 24, 3) relative to a pelvis that stands still."""
    still = joints.astype(np.float32)
    still[:, 0] = 0.0
    count = len(still)
    return still[:, list(UPPER_JOINTS)].reshape(count, -1), still[:, list(LOWER_JOINTS)].reshape(count, -1)


def rotations_from_positions(joints: FloatArray, skeleton: Skeleton) -> FloatArray:
    """Return local rotations (T, 24, 4) that lay our bones along the directions of foreign ones.

    A joint that carries several bones takes the rotation that fits them best, one with a single bone
    the shortest arc from where its parent's rotation leaves the bone, one without bones its parent's.

    Parameters
    ----------
    joints : (T, 24, 3)
        Positions, in any place and of any proportions.
    """
    world: FloatArray = np.zeros((len(joints), len(PARENTS), 4))
    world[..., 3] = 1.0
    for joint, parent in enumerate(PARENTS):
        children = [child for child, above in enumerate(PARENTS) if above == joint]
        inherited = world[:, max(parent, 0)]
        bones = joints[:, children] - joints[:, [joint]]
        if len(children) > 1:
            world[:, joint] = _best_fit(skeleton.offsets[children], bones)
        elif children:
            now = rotate(inherited, skeleton.offsets[children[0]])
            world[:, joint] = multiply(shortest_arc(now, bones[:, 0]), inherited)
        else:
            world[:, joint] = inherited
    return local_rotations(skeleton, world)


def _best_fit(offsets: FloatArray, bones: FloatArray) -> FloatArray:
    """Rotations (T, 4) that take the directions (N, 3) nearest to (T, N, 3), in the least-squares sense."""
    ours = offsets / np.linalg.norm(offsets, axis=-1, keepdims=True)
    theirs = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)
    left, _, right = np.linalg.svd(np.swapaxes(theirs, -1, -2) @ ours)
    handed = np.ones((len(bones), 3))
    handed[:, 2] = np.sign(np.linalg.det(left @ right))
    return from_matrix((left * handed[:, None, :]) @ right)


def decode_positions(
    upper: Float32Array,
    lower: Float32Array,
    state: PositionsState,
    skeleton: Skeleton,
    steering: FloorSteering | None = None,
) -> tuple[Float32Array, Float32Array, Float32Array, PositionsState]:
    """Turn pose channels into a moving body; any cut into chunks gives the same result.

    Parameters
    ----------
    upper : (T, 45) float32
    lower : (T, 27) float32
    state : PositionsState
        State after the frame before.
    skeleton : Skeleton
        The body that dances.
    steering : FloorSteering, optional
        Keeps the root on a round floor.

    Returns
    -------
    rotations : (T, 24, 4) float32
        Local, xyzw.
    root_position : (T, 3) float32
        Metres, floor at y = 0.
    contacts : (T, 4) float32
        From the height and speed of ankles and toes; the published models know none.
    state : PositionsState
    """
    rotations = rotations_from_positions(join_positions(upper, lower), skeleton)
    road, turns, state = _walk(lower[:, VELOCITY].astype(np.float64), state, steering)
    rotations[:, 0] = multiply(about_axis("Y", turns), rotations[:, 0])
    positions, _ = forward_kinematics(skeleton, rotations, road)
    floor, state = _find_floor(positions[..., 1].min(axis=1), state)
    road[:, 1] -= floor
    positions[..., 1] -= floor[:, None]
    contacts, state = _feel_floor(positions[:, list(CONTACT_JOINTS)], skeleton, state)
    return rotations.astype(np.float32), road.astype(np.float32), contacts, state


def _walk(
    velocities: FloatArray, state: PositionsState, steering: FloorSteering | None
) -> tuple[FloatArray, FloatArray, PositionsState]:
    """Integrate velocities (T, 3): the road (T, 3), the turns added by the floor (T,), the state."""
    (x, y, z), velocity, turn = state.root, state.velocity, state.turn_rad
    road, turns = [], []
    for following in velocities.tolist():
        sine, cosine = math.sin(turn), math.cos(turn)
        move_x = cosine * velocity[0] + sine * velocity[2]
        move_z = cosine * velocity[2] - sine * velocity[0]
        if steering is not None:
            turn = math.remainder(turn + steering.turn_rad(x, z, move_x, move_z), math.tau)
            move_x, move_z = steering.limit(x, z, move_x, move_z)
        x, y, z = x + move_x, y + velocity[1], z + move_z
        road.append((x, y, z))
        turns.append(turn)
        velocity = (following[0], following[1], following[2])
    after = PositionsState((x, y, z), velocity, turn, state.floor_m, state.feet)
    return np.array(road), np.array(turns), after


def _find_floor(lowest: FloatArray, state: PositionsState) -> tuple[FloatArray, PositionsState]:
    """Return the floor's height (T,) for feet whose lowest points (T,) are given."""
    floor = float(lowest[0]) if state.floor_m is None else state.floor_m
    heights = []
    for low in lowest.tolist():
        floor += min(low - floor, _FLOOR_RISE_M)
        heights.append(floor)
    return np.array(heights), PositionsState(state.root, state.velocity, state.turn_rad, floor, state.feet)


def _feel_floor(
    feet: FloatArray, skeleton: Skeleton, state: PositionsState
) -> tuple[Float32Array, PositionsState]:
    """Return the contacts (T, 4) of feet (T, 4, 3): near 1 where they are low and slow."""
    before = feet[0] if state.feet is None else np.array(state.feet).reshape(4, 3)
    speed = np.linalg.norm(np.diff(feet, axis=0, prepend=before[None]), axis=-1) / _FRAME_S
    flat_foot = -skeleton.offsets[[10, 11], 1]
    height = feet[..., 1] - np.concatenate([flat_foot, np.zeros(2)])
    excess = np.maximum(np.maximum(height, 0.0) / _CONTACT_HEIGHT_M, speed / _CONTACT_SPEED_M_S)
    contacts = 1.0 / (1.0 + np.exp(np.clip(_SHARPNESS * (excess - 1.0) * 2.0, -60.0, 60.0)))
    last = tuple(float(value) for value in feet[-1].ravel())
    after = PositionsState(state.root, state.velocity, state.turn_rad, state.floor_m, last)
    return contacts.astype(np.float32), after


def scale_positions_energy(
    upper: Float32Array, lower: Float32Array, energy: Float32Array, state: EnergyState
) -> tuple[Float32Array, Float32Array, EnergyState]:
    """Scale the movement of a chunk as `bailando.engine.energy.scale_energy` does rotations."""
    scaled_upper, scaled_lower, after = scale_energy(upper, lower, energy, state)
    if np.any(energy != 1.0):
        scaled_lower[:, VELOCITY] = energy * lower[:, VELOCITY]
    return scaled_upper, scaled_lower, after


def rest_positions(skeleton: Skeleton, frames: int) -> tuple[Float32Array, Float32Array]:
    """Return the channels of a body at rest, standing still."""
    rotations = np.zeros((frames, len(PARENTS), 4))
    rotations[..., 3] = 1.0
    return split_positions(forward_kinematics(skeleton, rotations, np.zeros((frames, 3)))[0])
