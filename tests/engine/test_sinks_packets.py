"""Encoding and splitting of OSC packets, against python-osc."""

from __future__ import annotations

import numpy as np
import pytest
from pythonosc.osc_message_builder import OscMessageBuilder

from bailando.engine.sinks.osc_packets import (
    MTU_BYTES,
    Packet,
    Slot,
    bundle,
    datagrams,
    floats,
    message,
)
from bailando.errors import ConfigError
from tests.engine.udp_receiver import decode


def big_messages(count: int, floats_each: int = 40) -> list[Packet]:
    return [message(f"/part/{index}", *([0.5] * floats_each)) for index in range(count)]


@pytest.mark.parametrize("address", ["/a", "/ab", "/abc", "/abcd"])
def test_message_equals_python_osc_byte_for_byte(address: str) -> None:
    builder = OscMessageBuilder(address)
    for value, tag in ((7, "i"), (0.25, "f"), ("Hips", "s"), (-1, "i")):
        builder.add_arg(value, tag)
    assert message(address, 7, 0.25, "Hips", -1).data == builder.build().dgram


def test_open_numbers_are_patched_where_they_stand() -> None:
    packet = bundle([message("/x", "name", *floats(0, 2)), message("/n", Slot("frame"), Slot("pulse", 2))])
    patched = packet.template().patch(np.array([1.5, -2.0, 1.0]), frame_number=9)
    assert decode(patched) == [("/x", ["name", 1.5, -2.0]), ("/n", [9, 1])]


def test_bundle_carries_the_time_tag_immediately() -> None:
    assert bundle([message("/x", 1)]).data[:16] == b"#bundle\0" + bytes(7) + b"\1"


def test_single_policy_gives_one_bundle_of_any_size() -> None:
    packets = datagrams(big_messages(20), "single", loopback=False)
    assert len(packets) == 1
    assert len(packets[0].data) > MTU_BYTES


def test_mtu_policy_keeps_order_and_every_datagram_within_the_limit() -> None:
    packets = datagrams(big_messages(20), "mtu", loopback=True)
    assert len(packets) > 1
    assert all(len(packet.data) <= MTU_BYTES for packet in packets)
    addresses = [found.address for packet in packets for found in decode(packet.data)]
    assert addresses == [f"/part/{index}" for index in range(20)]


@pytest.mark.parametrize("count", range(5, 16))
def test_closing_messages_stay_together_in_the_last_datagram(count: int) -> None:
    packets = datagrams(big_messages(count), "mtu", loopback=False, closing=2)
    last = [found.address for found in decode(packets[-1].data)]
    assert last[-2:] == [f"/part/{count - 2}", f"/part/{count - 1}"]


def test_none_policy_sends_each_message_by_itself() -> None:
    messages = big_messages(3)
    assert datagrams(messages, "none", loopback=True) == tuple(messages)


@pytest.mark.parametrize(("loopback", "count"), [(True, 1), (False, 4)])
def test_auto_policy_splits_only_off_this_machine(loopback: bool, count: int) -> None:
    assert len(datagrams(big_messages(20), "auto", loopback)) == count


def test_one_bundle_larger_than_a_datagram_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose the bundle policy mtu"):
        datagrams(big_messages(20, floats_each=1000), "single", loopback=True)
