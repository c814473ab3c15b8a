"""A take: a dance recorded while it happens, in a file that is whole after every frame.

The file is one line of JSON (the skeleton, the frame rate, what played), then records of fixed size in
the order in which the frames came, each `RECORD`. Nothing is ever rewritten, so whatever ends the
program, all frames that had been written can be read; half a record at the end is left out.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError, OutputError
from bailando.motion.files.registry import TAKE_SUFFIX
from bailando.motion.motion import MAX_FRAMES, Motion
from bailando.motion.rotations import normalize, slerp
from bailando.motion.skeleton import JOINT_NAMES, Skeleton

RECORD = np.dtype(
    [
        ("number", "<i8"),
        ("rotations", "<f4", (len(JOINT_NAMES), 4)),
        ("root_position", "<f4", (3,)),
        ("contacts", "<f4", (4,)),
    ]
)
"""Number of the frame, local rotations xyzw, place of the pelvis in metres, contacts."""

_FORMAT = "bailando-take-1"
_MAX_HEADER_BYTES = 100_000


class TakeWriter:
    """Appends frames to a take; every call of `write` leaves a whole file behind.

    Parameters
    ----------
    path : path
        The file, which must not exist.
    skeleton : Skeleton
        The body, of 24 joints.
    fps : float
        Frames per second of the numbers.
    about : mapping, optional
        Words to keep with the take, for example ``{"title": "song.mp3"}``.

    Raises
    ------
    OutputError
        If the file cannot be made.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        skeleton: Skeleton,
        fps: float,
        about: Mapping[str, str] | None = None,
    ) -> None:
        header = {"format": _FORMAT, "fps": fps, "skeleton": skeleton.to_dict(), "about": dict(about or {})}
        try:
            self._stream = io.FileIO(path, "x")
            self._stream.write(json.dumps(header).encode() + b"\n")
        except OSError as error:
            raise OutputError(f"cannot record to {path} ({error.strerror}); choose another folder") from None
        self._record = np.zeros((), RECORD)

    def write(
        self,
        number: int,
        rotations: npt.NDArray[np.float32],
        root_position: npt.NDArray[np.float32],
        contacts: npt.NDArray[np.float32],
    ) -> None:
        """Append one frame; raises OSError if the disk does not take it."""
        self._record["number"] = number
        self._record["rotations"] = rotations
        self._record["root_position"] = root_position
        self._record["contacts"] = contacts
        self._stream.write(self._record.tobytes())

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._stream.close()


def read_take(path: str | os.PathLike[str]) -> Motion:
    """Read a take as a motion; frames that never came are interpolated, so that time stays true.

    The first frame of the motion is frame 0 of the stream, which is the first sample of the sound.

    Raises
    ------
    InputError
        If the file is missing, is no take or holds no frame.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            header = stream.readline(_MAX_HEADER_BYTES)
            skeleton, fps = _read_header(header, path)
            content = stream.read(MAX_FRAMES * RECORD.itemsize)
    except OSError as error:
        raise InputError(
            f"cannot read {path} ({error.strerror}); give the path of a {TAKE_SUFFIX} file"
        ) from None
    records = np.frombuffer(content, RECORD, count=len(content) // RECORD.itemsize)
    numbers = records["number"]
    if not len(records):
        raise InputError(f"{path} holds no frame; the recording ended before the dance began")
    if numbers[0] < 0 or (np.diff(numbers) <= 0).any() or numbers[-1] >= MAX_FRAMES:
        raise InputError(f"{path} is damaged: its frames are not in order; copy the recording again")
    return _without_gaps(records, skeleton, fps)


def _read_header(line: bytes, path: Path) -> tuple[Skeleton, float]:
    try:
        header: Any = json.loads(line)
        if header["format"] != _FORMAT:
            raise ValueError("another format")
        fps = float(header["fps"])
        skeleton = Skeleton.from_dict(header["skeleton"])
        if not 1.0 <= fps <= 1000.0 or skeleton.joint_count != len(JOINT_NAMES):
            raise ValueError("out of range")
    except (ValueError, TypeError, KeyError, InputError):
        raise InputError(f"{path} is no recording of bailando-live; expected a {TAKE_SUFFIX} file") from None
    return skeleton, fps


def _without_gaps(records: npt.NDArray[Any], skeleton: Skeleton, fps: float) -> Motion:
    """Return the motion from frame 0 to the last, gaps bridged, the time before the first frame still."""
    numbers = records["number"]
    wanted = np.arange(numbers[-1] + 1)
    after = np.searchsorted(numbers, wanted)
    before = np.maximum(np.where(numbers[after] == wanted, after, after - 1), 0)
    span = np.maximum(numbers[after] - numbers[before], 1)
    weight = np.clip((wanted - numbers[before]) / span, 0, 1).astype(np.float32)[:, None]
    linear = {
        name: records[name][before] * (1 - weight) + records[name][after] * weight
        for name in ("root_position", "contacts")
    }
    rotations = normalize(np.ascontiguousarray(records["rotations"]))
    mixed = slerp(rotations[before], rotations[after], weight)
    return Motion(mixed, linear["root_position"], linear["contacts"], fps, skeleton)
