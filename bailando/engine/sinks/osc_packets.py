"""OSC 1.0 datagrams whose numbers may be left open, to be patched for every frame.

Addresses, type tags and strings never change during a show, so a datagram is encoded once and the
native module only overwrites the numbers (`bailando._native.PacketTemplate`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bailando._native import PacketTemplate
from bailando.errors import ConfigError

# A bundle for now: receivers hold back bundles whose time tag lies in the future.
_BUNDLE_HEADER = b"#bundle\0" + struct.pack(">Q", 1)
# Payload that crosses an Ethernet link in one piece, with room for tunnels.
MTU_BYTES = 1400
# Payload of one UDP datagram over IPv4.
MAX_DATAGRAM_BYTES = 65507

FieldKind = Literal["float", "int", "pulse", "frame", "time"]
BundlePolicy = Literal["auto", "single", "mtu", "none"]


@dataclass(frozen=True)
class Slot:
    """A number left open: what to write there and, unless frame or time, which value.

    `initial` stands there until the first finite value comes.
    """

    kind: FieldKind
    index: int = 0
    initial: float = 0.0

    @property
    def tag(self) -> str:
        """The OSC type tag of the number."""
        return "f" if self.kind in ("float", "time") else "i"


Argument = str | int | float | Slot


@dataclass(frozen=True)
class Packet:
    """Encoded bytes and the open numbers in them: (offset, kind, value index)."""

    data: bytes
    fields: tuple[tuple[int, FieldKind, int], ...]

    def template(self, frame_rate_hz: float = 60.0) -> PacketTemplate:
        """Return a fresh template, for one sender."""
        return PacketTemplate(self.data, list(self.fields), frame_rate_hz)


def floats(start: int, count: int) -> tuple[Slot, ...]:
    """Return `count` open floats that take the values from index `start` on."""
    return tuple(Slot("float", start + step) for step in range(count))


def rotation(start: int) -> tuple[Slot, ...]:
    """Return an open quaternion xyzw that takes the values from index `start` on; first no rotation."""
    return (*floats(start, 3), Slot("float", start + 3, initial=1.0))


def _padded(text: str) -> bytes:
    data = text.encode("ascii")
    return data + b"\0" * (4 - len(data) % 4)


def message(address: str, *arguments: Argument) -> Packet:
    """Encode one OSC message; open numbers hold their initial value until they are patched."""
    tags, body = ",", b""
    fields: list[tuple[int, FieldKind, int]] = []
    for argument in arguments:
        if isinstance(argument, Slot):
            tags += argument.tag
            fields.append((len(body), argument.kind, argument.index))
            body += struct.pack(">f", argument.initial) if argument.tag == "f" else bytes(4)
        elif isinstance(argument, str):
            tags += "s"
            body += _padded(argument)
        elif isinstance(argument, int):
            tags += "i"
            body += struct.pack(">i", argument)
        else:
            tags += "f"
            body += struct.pack(">f", argument)
    head = _padded(address) + _padded(tags)
    shifted = tuple((offset + len(head), kind, index) for offset, kind, index in fields)
    return Packet(head + body, shifted)


def bundle(messages: Iterable[Packet]) -> Packet:
    """Encode a bundle of messages with the time tag 'immediately'."""
    data = _BUNDLE_HEADER
    fields: list[tuple[int, FieldKind, int]] = []
    for part in messages:
        data += struct.pack(">i", len(part.data))
        fields += [(offset + len(data), kind, index) for offset, kind, index in part.fields]
        data += part.data
    return Packet(data, tuple(fields))


def datagrams(
    messages: Sequence[Packet], policy: BundlePolicy, loopback: bool, closing: int = 0
) -> tuple[Packet, ...]:
    """Pack messages, in order, into datagrams.

    Parameters
    ----------
    messages
        The messages of one frame.
    policy
        'single': one bundle; 'mtu': bundles of at most `MTU_BYTES`; 'none': each message by itself;
        'auto': single on this machine, mtu on a network.
    loopback
        Whether the destination is this machine.
    closing
        How many of the last messages stay together when bundled.

    Raises
    ------
    ConfigError
        If one bundle would not fit into a UDP datagram.
    """
    if policy == "none":
        return tuple(messages)
    split = len(messages) - closing
    groups = [[part] for part in messages[:split]]
    if closing:
        groups.append(list(messages[split:]))
    one_bundle = policy == "single" or (policy == "auto" and loopback)
    limit = MAX_DATAGRAM_BYTES if one_bundle else MTU_BYTES
    packets: list[list[Packet]] = []
    size = limit + 1
    for group in groups:
        added = sum(4 + len(part.data) for part in group)
        if size + added > limit and (not one_bundle or not packets):
            packets.append([])
            size = len(_BUNDLE_HEADER)
        packets[-1] += group
        size += added
    if size > MAX_DATAGRAM_BYTES:
        raise ConfigError(f"{size} bytes do not fit into one datagram; choose the bundle policy mtu")
    return tuple(bundle(parts) for parts in packets)
