"""Packet templates: what is written into a datagram, and what never is."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from bailando._native import PacketTemplate


def test_numbers_are_big_endian_at_their_offsets() -> None:
    template = PacketTemplate(b"\xaa" * 16, [(4, "float", 1), (12, "int", 0)])
    patched = template.patch(np.array([-3.0, 0.1]))
    assert patched == b"\xaa" * 4 + struct.pack(">f", 0.1) + b"\xaa" * 4 + struct.pack(">i", -3)


def test_frame_number_and_time_need_no_value() -> None:
    template = PacketTemplate(bytes(8), [(0, "frame", 0), (4, "time", 0)], frame_rate_hz=30.0)
    assert template.value_count == 0
    assert struct.unpack(">if", template.patch(np.zeros(0), 45)) == (45, 1.5)


def test_frame_number_wraps_instead_of_failing() -> None:
    assert PacketTemplate(bytes(4), [(0, "frame", 0)]).patch(np.zeros(0), 2**32 + 5) == struct.pack(">i", 5)


def test_pulse_is_silent_in_a_repeated_frame() -> None:
    template = PacketTemplate(bytes(8), [(0, "pulse", 0), (4, "int", 0)])
    assert struct.unpack(">ii", template.patch(np.ones(1))) == (1, 1)
    assert struct.unpack(">ii", template.patch(np.ones(1), repeated=True)) == (0, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["float", "int", "pulse"])
def test_numbers_that_are_not_finite_leave_the_last_good_one(kind: str, bad: float) -> None:
    template = PacketTemplate(bytes(4), [(0, kind, 0)])  # type: ignore[list-item]
    good = template.patch(np.array([2.0]))
    assert template.patch(np.array([bad])) == good


@pytest.mark.parametrize(
    ("value", "expected"), [(2.5, 3), (-2.5, -3), (1e20, 2147483520), (-1e20, -2147483520)]
)
def test_ints_are_rounded_and_clipped(value: float, expected: int) -> None:
    template = PacketTemplate(bytes(4), [(0, "int", 0)])
    assert struct.unpack(">i", template.patch(np.array([value], dtype=np.float32))) == (expected,)


@pytest.mark.parametrize(("size", "offset"), [(4, 4), (8, 6), (3, 0), (0, 0), (8, 2**32 - 4)])
def test_field_outside_the_packet_is_refused(size: int, offset: int) -> None:
    with pytest.raises(ValueError, match="not an aligned word inside the packet"):
        PacketTemplate(bytes(size), [(offset, "float", 0)])


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of field 'double'"):
        PacketTemplate(bytes(4), [(0, "double", 0)])  # type: ignore[list-item]


def test_too_few_values_are_refused() -> None:
    template = PacketTemplate(bytes(4), [(0, "float", 3)])
    with pytest.raises(ValueError, match="at least 4 values, got 3"):
        template.patch(np.zeros(3))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_frame_rate_is_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="frame rate"):
        PacketTemplate(b"", [], rate)
