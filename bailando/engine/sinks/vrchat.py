"""VRChat's OSC trackers: the dance as eight body trackers and a head.

Addresses and conventions: https://docs.vrchat.com/docs/osc-trackers. World positions in metres and
Euler angles in degrees in Unity's axes (left-handed, Y up), applied in the order Z, X, Y.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bailando.engine.axes import convert_positions, convert_rotations
from bailando.engine.frame import Frame
from bailando.engine.sinks.base import PacketSink
from bailando.engine.sinks.destination import Destination
from bailando.engine.sinks.osc_packets import BundlePolicy, Packet, datagrams, floats, message
from bailando.motion.kinematics import global_rotations
from bailando.motion.rotations import to_euler
from bailando.motion.skeleton import JOINT_NAMES, Skeleton

VRCHAT_PORT = 9000
TRACKERS = {
    "1": "pelvis",
    "2": "spine3",
    "3": "left_ankle",
    "4": "right_ankle",
    "5": "left_knee",
    "6": "right_knee",
    "7": "left_elbow",
    "8": "right_elbow",
    "head": "head",
}
"""The joint that each tracker sits on: hip, chest, feet, knees, elbows; the head aligns the spaces."""

_VALUES_PER_TRACKER = 6


class VrchatSink(PacketSink):
    """Position and rotation of nine trackers per frame.

    Parameters
    ----------
    destination
        A machine that runs VRChat with OSC switched on; it listens on port 9000.
    skeleton
        The body whose joints are sent.
    bundle
        'none', one message a datagram, as VRChat's own example sends them; or a policy of
        `bailando.engine.sinks.osc_packets`.
    """

    def __init__(self, destination: Destination, skeleton: Skeleton, bundle: BundlePolicy = "none") -> None:
        super().__init__("vrchat", destination)
        self._skeleton = skeleton
        self._joints = [JOINT_NAMES.index(name) for name in TRACKERS.values()]
        messages = []
        for number, tracker in enumerate(TRACKERS):
            start = number * _VALUES_PER_TRACKER
            messages.append(message(f"/tracking/trackers/{tracker}/position", *floats(start, 3)))
            messages.append(message(f"/tracking/trackers/{tracker}/rotation", *floats(start + 3, 3)))
        self._packets = datagrams(messages, bundle, self.endpoint.is_loopback)

    @property
    def packets(self) -> Sequence[Packet]:
        """The datagrams of one frame, in order."""
        return self._packets

    def values(self, frame: Frame) -> NDArray[np.float32]:
        """Return position (m) and Euler angles (degrees) of each tracker, (54,) float32, Unity's axes."""
        positions = convert_positions(frame.positions[self._joints], "unity")
        world = global_rotations(self._skeleton, frame.rotations)[self._joints]
        angles = unity_euler_degrees(convert_rotations(world, "unity"))
        return np.concatenate([positions, angles], axis=1).ravel().astype(np.float32)


def unity_euler_degrees(rotations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Unity's Euler angles x, y, z in degrees of quaternions xyzw, (..., 4) to (..., 3).

    Unity turns about Z first, then X, then Y, all axes those of the world: R = Ry Rx Rz.
    """
    yxz = np.degrees(to_euler(rotations, "YXZ"))
    angles: NDArray[np.float32] = yxz[..., [1, 0, 2]].astype(np.float32)
    return angles
