"""From a motion file to clean stretches of pose channels, plain and mirrored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bailando.motion.motion import Motion
from bailando.motion.pose import encode_pose
from bailando.training.config import PrepareConfig
from bailando.training.readers import ReadMotion
from bailando.training.sources import Recording

MAX_STEP_M = 0.25
"""No joint moves further than this in a sixtieth of a second (15 m/s); what does is a glitch."""

BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Loss:
    """Frames of a recording that do not enter the data set, and why."""

    recording: str
    frames: int
    reason: str


@dataclass(frozen=True, eq=False)
class Stretch:
    """A clean stretch of motion and where in its file, from the first 60 Hz frame, it begins."""

    motion: Motion
    first_frame: int


def cut_segments(
    read: ReadMotion, recording: Recording, config: PrepareConfig
) -> tuple[list[Stretch], list[Loss]]:
    """Cut a recording where frames are left out.

    Returns
    -------
    segments : list of Stretch
        Each at least ``min_segment_frames`` long, in the order of the recording.
    losses
        What was left out.
    """
    motion, cut = read.motion, read.cut_frames
    rate = motion.fps / read.fps
    losses: list[Loss] = []
    if cut > 1:
        losses.append(Loss(recording.name, cut, "pose before the dance"))
    kept = np.ones(motion.frame_count, np.bool_)
    _leave_out_still(kept, recording, config, rate, cut, losses)
    for first, last, reason in recording.dropped:
        first_60, last_60 = (frame * motion.fps / read.fps - cut for frame in (first, last))
        _leave_out(kept, first_60, last_60, recording, reason, losses)
    for frame in jumps(motion):
        _leave_out(kept, frame, frame, recording, "jump", losses)
    segments = []
    for start, stop in runs(kept):
        if stop - start < config.min_segment_frames:
            losses.append(Loss(recording.name, stop - start, "too short between dropped parts"))
        else:
            segments.append(Stretch(motion[start:stop], cut + start))
    return segments, losses


def at_speed(motion: Motion, speed: float) -> Motion:
    """Return the motion danced `speed` times as fast, at the same frame rate."""
    if speed == 1.0:
        return motion
    return replace(motion.resample(motion.fps / speed), fps=motion.fps)


def pose_arrays(motion: Motion) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return upper (2, T, 90) and lower (2, T, 62) channels, plain then mirrored; positions (T, 24, 3)."""
    pairs = [encode_pose(body) for body in (motion, motion.mirror())]
    upper, lower = (np.stack(halves) for halves in zip(*pairs, strict=True))
    return upper, lower, motion.positions


def jumps(motion: Motion) -> list[int]:
    """Return the frames that some joint reaches by a step longer than `MAX_STEP_M`."""
    steps = np.linalg.norm(np.diff(motion.positions, axis=0), axis=-1).max(axis=-1)
    return [int(frame) + 1 for frame in np.flatnonzero(steps > MAX_STEP_M)]


def runs(kept: BoolArray) -> list[tuple[int, int]]:
    """Return the stretches (start, stop) of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _leave_out_still(
    kept: BoolArray, recording: Recording, config: PrepareConfig, rate: float, cut: int, losses: list[Loss]
) -> None:
    if recording.moving is None:
        return
    first = recording.moving[0] * rate - cut - config.still_margin_frames
    last = recording.moving[1] * rate - cut + config.still_margin_frames
    _leave_out(kept, 0, first - 1, recording, "standing still", losses)
    _leave_out(kept, last + 1, len(kept) - 1, recording, "standing still", losses)


def _leave_out(
    kept: BoolArray, first: float, last: float, recording: Recording, reason: str, losses: list[Loss]
) -> None:
    """Clear frames first ... last (inclusive, rounded outwards) of `kept` in place and note the loss."""
    part = slice(max(0, int(np.floor(first))), max(0, int(np.ceil(last)) + 1))
    frames = int(kept[part].sum())
    kept[part] = False
    if frames:
        losses.append(Loss(recording.name, frames, reason))
