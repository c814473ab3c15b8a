"""What travels from the engine to a viewer: the hello, the frames and the status."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bailando.engine.frame import FRAME_RATE_HZ, Frame
from bailando.motion.skeleton import Skeleton

PROTOCOL_VERSION = 1
FRAME_MAGIC = b"BLF1"
FRAME_HEADER = struct.Struct("<4sIdI5f")
"""Magic, frame number, media time (s), flags, beat phase, bpm, confidence, onset, level."""
FLAG_BEAT = 1
"""Set in the flags of a frame that a beat falls into."""


@dataclass(frozen=True)
class Hello:
    """What a viewer must know before the first frame.

    Parameters
    ----------
    skeleton : Skeleton
        The body that the rotations belong to.
    fps : float
        Frames a second.
    styles : tuple of str
        Styles that the `style` command accepts.
    title : str
        What is playing.
    """

    skeleton: Skeleton
    fps: float = FRAME_RATE_HZ
    styles: tuple[str, ...] = ("open",)
    title: str = "Bailando"

    def to_json(self) -> str:
        """Return the first message of every connection."""
        return json.dumps(
            {
                "type": "hello",
                "version": PROTOCOL_VERSION,
                "title": self.title,
                "fps": self.fps,
                "styles": list(self.styles),
                "skeleton": self.skeleton.to_dict(),
            }
        )


def pack_frame(frame: Frame) -> bytes:
    """Return one binary message, little endian: header, root position, rotations and contacts.

    Parameters
    ----------
    frame : Frame
        The frame; its number is sent modulo 2**32.
    """
    header = FRAME_HEADER.pack(
        FRAME_MAGIC,
        frame.number & 0xFFFFFFFF,
        frame.time_s,
        FLAG_BEAT if frame.beat else 0,
        frame.phase,
        frame.bpm,
        frame.confidence,
        frame.onset,
        frame.level,
    )
    body = np.concatenate((frame.root_position, frame.rotations.ravel(), frame.contacts), dtype="<f4")
    return header + body.tobytes()


def status_json(status: Mapping[str, Any]) -> str:
    """Return a status message; numbers that are not finite become null, as JSON knows none."""
    return json.dumps({"type": "status"} | {key: _finite(value) for key, value in status.items()})


def error_json(message: str, command: str | None = None) -> str:
    """Return the reply to a command that was refused."""
    return json.dumps({"type": "error", "command": command, "message": message})


def done_json(command: str) -> str:
    """Return the reply to a command that was carried out."""
    return json.dumps({"type": "done", "command": command})


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
