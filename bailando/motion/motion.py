"""A dance on paper: rotations, root and contacts of a body over time, and its npz file."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.rotations import make_continuous, slerp
from bailando.motion.skeleton import JOINT_NAMES, MIRROR_JOINTS, Skeleton

NPZ_KEYS = (
    "positions",
    "rotations",
    "root_position",
    "contacts",
    "upper_codes",
    "lower_codes",
    "fps",
)
MAX_FRAMES = 2_000_000
"""Longest motion that is read: over nine hours at 60 Hz."""

# What numpy, zipfile and zlib raise on broken archives; the last two where it is no archive at all.
_UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    TypeError,
    AttributeError,
)

Float32Array = npt.NDArray[np.float32]
CodeArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Motion:
    """Movement of a body, T frames.

    Parameters
    ----------
    rotations : ndarray, shape (T, J, 4)
        Local rotations, unit quaternions `xyzw`; kept as float32.
    root_position : ndarray, shape (T, 3)
        Position of the pelvis, metres, floor at y = 0; kept as float32.
    contacts : ndarray, shape (T, 4)
        Probability that left ankle, right ankle, left toes, right toes touch the floor.
    fps : float
        Frames a second.
    skeleton : Skeleton
        The body with J joints.
    upper_codes, lower_codes : ndarray of int, shape (tokens,), optional
        The codes a generated dance was decoded from.

    Raises
    ------
    InputError
        If the shapes disagree, a number is not finite or fps is not positive.
    """

    rotations: npt.NDArray[Any]
    root_position: npt.NDArray[Any]
    contacts: npt.NDArray[Any]
    fps: float = 60.0
    skeleton: Skeleton = field(default_factory=Skeleton.default)
    upper_codes: npt.NDArray[Any] | None = None
    lower_codes: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        frame_count = len(self.rotations)
        shapes = {
            "rotations": (frame_count, self.skeleton.joint_count, 4),
            "root_position": (frame_count, 3),
            "contacts": (frame_count, 4),
        }
        for name, shape in shapes.items():
            array = np.asarray(getattr(self, name), np.float32)
            if array.shape != shape or frame_count == 0:
                raise InputError(f"motion has {name} of shape {array.shape}; expected {shape} with T >= 1")
            if not np.isfinite(array).all():
                raise InputError(f"motion has {name} that are not finite; expected ordinary numbers")
            object.__setattr__(self, name, array)
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise InputError(f"motion has {self.fps} frames a second; expected a positive number")
        for name in ("upper_codes", "lower_codes"):
            codes = getattr(self, name)
            if codes is not None:
                object.__setattr__(self, name, np.asarray(codes, np.int64))

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.rotations)

    @property
    def duration_s(self) -> float:
        """Seconds that the frames cover."""
        return self.frame_count / self.fps

    @cached_property
    def positions(self) -> Float32Array:
        """Joint positions (T, J, 3), float32, metres."""
        positions, _ = forward_kinematics(self.skeleton, self.rotations, self.root_position)
        return positions.astype(np.float32, copy=False)

    def __getitem__(self, frames: slice) -> Motion:
        """The motion of a range of frames, without codes."""
        return Motion(
            self.rotations[frames], self.root_position[frames], self.contacts[frames], self.fps, self.skeleton
        )

    def resample(self, fps: float) -> Motion:
        """The same movement at another frame rate.

        Rotations are interpolated on the sphere, positions and contacts linearly; the last frame
        is the last that lies within the motion. Codes are dropped.
        """
        if fps == self.fps:
            return self
        before, weight = resample_grid(self.frame_count, self.fps, fps)
        after = np.minimum(before + 1, self.frame_count - 1)
        mix = weight[:, None]
        return Motion(
            slerp(self.rotations[before], self.rotations[after], mix),
            self.root_position[before] * (1 - mix) + self.root_position[after] * mix,
            self.contacts[before] * (1 - mix) + self.contacts[after] * mix,
            fps,
            self.skeleton,
        )

    def mirror(self) -> Motion:
        """The movement seen in a mirror: left and right of the body exchanged, x negated.

        Needs the 24 joints of the default skeleton; codes are dropped.
        """
        if self.skeleton.joint_names != JOINT_NAMES:
            raise InputError("mirroring got a skeleton of other joints; expected the 24 of the SMPL order")
        sides = list(MIRROR_JOINTS)
        return replace(
            self,
            rotations=self.rotations[:, sides] * np.array([1, -1, -1, 1], np.float32),
            root_position=self.root_position * np.array([-1, 1, 1], np.float32),
            contacts=self.contacts[:, [1, 0, 3, 2]],
            upper_codes=None,
            lower_codes=None,
        )


def resample_grid(frame_count: int, fps: float, new_fps: float) -> tuple[npt.NDArray[np.intp], Float32Array]:
    """For each new frame the old frame at or before it and the weight of the one after, 0 to 1."""
    new_count = int(np.floor((frame_count - 1) * new_fps / fps + 1e-6)) + 1
    at = np.arange(new_count) * (fps / new_fps)
    before = np.minimum(np.floor(at + 1e-9).astype(np.intp), frame_count - 1)
    return before, np.clip(at - before, 0, 1).astype(np.float32)


def save_npz(path: str | os.PathLike[str], motion: Motion) -> None:
    """Write a motion with the keys `NPZ_KEYS`; codes that a motion lacks are written empty.

    The file holds positions (T, 24, 3) float32 in metres, rotations (T, 24, 4) local `xyzw`,
    root_position (T, 3), contacts (T, 4), upper_codes and lower_codes (tokens,), fps.
    """
    empty = np.zeros(0, np.int64)
    np.savez_compressed(
        path,
        positions=motion.positions,
        rotations=make_continuous(motion.rotations),
        root_position=motion.root_position,
        contacts=motion.contacts,
        upper_codes=empty if motion.upper_codes is None else motion.upper_codes,
        lower_codes=empty if motion.lower_codes is None else motion.lower_codes,
        fps=np.float64(motion.fps),
    )


def load_npz(path: str | os.PathLike[str], skeleton: Skeleton | None = None) -> Motion:
    """Read a motion written by `save_npz`; nothing in the file is ever executed.

    Parameters
    ----------
    path : path
        The .npz file.
    skeleton : Skeleton, optional
        The body it moves; the default person if not given.

    Raises
    ------
    InputError
        If the file is missing, is no such archive, lacks a key or holds arrays of wrong shapes.
    """
    arrays = _read_arrays(Path(path))
    fps = arrays["fps"]
    if fps.size != 1 or not np.issubdtype(fps.dtype, np.number):
        raise InputError(f"motion file {path} has fps of shape {fps.shape}; expected one number")
    codes = {name: arrays[name] if arrays[name].size else None for name in ("upper_codes", "lower_codes")}
    for name, array in codes.items():
        if array is not None and (array.ndim != 1 or not np.issubdtype(array.dtype, np.integer)):
            raise InputError(
                f"motion file {path} has {name} of {array.dtype} {array.shape}; expected integers"
            )
    for name in ("rotations", "root_position", "contacts"):
        if not np.issubdtype(arrays[name].dtype, np.floating) or arrays[name].ndim < 2:
            raise InputError(f"motion file {path} has {name} of {arrays[name].dtype}; expected float frames")
    try:
        return Motion(
            arrays["rotations"],
            arrays["root_position"],
            arrays["contacts"],
            float(fps.reshape(())),
            skeleton or Skeleton.default(),
            **codes,
        )
    except InputError as error:
        raise InputError(f"motion file {path}: {error}") from None


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        raise InputError(f"motion file {path} not found; give the path of a .npz file of a dance")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            missing = [key for key in NPZ_KEYS if key not in archive]
            if missing:
                raise InputError(f"motion file {path} lacks {', '.join(missing)}; expected {NPZ_KEYS}")
            _check_sizes(path)
            return {key: archive[key] for key in NPZ_KEYS}
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"motion file {path} is not a readable .npz archive: {reason}") from None


def _check_sizes(path: Path) -> None:
    """Refuse archives that unpack to more than `MAX_FRAMES` frames could need."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_FRAMES * 24 * 8 * 8:
        raise InputError(
            f"motion file {path} unpacks to {unpacked} bytes; expected at most {MAX_FRAMES} frames"
        )
