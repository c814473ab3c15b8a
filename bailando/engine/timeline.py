"""Frames by number between the thread that dances and the thread that sends.

Whoever sends always gets a frame: when the dance is late, the last movement goes on and dies away;
when it is back, what separates the two poses fades out instead of jumping.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bailando.engine.session import MotionChunk
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.rotations import from_axis_angle, inverse, multiply, normalize, to_axis_angle
from bailando.motion.skeleton import Skeleton

Float32Array = NDArray[np.float32]

DAMPING_PER_FRAME = np.float32(0.85)
BLEND_FRAMES = 12
CUT_BLEND_FRAMES = 45


@dataclass(frozen=True, eq=False)
class Pose:
    """One frame of a dancer: shapes (24, 4), (24, 3), (3,), (4,), all float32.

    `danced` is False for a frame that was invented because the dance was late; `cut` says that the
    dancer was put elsewhere before it.
    """

    rotations: Float32Array
    positions: Float32Array
    root_position: Float32Array
    contacts: Float32Array
    danced: bool = True
    cut: bool = False


class Timeline:
    """A queue of poses with numbers; `put` belongs to one thread, `take` and `wait` to another.

    Attributes
    ----------
    late_tokens : int
        Chunks of which at least one frame came too late.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._skeleton = skeleton
        self._ready = threading.Condition()
        self._poses: deque[Pose] = deque()
        self._next = 0
        self._end: int | None = None
        self._last: Pose | None = None
        self._before: Pose | None = None
        self._motion: tuple[Float32Array, Float32Array] | None = None
        self._offset: tuple[Float32Array, Float32Array] | None = None
        self._blend_left = 0
        self._blend_length = BLEND_FRAMES
        self.late_tokens = 0

    @property
    def next_number(self) -> int:
        """Number of the frame that `take` gives next."""
        return self._next

    def put(self, chunk: MotionChunk) -> None:
        """Add the frames of a chunk; those whose turn is over are dropped and the chunk counts as late."""
        with self._ready:
            skip = self._next + len(self._poses) - chunk.first_frame
            self.late_tokens += skip > 0
            for frame in range(max(skip, 0), len(chunk.rotations)):
                self._poses.append(
                    Pose(
                        chunk.rotations[frame],
                        chunk.positions[frame],
                        chunk.root_position[frame],
                        chunk.contacts[frame],
                        cut=chunk.cut and frame == max(skip, 0),
                    )
                )
            self._ready.notify()

    def finish(self, frames: int) -> None:
        """Say that the dance ends before frame number `frames`."""
        with self._ready:
            self._end = frames
            self._ready.notify()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the next frame or for the end; whether one of them is there."""
        with self._ready:
            return self._ready.wait_for(lambda: bool(self._poses) or self._ended, timeout_s)

    @property
    def ended(self) -> bool:
        """Whether all frames were taken and none will follow."""
        with self._ready:
            return self._ended

    @property
    def _ended(self) -> bool:
        return self._end is not None and self._next >= self._end

    def take(self) -> Pose:
        """Return the next frame, real, blended or extrapolated."""
        with self._ready:
            real = self._poses.popleft() if self._poses else None
            self._next += 1
        if real is None:
            pose = self._extrapolate()
        else:
            pose = self._blend(real)
            self._motion = None
        self._before, self._last = self._last, pose
        return pose

    def _extrapolate(self) -> Pose:
        """Let the last movement go on, each frame less."""
        if self._last is None:
            return _standing(self._skeleton)
        before = self._before or self._last
        turn, move = self._motion or (
            to_axis_angle(multiply(inverse(before.rotations), self._last.rotations)),
            self._last.root_position - before.root_position,
        )
        turn, move = turn * DAMPING_PER_FRAME, move * DAMPING_PER_FRAME
        self._motion = turn, move
        self._blend_left = self._blend_length = BLEND_FRAMES
        self._offset = None
        rotations = normalize(multiply(self._last.rotations, from_axis_angle(turn)))
        pose = self._pose(rotations, self._last.root_position + move, self._last.contacts)
        return replace(pose, danced=False)

    def _blend(self, real: Pose) -> Pose:
        """Fade out what separates the real dance from what was shown instead of it."""
        if real.cut:
            self._blend_left = self._blend_length = CUT_BLEND_FRAMES
            self._offset = None
        if not self._blend_left or self._last is None:
            return real
        if self._offset is None:
            turn = to_axis_angle(multiply(inverse(real.rotations), self._last.rotations))
            self._offset = turn, self._last.root_position - real.root_position
        turn, shift = self._offset
        weight = _smoothstep(self._blend_left / (self._blend_length + 1))
        self._blend_left -= 1
        rotations = normalize(multiply(real.rotations, from_axis_angle(turn * weight)))
        return self._pose(rotations, real.root_position + shift * weight, real.contacts)

    def _pose(self, rotations: Float32Array, root_position: Float32Array, contacts: Float32Array) -> Pose:
        positions, _ = forward_kinematics(self._skeleton, rotations, root_position)
        return Pose(
            rotations.astype(np.float32, copy=False),
            positions.astype(np.float32, copy=False),
            root_position.astype(np.float32, copy=False),
            contacts,
        )


def _smoothstep(share: float) -> np.float32:
    return np.float32(share * share * (3.0 - 2.0 * share))


def _standing(skeleton: Skeleton) -> Pose:
    """Return the body at rest with its feet on the floor."""
    rotations = np.zeros((24, 4), np.float32)
    rotations[:, 3] = 1.0
    root = np.zeros(3, np.float32)
    root[1] = -forward_kinematics(skeleton, rotations, root)[0][:, 1].min()
    positions, _ = forward_kinematics(skeleton, rotations, root)
    return Pose(rotations, positions, root, np.ones(4, np.float32), danced=False)
