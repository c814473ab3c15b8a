"""Motion files of all kinds on our body at 60 Hz, with what retargeting has cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bailando.errors import InputError
from bailando.motion.bvh import read_bvh
from bailando.motion.motion import Motion, load_npz
from bailando.motion.pose import RootState, decode_motion, encode_pose
from bailando.motion.retarget import FRAME_RATE_HZ, RetargetError, retarget, retarget_error
from bailando.motion.smpl import read_smpl

SUFFIXES = (".bvh", ".pkl", ".npz")
MIN_FPS = 20.0
"""Motion of fewer frames a second has lost too much of a dance to make 60 of them."""


@dataclass(frozen=True, eq=False)
class ReadMotion:
    """A motion file, read.

    Parameters
    ----------
    motion
        On our body at 60 Hz.
    fps
        Frames a second of the file.
    cut_frames
        60 Hz frames that retargeting cut off at the start (a pose before the dance).
    error
        How far limbs are from the source's; None where rotations were taken over as they are.
    """

    motion: Motion
    fps: float
    cut_frames: int = 0
    error: RetargetError | None = None


def read_motion(path: Path, joint_map: Mapping[str, str] | None = None) -> ReadMotion:
    """Read a BVH file, an SMPL pickle or archive (AIST++, AMASS), or an archive of our own.

    Parameters
    ----------
    path
        The file; its suffix tells BVH, pickle and archive apart, an archive's keys whose it is.
    joint_map
        Our joint names to the file's, for BVH skeletons that cannot be guessed.

    Raises
    ------
    InputError
        If the file cannot be read, its joints are not found, or it has fewer than `MIN_FPS`.
    """
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        bvh = read_bvh(path)
        _check_rate(path, bvh.fps)
        motion = retarget(bvh, joint_map)
        cut = max(0, round(bvh.frame_count * motion.fps / bvh.fps) - motion.frame_count)
        return ReadMotion(motion, bvh.fps, cut, retarget_error(bvh, motion, joint_map))
    if suffix not in SUFFIXES:
        raise InputError(f"{path} is no motion file; expected one of {', '.join(SUFFIXES)}")
    motion = load_npz(path) if suffix == ".npz" and _is_ours(path) else read_smpl(path, fps=None)
    _check_rate(path, motion.fps)
    return ReadMotion(motion.resample(FRAME_RATE_HZ), motion.fps)


def round_trip_mm(motion: Motion) -> float:
    """Return the mean joint error of a motion after pose channels and back, in millimetres."""
    again = decode_motion(*encode_pose(motion), RootState.at_start_of(motion), motion.fps, motion.skeleton)
    return 1000 * float(np.linalg.norm(again.positions - motion.positions, axis=-1).mean())


def _check_rate(path: Path, fps: float) -> None:
    if fps < MIN_FPS:
        raise InputError(f"{path} has {fps:g} frames a second; expected {MIN_FPS:g} or more")


def _is_ours(path: Path) -> bool:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {"rotations", "root_position"} <= set(archive.files)
    except Exception:  # not an archive: the SMPL reader says so in its own words
        return False
