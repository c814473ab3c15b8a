"""Virtual Motion Capture protocol: the dance for VTuber programs, Unity, Unreal and Blender."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bailando.engine.axes import convert_positions, convert_rotations
from bailando.engine.frame import JOINTS, Frame
from bailando.engine.sinks.base import PacketSink
from bailando.engine.sinks.destination import Destination
from bailando.engine.sinks.osc_packets import BundlePolicy, Packet, Slot, datagrams, floats, message, rotation
from bailando.errors import ConfigError
from bailando.motion.files.vrm import VrmAvatar
from bailando.motion.rotations import multiply
from bailando.motion.skeleton import PARENTS

VMC_PORT = 39539

# Unity's HumanBodyBones for SMPL joints 0 to 21; the two hand joints have no counterpart.
BONES = (
    "Hips",
    "LeftUpperLeg",
    "RightUpperLeg",
    "Spine",
    "LeftLowerLeg",
    "RightLowerLeg",
    "Chest",
    "LeftFoot",
    "RightFoot",
    "UpperChest",
    "LeftToes",
    "RightToes",
    "Neck",
    "LeftShoulder",
    "RightShoulder",
    "Head",
    "LeftUpperArm",
    "RightUpperArm",
    "LeftLowerArm",
    "RightLowerArm",
    "LeftHand",
    "RightHand",
)

_IDENTITY = (0.0, 0.0, 0.0, 1.0)
# Loaded, calibrated, normal mode, tracking.
_OK = (1, 3, 0, 1)
_HIPS_POSITION = 3


class VmcSink(PacketSink):
    """A VMC performer: per frame Root, 22 bones, OK and T, in that order, in Unity's axes.

    The root stays at the origin and the hips carry the whole motion: receivers that ignore the root
    still see the dancer travel. Other bones keep their rest offsets as local positions, since several
    receivers write whatever position they are sent.

    Parameters
    ----------
    destination
        The receiver, usually port 39539.
    rest_offsets_m
        (24, 3) offsets of the joints from their parents in the rest pose, our axes.
    bundle
        'single' one bundle a frame; 'mtu' bundles of at most 1400 bytes, OK and T in the last; 'none'
        one message a datagram; 'auto' single on this machine, else mtu.
    avatar
        The receiver's avatar, if known. Its bones then take the place of ours: their offsets are sent,
        those that it lacks are left out and their rotations handed to the bones that follow.
    root_scale
        Multiplies the place of the hips (`VrmAvatar.root_scale`).
    """

    def __init__(
        self,
        destination: Destination,
        rest_offsets_m: NDArray[np.float32],
        bundle: BundlePolicy = "auto",
        avatar: VrmAvatar | None = None,
        root_scale: float = 1.0,
    ) -> None:
        offsets = np.asarray(rest_offsets_m, dtype=np.float32)
        if offsets.shape != (JOINTS, 3):
            raise ConfigError(f"rest offsets have shape {offsets.shape}; expected ({JOINTS}, 3)")
        super().__init__("vmc", destination)
        self._root_scale = np.float32(root_scale)
        self._missing = [] if avatar is None else [j for j in range(len(BONES)) if not avatar.has(j)]
        offsets = offsets if avatar is None else avatar.offsets_m
        messages = _messages(convert_positions(offsets, "unity"), self._missing)
        self._packets = datagrams(messages, bundle, self.endpoint.is_loopback, closing=2)

    @property
    def packets(self) -> Sequence[Packet]:
        """The datagrams of one frame, in order."""
        return self._packets

    def values(self, frame: Frame) -> NDArray[np.float32]:
        """Return position of the hips and rotations of the bones, (91,) float32, Unity's axes."""
        rotations = _handed_on(frame.rotations[: len(BONES)], self._missing)
        rotations = _normalised(convert_rotations(rotations, "unity"))
        hips = convert_positions(frame.root_position, "unity") * self._root_scale
        return np.concatenate([hips, rotations.ravel()])


def _handed_on(rotations: NDArray[np.float32], missing: Sequence[int]) -> NDArray[np.float32]:
    """Return local rotations (22, 4) with those of missing bones multiplied into the bones that follow."""
    if not missing:
        return rotations
    result = rotations.copy()
    for joint in missing:  # parents come first, so that chains of missing bones add up
        for child in range(joint + 1, len(BONES)):
            if PARENTS[child] == joint:
                result[child] = multiply(result[joint], result[child])
    return result


def _normalised(rotations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return unit quaternions; what is no rotation becomes NaN as a whole, so that none of it leaves."""
    lengths = np.linalg.norm(rotations, axis=-1, keepdims=True)
    lengths[~np.isfinite(lengths) | (lengths == 0.0)] = np.nan
    unit: NDArray[np.float32] = rotations / lengths
    return unit


def _messages(offsets: NDArray[np.float32], missing: Sequence[int]) -> list[Packet]:
    """Encode Root, the bones but the missing ones, OK and T; `offsets` are in Unity's axes."""
    messages = [message("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, *_IDENTITY)]
    for joint, bone in enumerate(BONES):
        if joint in missing:
            continue
        position = floats(0, 3) if joint == 0 else tuple(float(value) for value in offsets[joint])
        messages.append(message("/VMC/Ext/Bone/Pos", bone, *position, *rotation(_HIPS_POSITION + 4 * joint)))
    messages.append(message("/VMC/Ext/OK", *_OK))
    messages.append(message("/VMC/Ext/T", Slot("time")))
    return messages
