"""Unreal's JSON Live Link: one datagram of JSON per frame, for Epic's sample plugin of that name."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from bailando.engine.axes import convert_positions, convert_rotations
from bailando.engine.frame import Frame
from bailando.engine.sinks.base import DatagramSink
from bailando.engine.sinks.destination import Destination
from bailando.motion.skeleton import Skeleton

LIVELINK_PORT = 54321
SUBJECT = "bailando"
_LOCATION_DIGITS = 4
_ROTATION_DIGITS = 6
_UNIT_SCALE = [1.0, 1.0, 1.0]


class LiveLinkSink(DatagramSink):
    """The bones with their local transforms, in Unreal's axes and centimetres.

    The root bone carries the travel, the others their rest offsets. A frame is about 3 kB and thus more
    than one Ethernet frame: the plugin reads a pose out of one datagram, so it cannot be split.

    Parameters
    ----------
    destination
        A machine that runs Unreal with the plugin; its port is 54321.
    skeleton
        The body; its joint names become the bones'.
    """

    def __init__(self, destination: Destination, skeleton: Skeleton) -> None:
        super().__init__("livelink", destination)
        self._names = skeleton.joint_names
        self._parents = skeleton.parents
        self._offsets = convert_positions(skeleton.offsets.astype(np.float32), "unreal")

    def datagrams(self, frame: Frame) -> Sequence[bytes | None]:
        """Return the one datagram of the frame, None if it holds numbers that JSON cannot say."""
        finite = np.isfinite(frame.rotations).all() and np.isfinite(frame.root_position).all()
        return [self.encode(frame) if finite else None]

    def encode(self, frame: Frame) -> bytes:
        """Return the datagram of a frame."""
        locations = self._offsets.copy()
        locations[0] = convert_positions(frame.root_position, "unreal")
        rotations = convert_rotations(frame.rotations, "unreal")
        bones = [
            {"Name": name, "Parent": parent, "Location": place, "Rotation": turn, "Scale": _UNIT_SCALE}
            for name, parent, place, turn in zip(
                self._names,
                self._parents,
                np.round(locations.astype(np.float64), _LOCATION_DIGITS).tolist(),
                np.round(rotations.astype(np.float64), _ROTATION_DIGITS).tolist(),
                strict=True,
            )
        ]
        return json.dumps({SUBJECT: bones}, separators=(",", ":"), allow_nan=False).encode()
