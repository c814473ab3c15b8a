"""From pose channels to a body on the floor: energy, the road of the root, feet that stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bailando.engine.energy import EnergyState, ease_energy, scale_energy
from bailando.engine.official_pose import REPRESENTATION as POSITIONS
from bailando.engine.official_pose import VELOCITY as POSITIONS_VELOCITY
from bailando.engine.official_pose import (
    PositionsState,
    decode_positions,
    rest_positions,
    scale_positions_energy,
)
from bailando.motion.grounding import BodyConfig, BodyState, refine_together
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.motion import Motion
from bailando.motion.pose import TURN, VELOCITY, FloorSteering, RootState, decode_poses, encode_pose
from bailando.motion.skeleton import Skeleton

Float32Array = NDArray[np.float32]
Channels = tuple[Float32Array, Float32Array]
"""Pose channels (T, C) of upper and lower body."""
FLOOR = FloorSteering()
# The root does not follow held feet, so that the steering has the last word on where the dancer is.
BODY = BodyConfig(root_follow=False)
_LARGEST_CHANNEL = 1e4


@dataclass(frozen=True)
class MotionChunk:
    """The frames of one token.

    Attributes
    ----------
    first_frame : int
        Number of the first frame; frame n belongs to media time n / 60 s. Negative for the standing
        body that a bundle with look-ahead gives before its dance begins.
    rotations : (8, 24, 4) float32
        Local unit quaternions xyzw.
    positions : (8, 24, 3) float32
        Joints in the world, metres.
    root_position : (8, 3) float32
        Pelvis in the world, metres.
    contacts : (8, 4) float32
        Probability that left ankle, right ankle, left toes, right toes touch the floor.
    upper_code, lower_code : int
        The codes the frames were decoded from.
    cut : bool
        Whether the dancer was put somewhere else before it, so that what is shown should fade over.
    """

    first_frame: int
    rotations: Float32Array
    positions: Float32Array
    root_position: Float32Array
    contacts: Float32Array
    upper_code: int
    lower_code: int
    cut: bool = False


@dataclass(frozen=True, eq=False)
class BodyMemory:
    """What a body carries from token to token; never changed in place, so a reference is a snapshot.

    Attributes
    ----------
    root : RootState or PositionsState
        Where it is on the floor and how it moves.
    refinement : BodyState
        Its feet's holds.
    energy : EnergyState
        Slow means of the channels.
    last_pose : (upper, lower) or None
        Channels of the last frame danced.
    """

    root: RootState | PositionsState
    refinement: BodyState
    energy: EnergyState
    last_pose: tuple[Float32Array, Float32Array] | None


@dataclass(frozen=True)
class Body:
    """A skeleton, its place and its floor; what changes is a `BodyMemory`.

    Parameters
    ----------
    skeleton : Skeleton
    representation : str
        What the pose channels mean (`PoseSpec`).
    frames : int
        Frames of a token.
    place_m : (x, z)
        Middle of the floor, metres.
    floor : FloorSteering
    refinement : BodyConfig
        What is put right about the feet and the rest.
    """

    skeleton: Skeleton
    representation: str
    frames: int
    place_m: tuple[float, float] = (0.0, 0.0)
    floor: FloorSteering = FLOOR
    refinement: BodyConfig = BODY

    def new_memory(self) -> BodyMemory:
        """Return that of a body that has not danced yet."""
        return BodyMemory(self._home(), BodyState(), EnergyState(), None)

    def at_home(self, memory: BodyMemory) -> BodyMemory:
        """Return the memory of the same dance, back on its place and facing front."""
        return replace(memory, root=self._home(), refinement=BodyState())

    def dance(self, poses: Channels | None, energy: float, memory: BodyMemory) -> tuple[Channels, BodyMemory]:
        """Return what is danced in one token, for `place_together`, and the memory of its energy.

        Parameters
        ----------
        poses : (upper (T, C), lower (T, C)) float32, or None
            What the decoder gave; None holds the last pose.
        energy : float
            Wanted size of the movement.
        memory : BodyMemory
        """
        upper, lower = poses or self.held_pose(memory)
        rescale = scale_energy if isinstance(memory.root, RootState) else scale_positions_energy
        eased = ease_energy(energy, memory.energy, len(upper))
        upper, lower, after = rescale(upper, lower, eased, memory.energy)
        return (upper, lower), replace(memory, energy=after, last_pose=(upper[-1], lower[-1]))

    def held_pose(self, memory: BodyMemory) -> Channels:
        """Return the last pose for a whole token, standing on its place."""
        steered = isinstance(memory.root, RootState)
        if memory.last_pose is None:
            return (_rest_pose if steered else rest_positions)(self.skeleton, self.frames)
        upper, lower = (np.repeat(channels[None], self.frames, axis=0) for channels in memory.last_pose)
        lower[:, slice(VELOCITY.start, TURN + 1) if steered else POSITIONS_VELOCITY] = 0.0
        return upper, lower

    def _home(self) -> RootState | PositionsState:
        return PositionsState() if self.representation == POSITIONS else RootState()


def place_together(
    bodies: Sequence[Body], poses: Sequence[Channels], memories: Sequence[BodyMemory]
) -> list[tuple[MotionChunk, BodyMemory]]:
    """Follow the roots' roads, hold the feet, keep them above the floor, and place the joints.

    Parameters
    ----------
    bodies : sequence of Body
        Of one skeleton, representation and number of frames.
    poses : sequence of (upper (T, C), lower (T, C))
        What `Body.dance` gave, or `Body.held_pose`.
    memories : sequence of BodyMemory

    Returns
    -------
    list of (MotionChunk, BodyMemory)
        The chunks are numbered 0, with codes 0; each is what it would be without the others.
    """
    skeleton = bodies[0].skeleton
    rotations, roads, contacts, roots = _decode(bodies, poses, memories)
    states: dict[int, BodyState] = {}
    for config in dict.fromkeys(body.refinement for body in bodies):
        rows = [row for row, body in enumerate(bodies) if body.refinement == config]
        before = [memories[row].refinement for row in rows]
        rotations[rows], roads[rows], after = refine_together(
            rotations[rows], roads[rows], contacts[rows], before, config, skeleton
        )
        states |= zip(rows, after, strict=True)
    roads += np.array([(x, 0.0, z) for x, z in (body.place_m for body in bodies)], np.float32)[:, None]
    positions, _ = forward_kinematics(skeleton, rotations, roads)
    return [
        (
            MotionChunk(0, rotations[row], positions[row], roads[row], contacts[row], 0, 0),
            replace(memory, root=roots[row], refinement=states[row]),
        )
        for row, memory in enumerate(memories)
    ]


def _decode(
    bodies: Sequence[Body], poses: Sequence[Channels], memories: Sequence[BodyMemory]
) -> tuple[Float32Array, Float32Array, Float32Array, list[RootState | PositionsState]]:
    """Return rotations (N, T, 24, 4), roads (N, T, 3), contacts (N, T, 4) and the roots' states after."""
    roots = [memory.root for memory in memories]
    steered = [root for root in roots if isinstance(root, RootState)]
    floors = [body.floor for body in bodies]
    if steered:
        upper, lower = (np.stack(channels) for channels in zip(*poses, strict=True))
        rotations, roads, contacts, after = decode_poses(upper, lower, steered, floors)
        return rotations, roads, contacts, list(after)
    decoded = [
        decode_positions(*channels, root, body.skeleton, body.floor)
        for channels, root, body in zip(poses, roots, bodies, strict=True)
        if isinstance(root, PositionsState)
    ]
    rotations, roads, contacts = (np.stack(parts) for parts in zip(*(d[:3] for d in decoded), strict=True))
    return rotations, roads, contacts, [after for *_, after in decoded]


def usable(channels: Float32Array) -> bool:
    """Whether all numbers are finite and so small that nothing after them can overflow."""
    return bool(np.all(np.abs(channels) < _LARGEST_CHANNEL))  # NaN compares false


def _rest_pose(skeleton: Skeleton, frames: int) -> tuple[Float32Array, Float32Array]:
    """Return the channels of a body at rest, standing."""
    rotations = np.zeros((frames, 24, 4), np.float32)
    rotations[..., 3] = 1.0
    root = np.zeros((frames, 3), np.float32)
    root[:, 1] = -float(forward_kinematics(skeleton, rotations[0], root[0])[0][:, 1].min())
    return encode_pose(Motion(rotations, root, np.ones((frames, 4), np.float32), skeleton=skeleton))
