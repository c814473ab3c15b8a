"""The native PortAudio callback, called as PortAudio calls it."""

from __future__ import annotations

import ctypes
import gc
import weakref

import numpy as np
import pytest

from bailando._native import CaptureCallback, SampleRing, now_ns

BLOCKS = (1, 64, 65, 480, 8193)
INPUT_OVERFLOW = 2
CONTINUE = 0
LATENCY_S = 0.125


class TimeInfo(ctypes.Structure):
    _fields_ = (("input_adc", ctypes.c_double), ("now", ctypes.c_double), ("output_dac", ctypes.c_double))


SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.POINTER(TimeInfo),
    ctypes.c_ulong,
    ctypes.c_void_p,
)


def deliver(
    capture: CaptureCallback, block: np.ndarray | None, frames: int, adc_time_s: float = 0.0, flags: int = 0
) -> int:
    """Call the C function at the callback's address with one block."""
    pointer = None if block is None else block.ctypes.data
    time = TimeInfo(adc_time_s, adc_time_s + LATENCY_S, 0.0)
    return SIGNATURE(capture.address)(pointer, None, frames, ctypes.byref(time), flags, capture.userdata)


def ramp(start: int, frames: int, channels: int) -> np.ndarray:
    samples = np.arange(start * channels, (start + frames) * channels, dtype=np.float32)
    return samples.reshape(frames, channels)


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("capacity", [8193, 8194])
def test_blocks_of_any_size_reach_the_ring_across_the_wrap(capacity: int, channels: int) -> None:
    ring = SampleRing(capacity, channels)
    capture = CaptureCallback(ring)
    position = 0
    for turn in range(20):
        frames = BLOCKS[turn % 5]
        block = ramp(position, frames, channels)
        assert deliver(capture, block, frames) == CONTINUE
        np.testing.assert_array_equal(ring.read(frames), block)
        position += frames
    assert (capture.callbacks, capture.frames, ring.overruns) == (20, position, 0)
    assert position > 3 * capacity


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_full_ring_loses_and_counts_the_excess(excess: int) -> None:
    ring = SampleRing(480, 2)
    capture = CaptureCallback(ring)
    frames = 480 + excess
    deliver(capture, ramp(0, frames, 2), frames)
    assert (ring.available, ring.overruns) == (min(frames, 480), max(excess, 0))
    assert capture.frames == frames


def test_stamps_tell_when_each_block_was_recorded() -> None:
    ring = SampleRing(100)
    capture = CaptureCallback(ring)
    before = now_ns()
    deliver(capture, ramp(0, 64, 1), 64, adc_time_s=10.5)
    deliver(capture, ramp(0, 65, 1), 65, adc_time_s=10.75)
    stamps = capture.take_stamps()
    assert [stamp[:4] for stamp in stamps] == [(0, 0, 10.5, LATENCY_S), (64, 29, 10.75, LATENCY_S)]
    assert before <= stamps[0][4] <= stamps[1][4] <= now_ns()
    assert capture.last_arrival_ns == stamps[1][4]
    assert capture.last_adc_time_s == 10.75
    assert capture.take_stamps() == []


def test_driver_that_knows_no_recording_time_has_no_latency() -> None:
    capture = CaptureCallback(SampleRing(100))
    deliver(capture, ramp(0, 64, 1), 64, adc_time_s=0.0)
    assert capture.take_stamps()[0][2:4] == (0.0, 0.0)


def test_stamps_nobody_takes_are_counted_not_kept() -> None:
    capture = CaptureCallback(SampleRing(10), stamp_capacity=2)
    for _ in range(5):
        deliver(capture, ramp(0, 1, 1), 1)
    assert len(capture.take_stamps()) == 2
    assert capture.lost_stamps == 3


def test_overflow_flag_is_counted() -> None:
    capture = CaptureCallback(SampleRing(10))
    for flags in (0, INPUT_OVERFLOW, INPUT_OVERFLOW | 1):
        deliver(capture, ramp(0, 1, 1), 1, flags=flags)
    assert capture.input_overflows == 2


def test_missing_input_is_recorded_as_silence() -> None:
    ring = SampleRing(10)
    capture = CaptureCallback(ring)
    deliver(capture, np.ones((2, 1), np.float32), 2)
    deliver(capture, None, 3)
    np.testing.assert_array_equal(ring.read(10)[:, 0], [1, 1, 0, 0, 0])
    assert capture.missing_input == 1


def test_callback_keeps_its_ring_alive() -> None:
    class Marked(SampleRing):
        """A ring that can be weakly referenced."""

    ring = Marked(10)
    gone = weakref.ref(ring)
    capture = CaptureCallback(ring)
    del ring
    gc.collect()
    assert gone() is not None
    assert deliver(capture, ramp(0, 1, 1), 1) == CONTINUE


def test_sounddevice_accepts_address_and_userdata() -> None:
    try:
        sounddevice = pytest.importorskip("sounddevice", exc_type=ImportError)
    except OSError:
        pytest.skip("PortAudio is not installed")
    capture = CaptureCallback(SampleRing(10))
    ffi = sounddevice._ffi
    callback = ffi.cast("PaStreamCallback*", capture.address)
    block = np.array([0.25, -0.5], dtype=np.float32)
    time = ffi.new("PaStreamCallbackTimeInfo*", {"inputBufferAdcTime": 3.5})
    userdata = ffi.cast("void*", capture.userdata)
    assert callback(ffi.from_buffer(block), ffi.NULL, 2, time, 0, userdata) == CONTINUE
    assert (capture.frames, capture.last_adc_time_s) == (2, 3.5)
