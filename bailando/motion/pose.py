"""Pose channels: what the pose networks read and write, and the road of the root on the floor.

The layout is the table "Pose channels" of ARCHITECTURE.md: 90 channels for the upper body,
62 for the lower. Decoding carries the root from frame to frame in float64; its state is small,
explicit and independent of how the frames are cut into chunks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.motion.motion import Motion
from bailando.motion.rotations import (
    FloatArray,
    about_axis,
    from_6d,
    heading,
    multiply,
    remove_heading,
    to_6d,
    wrap_angle,
)
from bailando.motion.skeleton import LOWER_JOINTS, UPPER_JOINTS, Skeleton

REPRESENTATION = "rotation6d-heading"
UPPER_CHANNELS = 90
LOWER_CHANNELS = 62

UPPER_ROTATIONS = slice(0, 90)
LOWER_ROTATIONS = slice(0, 54)
HEIGHT = 54
"""Pelvis height above the floor, m."""
VELOCITY = slice(55, 57)
"""Pelvis velocity in its heading frame: x (left), z (forward), m per frame."""
TURN = 57
"""Turn of the heading about +Y, rad per frame."""
CONTACTS = slice(58, 62)
"""Contact probabilities of joints 7, 8, 10, 11."""

_UPPER = np.array(UPPER_JOINTS)
_LOWER = np.array(LOWER_JOINTS)

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RootState:
    """Where the root stood in the last frame and how it was about to move on.

    Parameters
    ----------
    x_m, z_m : float
        Place on the floor, metres.
    heading_rad : float
        Turn about +Y; 0 looks along +Z.
    velocity_x_m, velocity_z_m : float
        Movement from the last frame to the next, in the heading frame of the last (left, forward).
    turn_rad : float
        Turn of the heading from the last frame to the next.
    """

    x_m: float = 0.0
    z_m: float = 0.0
    heading_rad: float = 0.0
    velocity_x_m: float = 0.0
    velocity_z_m: float = 0.0
    turn_rad: float = 0.0

    @classmethod
    def at_start_of(cls, motion: Motion) -> RootState:
        """State from which decoding continues exactly where `motion` starts."""
        x, _, z = (float(value) for value in motion.root_position[0])
        return cls(x, z, float(heading(motion.rotations[0, 0].astype(np.float64))))


@dataclass(frozen=True)
class FloorSteering:
    """Keeps the root on a round floor by turning the dancer, not by pushing.

    A step that leads outward turns the dancer, like a car: the turn per metre grows smoothly from
    the inner radius to the edge, so a standing dancer is never turned. Only within the last tenth
    of the radius is what is left of the outward movement taken back.

    Parameters
    ----------
    radius_m : float
        Radius of the floor about the origin that the root never leaves.
    gain : float
        Turn at the edge in rad per `radius_m` walked; 0 turns nobody.
    free_fraction : float
        Part of the radius within which nothing is steered.
    """

    radius_m: float = 3.0
    gain: float = 6.0
    free_fraction: float = 0.3

    def __post_init__(self) -> None:
        if not self.radius_m > 0 or not self.gain >= 0 or not 0 <= self.free_fraction < 0.9:
            raise InputError(
                f"floor steering got radius_m={self.radius_m}, gain={self.gain}, free_fraction="
                f"{self.free_fraction}; expected radius_m > 0, gain >= 0, 0 <= free_fraction < 0.9"
            )

    def turn_rad(self, x_m: float, z_m: float, move_x_m: float, move_z_m: float) -> float:
        """Extra turn about +Y for a step (world axes) made at (x, z)."""
        distance, step = math.hypot(x_m, z_m), math.hypot(move_x_m, move_z_m)
        if distance < 1e-9 or step < 1e-9:
            return 0.0
        free = self.free_fraction * self.radius_m
        closeness = _smoothstep((distance - free) / (self.radius_m - free))
        outward = (x_m * move_x_m + z_m * move_z_m) / (distance * step)
        urgency = _smoothstep((outward + 0.9) / 1.2)
        # A turn about +Y takes +Z towards +X: which way leads inward sooner?
        way = -1.0 if x_m * move_z_m > z_m * move_x_m else 1.0
        return way * self.gain * step / self.radius_m * closeness * urgency

    def limit(self, x_m: float, z_m: float, move_x_m: float, move_z_m: float) -> tuple[float, float]:
        """Step (world axes) with the outward part faded out towards the edge."""
        distance = math.hypot(x_m, z_m)
        if distance < 1e-9:
            return move_x_m, move_z_m
        out_x, out_z = x_m / distance, z_m / distance
        outward = out_x * move_x_m + out_z * move_z_m
        room = 1.0 - _smoothstep((distance / self.radius_m - 0.9) / 0.1)
        if outward > 0:
            move_x_m -= (1.0 - room) * outward * out_x
            move_z_m -= (1.0 - room) * outward * out_z
        scale = self.radius_m / max(math.hypot(x_m + move_x_m, z_m + move_z_m), self.radius_m)
        return (x_m + move_x_m) * scale - x_m, (z_m + move_z_m) * scale - z_m


def _smoothstep(t: float) -> float:
    """0 below 0, 1 above 1, 3t² - 2t³ between."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


def encode_pose(motion: Motion) -> tuple[Float32Array, Float32Array]:
    """Pose channels of a motion.

    Parameters
    ----------
    motion : Motion
        T frames; height is measured from y = 0.

    Returns
    -------
    upper : ndarray, shape (T, 90), float32
    lower : ndarray, shape (T, 62), float32
        Velocity and turn of the last frame repeat those of the frame before it.
    """
    rotations = motion.rotations.astype(np.float64)
    angle = heading(rotations[:, 0])
    rotations[:, 0] = remove_heading(rotations[:, 0])
    six = to_6d(rotations)
    root = motion.root_position.astype(np.float64)
    lower: Float32Array = np.zeros((motion.frame_count, LOWER_CHANNELS), np.float32)
    lower[:, LOWER_ROTATIONS] = six[:, _LOWER].reshape(-1, 54)
    lower[:, HEIGHT] = root[:, 1]
    lower[:, CONTACTS] = motion.contacts
    if motion.frame_count > 1:
        move_x, move_z = np.diff(root[:, 0]), np.diff(root[:, 2])
        sine, cosine = np.sin(angle[:-1]), np.cos(angle[:-1])
        lower[:-1, VELOCITY.start] = cosine * move_x - sine * move_z
        lower[:-1, VELOCITY.start + 1] = sine * move_x + cosine * move_z
        lower[:-1, TURN] = wrap_angle(np.diff(angle))
        lower[-1, VELOCITY.start : TURN + 1] = lower[-2, VELOCITY.start : TURN + 1]
    upper: Float32Array = six[:, _UPPER].reshape(-1, UPPER_CHANNELS).astype(np.float32)
    return upper, lower


def decode_pose(
    upper: npt.NDArray[np.floating[Any]],
    lower: npt.NDArray[np.floating[Any]],
    state: RootState,
    steering: FloorSteering | None = None,
) -> tuple[Float32Array, Float32Array, Float32Array, RootState]:
    """Turn the pose channels of one body into its movement: `decode_poses` of it alone.

    Parameters
    ----------
    upper, lower : ndarray, shapes (T, 90) and (T, 62)
    state, steering
        As there.

    Returns
    -------
    rotations, root_position, contacts : ndarray, shapes (T, 24, 4), (T, 3) and (T, 4), float32
    state : RootState
        After the last frame.
    """
    rotations, root_position, contacts, (after,) = decode_poses(
        upper[None], lower[None], (state,), (steering,)
    )
    return rotations[0], root_position[0], contacts[0], after


def decode_poses(
    upper: npt.NDArray[np.floating[Any]],
    lower: npt.NDArray[np.floating[Any]],
    states: Sequence[RootState],
    steering: Sequence[FloorSteering | None],
) -> tuple[Float32Array, Float32Array, Float32Array, list[RootState]]:
    """Turn pose channels into N moving bodies; any cut into chunks gives the same result.

    Parameters
    ----------
    upper : ndarray, shape (N, T, 90)
    lower : ndarray, shape (N, T, 62)
        Pose channels; the 6-D rotations need not be orthonormal.
    states : sequence of RootState
        State of each after the frame before; `RootState()` starts at the origin looking along +Z.
    steering : sequence of FloorSteering or None
        Keeps each root on a round floor; None leaves the road as it was encoded.

    Returns
    -------
    rotations : ndarray, shape (N, T, 24, 4), float32
        Local rotations, `xyzw`.
    root_position : ndarray, shape (N, T, 3), float32
        Metres.
    contacts : ndarray, shape (N, T, 4), float32
        Within 0 to 1.
    states : list of RootState
        State of each after the last frame.
    """
    shape = len(states), lower.shape[1]
    if upper.shape != (*shape, UPPER_CHANNELS) or lower.shape != (*shape, LOWER_CHANNELS):
        raise InputError(
            f"pose channels have shapes {upper.shape[1:]} and {lower.shape[1:]}; expected "
            f"(T, {UPPER_CHANNELS}) and (T, {LOWER_CHANNELS}) with the same T"
        )
    six: Float32Array = np.empty((*shape, 24, 6), np.float32)
    six[:, :, _UPPER] = upper.reshape(*shape, 15, 6)
    six[:, :, _LOWER] = lower[..., LOWER_ROTATIONS].reshape(*shape, 9, 6)
    rotations: FloatArray = from_6d(six)
    steps = lower[..., VELOCITY.start : TURN + 1].tolist()
    walked = [_integrate(*walk) for walk in zip(steps, states, steering, strict=True)]
    roads = np.array([road for road, _ in walked], np.float64).reshape(*shape, 3)
    turns = about_axis("Y", roads[..., 2]).astype(np.float32)
    rotations[:, :, 0] = multiply(turns, rotations[:, :, 0])
    root_position: Float32Array = np.empty((*shape, 3), np.float32)
    root_position[..., 0::2] = roads[..., :2]
    root_position[..., 1] = lower[..., HEIGHT]
    contacts = np.clip(lower[..., CONTACTS], 0, 1).astype(np.float32)
    return rotations.astype(np.float32, copy=False), root_position, contacts, [after for _, after in walked]


def _integrate(
    steps: list[list[float]], state: RootState, steering: FloorSteering | None
) -> tuple[list[tuple[float, float, float]], RootState]:
    """Follow velocities and turns: x, z, heading of each frame, and the state after the last."""
    x, z, angle = state.x_m, state.z_m, state.heading_rad
    velocity_x, velocity_z, turn = state.velocity_x_m, state.velocity_z_m, state.turn_rad
    road = []
    for step in steps:
        sine, cosine = math.sin(angle), math.cos(angle)
        move_x = cosine * velocity_x + sine * velocity_z
        move_z = cosine * velocity_z - sine * velocity_x
        if steering is not None:
            turn += steering.turn_rad(x, z, move_x, move_z)
            move_x, move_z = steering.limit(x, z, move_x, move_z)
        x, z = x + move_x, z + move_z
        angle = math.remainder(angle + turn, math.tau)
        road.append((x, z, angle))
        velocity_x, velocity_z, turn = step
    after = RootState(x, z, angle, velocity_x, velocity_z, turn)
    return road, after


def decode_motion(
    upper: npt.NDArray[np.floating[Any]],
    lower: npt.NDArray[np.floating[Any]],
    state: RootState | None = None,
    fps: float = 60.0,
    skeleton: Skeleton | None = None,
) -> Motion:
    """Decode whole streams of pose channels into a `Motion` (see `decode_pose`)."""
    rotations, root_position, contacts, _ = decode_pose(upper, lower, state or RootState())
    return Motion(rotations, root_position, contacts, fps, skeleton or Skeleton.default())
