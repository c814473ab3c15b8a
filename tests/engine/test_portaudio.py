"""PortAudio between threads: no call meets another one, nor a stream that is gone."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest

from bailando._native import CaptureCallback, SampleRing
from bailando.engine.portaudio import DeviceStream, forget_devices, is_hanging
from bailando.errors import DeviceError
from tests.engine.fake_portaudio import FakePortAudio


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def started() -> DeviceStream:
    stream = DeviceStream("input", CaptureCallback(SampleRing(4800, 2)), 1, 48000, 2, 480)
    stream.start()
    return stream


def aside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(0.1)
    return thread


def ends(stream: DeviceStream) -> bool:
    """Whether it is inactive soon: closing goes on aside where it took long."""
    deadline_s = time.monotonic() + 5
    while stream.active and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return not stream.active


def test_stream_is_active_until_it_is_closed(library: FakePortAudio) -> None:
    stream = started()
    assert stream.active
    library.stream.runs = False
    assert not stream.active
    library.stream.runs = True
    assert stream.active
    library.stream.freed = True  # a host API that lost it
    assert not stream.active
    library.stream.freed = False
    stream.close()
    stream.close()
    assert not stream.active


def test_stream_that_is_being_closed_can_be_asked_at_once(library: FakePortAudio) -> None:
    stream = started()
    assert stream.active
    library.may_close.clear()
    closer = aside(stream.close)
    begun_s = time.monotonic()
    assert stream.active  # as it was when PortAudio could be asked
    assert time.monotonic() - begun_s < 1.0
    library.may_close.set()
    closer.join(5)
    assert ends(stream)


def test_streams_of_a_library_that_started_anew_are_never_touched(library: FakePortAudio) -> None:
    before = started()
    unstarted = DeviceStream("output", CaptureCallback(SampleRing(480, 2)), 0, 48000, 2, 480)
    forget_devices()
    assert not before.active
    with pytest.raises(DeviceError, match="closed meanwhile"):
        unstarted.start()
    before.close()
    assert started().active


def test_library_that_did_not_start_is_started_next_time(library: FakePortAudio) -> None:
    library.start_fails = True
    for _ in range(2):
        with pytest.raises(DeviceError, match="does not start; try again"):
            forget_devices()
    library.start_fails = False
    forget_devices()
    assert started().active


def test_close_does_not_wait_for_a_device_that_hangs(
    library: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailando.engine.portaudio._CLOSE_TIMEOUT_S", 0.1)
    stream = started()
    library.may_open.clear()
    opener = aside(lambda: started().close())
    begun_s = time.monotonic()
    stream.close()
    assert time.monotonic() - begun_s < 5.0
    assert is_hanging()
    library.may_open.set()
    opener.join(5)
    assert ends(stream)
    monkeypatch.undo()
    assert not is_hanging()
