"""Plain OSC for VJ programs: numbers only, the joint's name in the address."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from bailando.engine.axes import convention, convert_positions, convert_rotations
from bailando.engine.frame import Frame
from bailando.engine.sinks.base import PacketSink
from bailando.engine.sinks.channels import (
    CHANNELS,
    MUSIC_CHANNELS,
    POSITIONS_START,
    ROTATIONS_START,
    ChannelMap,
    channel_values,
)
from bailando.engine.sinks.destination import Destination
from bailando.engine.sinks.osc_packets import BundlePolicy, Packet, Slot, datagrams, floats, message, rotation
from bailando.motion.skeleton import JOINT_NAMES

OSC_PORT = 9000
NAMESPACE = "/bailando"


class OscSink(PacketSink):
    """The dance and the music as plain numbers under ``/bailando``.

    Parameters
    ----------
    destination
        The receiver.
    axes
        A convention of `bailando.engine.axes`.
    unit
        'm' or 'cm'; None takes the convention's own.
    flat
        One float per address (``.../pos/x``) and no ``/bailando/pose``.
    maps
        Further addresses fed with single numbers scaled to [0, 1].
    bundle
        As in `VmcSink`; here 'auto' always keeps within an Ethernet frame off this machine.
    only_maps
        Send the mapped addresses and nothing else, for programs that know no other.
    namespace
        What all addresses but the mapped ones begin with.
    """

    def __init__(
        self,
        destination: Destination,
        axes: str = "smpl",
        unit: str | None = None,
        flat: bool = False,
        maps: Sequence[ChannelMap] = (),
        bundle: BundlePolicy = "auto",
        only_maps: bool = False,
        namespace: str = NAMESPACE,
    ) -> None:
        self._axes = convention(axes).name
        self._unit = unit
        self._maps = tuple(maps)
        convert_positions(np.zeros(3, np.float32), axes, unit)  # an unknown unit fails here
        super().__init__("osc", destination)
        messages: list[Packet] = []
        if not only_maps:
            joints = _flat_messages(namespace) if flat else _joint_messages(namespace)
            messages += [*joints, *_music_messages(namespace)]
        for index, entry in enumerate(self._maps):
            messages.append(message(entry.address, Slot("float", len(CHANNELS) + index)))
        self._packets = datagrams(messages, bundle, self.endpoint.is_loopback)

    @property
    def packets(self) -> Sequence[Packet]:
        """The datagrams of one frame, in order."""
        return self._packets

    def values(self, frame: Frame) -> NDArray[np.float32]:
        """Return positions, rotations, music and mapped numbers, (174 + maps,) float32."""
        positions = convert_positions(frame.positions, self._axes, self._unit)
        values = channel_values(frame, positions, convert_rotations(frame.rotations, self._axes))
        mapped = [entry.apply(values) for entry in self._maps]
        return np.concatenate([values, np.array(mapped, dtype=np.float32)])


def _joint_messages(namespace: str) -> list[Packet]:
    """Encode the frame's number and time, the joints, the root and the whole pose at once."""
    positions = [floats(POSITIONS_START + 3 * joint, 3) for joint in range(len(JOINT_NAMES))]
    rotations = [rotation(ROTATIONS_START + 4 * joint) for joint in range(len(JOINT_NAMES))]
    whole = (*chain(*positions), *chain(*rotations))
    return [
        message(f"{namespace}/frame", Slot("frame")),
        message(f"{namespace}/time", Slot("time")),
        message(f"{namespace}/root/pos", *positions[0]),
        message(f"{namespace}/root/rot", *rotations[0]),
        *(message(f"{namespace}/joint/{n}/pos", *p) for n, p in zip(JOINT_NAMES, positions, strict=True)),
        *(message(f"{namespace}/joint/{n}/rot", *r) for n, r in zip(JOINT_NAMES, rotations, strict=True)),
        message(f"{namespace}/pose", Slot("frame"), Slot("time"), *whole),
    ]


def _flat_messages(namespace: str) -> list[Packet]:
    """Encode the frame's number and time, the joints and the root with one number per message."""
    messages = [message(f"{namespace}/frame", Slot("frame")), message(f"{namespace}/time", Slot("time"))]
    root = f"joint/{JOINT_NAMES[0]}/"
    for name, index in CHANNELS.items():
        if name.startswith(root):
            messages.append(message(f"{namespace}/root/{name.removeprefix(root)}", Slot("float", index)))
        if name.startswith("joint/"):
            messages.append(message(f"{namespace}/{name}", Slot("float", index)))
    return messages


def _music_messages(namespace: str) -> list[Packet]:
    """Encode the music; the beat is an int, so that it is not told twice when a frame is repeated."""
    messages = []
    for name in MUSIC_CHANNELS:
        kind = Slot("pulse", CHANNELS[name]) if name == "beat" else Slot("float", CHANNELS[name])
        messages.append(message(f"{namespace}/{name}", kind))
    return messages
