"""Dances put one after the other without a seam.

The next dance is laid on the floor where the last one ended, facing the same way. What differs then, in pose
and in speed, is added to it and fades out: a polynomial of degree five from the difference to nothing, so
that position, velocity and acceleration arrive smoothly (inertial blending; Bollo, GDC 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bailando.errors import InputError
from bailando.motion.motion import Motion
from bailando.motion.rotations import (
    FloatArray,
    about_axis,
    from_axis_angle,
    heading,
    inverse,
    make_continuous,
    multiply,
    rotate,
    to_axis_angle,
)

BLEND_FRAMES = 20


def chain(motions: Sequence[Motion], blend_frames: int = BLEND_FRAMES) -> Motion:
    """Put dances one after the other.

    Parameters
    ----------
    motions : sequence of Motion
        Of one skeleton and frame rate, two frames or more each.
    blend_frames : int
        Frames over which the difference at a seam fades out.

    Returns
    -------
    Motion
        The first dance as it is, then the others; the first frame of each falls on the last of the one
        before. Codes are dropped.

    Raises
    ------
    InputError
        If there is nothing to chain, or the dances do not fit together.
    """
    if not motions or blend_frames < 2:
        raise InputError(
            f"chaining got {len(motions)} dances and a blend of {blend_frames} frames; expected 1 or more, "
            "and at least 2"
        )
    chained = motions[0]
    for motion in motions[1:]:
        _require_fit(chained, motion)
        chained = _append(chained, motion, blend_frames)
    return chained


def _require_fit(first: Motion, second: Motion) -> None:
    if first.fps != second.fps or first.skeleton != second.skeleton:
        raise InputError(
            f"chaining got dances of {first.fps:g} and {second.fps:g} frames a second or of two bodies; "
            "expected the same: resample or retarget first"
        )
    if min(first.frame_count, second.frame_count) < 2:
        raise InputError("chaining got a dance of one frame; expected two or more each")


def _append(first: Motion, second: Motion, blend_frames: int) -> Motion:
    before_rotations = first.rotations[-2:].astype(np.float64)
    before_root = first.root_position[-2:].astype(np.float64)
    rotations, root = _placed(second, before_rotations[-1, 0], before_root[-1])
    frames = np.arange(1, second.frame_count, dtype=np.float64)
    gap = _turn(rotations[0], before_rotations[-1])
    speed_gap = _turn(*before_rotations) - _turn(rotations[0], rotations[1])
    turned = multiply(from_axis_angle(_fade(gap, speed_gap, frames, blend_frames)), rotations[1:])
    speed_gap = (before_root[1] - before_root[0]) - (root[1] - root[0])
    moved = root[1:] + _fade(before_root[-1] - root[0], speed_gap, frames, blend_frames)
    return Motion(
        make_continuous(np.concatenate([first.rotations, turned])),
        np.concatenate([first.root_position, moved]),
        np.concatenate([first.contacts, second.contacts[1:]]),
        first.fps,
        first.skeleton,
    )


def _placed(motion: Motion, pelvis: FloatArray, root: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotations and root of a motion turned and moved over the floor to start where another ended."""
    rotations = motion.rotations.astype(np.float64)
    turn = about_axis("Y", heading(pelvis) - heading(rotations[0, 0]))
    rotations[:, 0] = multiply(turn, rotations[:, 0])
    path = rotate(turn, motion.root_position.astype(np.float64))
    path[:, [0, 2]] += (root - path[0])[[0, 2]]
    return rotations, path


def _turn(start: FloatArray, end: FloatArray) -> FloatArray:
    """Rotation vector that leads from `start` to `end`, the short way."""
    step = multiply(end, inverse(start))
    return to_axis_angle(np.where(step[..., 3:] < 0, -step, step))


def _fade(gap: FloatArray, speed_gap: FloatArray, frames: FloatArray, blend_frames: int) -> FloatArray:
    """Differences (T, ...) at `frames` (T,): at 0 `gap`, growing by `speed_gap` a frame; nothing at the end.

    The acceleration is zero at both ends.
    """
    shape = (-1, *[1] * gap.ndim)
    t = np.clip(frames / blend_frames, 0, 1).reshape(shape)
    of_gap = 1 - 10 * t**3 + 15 * t**4 - 6 * t**5
    of_speed = t - 6 * t**3 + 8 * t**4 - 3 * t**5
    faded: FloatArray = of_gap * gap + of_speed * speed_gap * blend_frames
    return faded
