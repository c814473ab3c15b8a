"""The sample ring through its Python face."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailando._native import SampleRing

BLOCKS = (1, 64, 65, 480, 8193)


def ramp(start: int, frames: int, channels: int) -> np.ndarray:
    frame = np.arange(start, start + frames, dtype=np.float32)
    return np.stack([frame * (channel + 1) for channel in range(channels)], axis=1)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("capacity", [8192, 8193, 8194])
def test_odd_blocks_come_back_in_order_across_the_wrap(capacity: int, channels: int) -> None:
    ring = SampleRing(capacity, channels)
    written = read = 0
    for turn in range(40):
        written += ring.write(ramp(written, BLOCKS[turn % 5], channels))
        taken = ring.read(BLOCKS[(turn + 2) % 5])
        np.testing.assert_array_equal(taken, ramp(read, len(taken), channels))
        read += len(taken)
        assert ring.available == written - read
    assert written > 3 * capacity


@pytest.mark.parametrize("capacity", [1, 63, 64, 65])
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_capacity_is_exact_and_the_newest_frames_are_lost(capacity: int, excess: int) -> None:
    ring = SampleRing(capacity, 2)
    offered = capacity + excess
    assert ring.write(ramp(0, offered, 2)) == min(offered, capacity)
    assert ring.overruns == max(excess, 0)
    assert ring.written == ring.available == min(offered, capacity)
    np.testing.assert_array_equal(ring.read(offered), ramp(0, min(offered, capacity), 2))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60), st.integers(1, 20))
def test_every_frame_is_read_or_counted_as_lost(steps: list[tuple[int, int]], capacity: int) -> None:
    ring = SampleRing(capacity)
    offered, model = 0, []
    for write, read in steps:
        taken = ring.write(np.arange(offered, offered + write))
        model += range(offered, offered + taken)
        offered += write
        np.testing.assert_array_equal(ring.read(read)[:, 0], model[:read])
        del model[:read]
    assert ring.written + ring.overruns == offered
    assert ring.available == len(model)


def test_read_into_fills_only_the_beginning() -> None:
    ring = SampleRing(8, 2)
    ring.write(ramp(0, 3, 2))
    out = np.full((5, 2), -1, dtype=np.float32)
    assert ring.read_into(out) == 3
    np.testing.assert_array_equal(out[:3], ramp(0, 3, 2))
    np.testing.assert_array_equal(out[3:], -1)


def test_read_into_refuses_what_it_cannot_fill_in_place() -> None:
    ring = SampleRing(8, 2)
    with pytest.raises(TypeError):
        ring.read_into(np.zeros((4, 2), dtype=np.float64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="contiguous"):
        ring.read_into(np.zeros((2, 4), dtype=np.float32).T)
    with pytest.raises(ValueError, match=r"expected an array of shape \(frames, 2\)"):
        ring.read_into(np.zeros((4, 3), dtype=np.float32))


def test_silence_is_zeros() -> None:
    ring = SampleRing(4)
    ring.write(np.ones(2))
    assert ring.write_silence(5) == 2
    assert ring.overruns == 3
    np.testing.assert_array_equal(ring.read(9)[:, 0], [1, 1, 0, 0])


def test_flat_input_is_for_one_channel_only() -> None:
    assert SampleRing(4, 1).write(np.ones(3)) == 3
    with pytest.raises(ValueError, match="shape"):
        SampleRing(4, 2).write(np.ones(4))


@pytest.mark.parametrize(("capacity", "channels"), [(0, 1), (1, 0), (2**62, 8)])
def test_impossible_sizes_are_refused(capacity: int, channels: int) -> None:
    with pytest.raises(ValueError, match="ring"):
        SampleRing(capacity, channels)
