"""The sound that is played beside the motion, on PortAudio as the tests play it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from bailando._native import now_ns
from bailando.engine.audio_out import AudioOutput, find_output_device
from bailando.engine.portaudio import forget_devices
from bailando.errors import DeviceError
from tests.engine.fake_portaudio import FakePortAudio

pytestmark = pytest.mark.real_time
RATE = 48000


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


@pytest.mark.parametrize(("wanted", "index"), [("2", 2), ("speak", 0), ("default", 0)])
def test_output_is_found_by_index_name_or_default(portaudio: FakePortAudio, wanted: str, index: int) -> None:
    assert find_output_device(wanted)[0] == index


def test_unknown_output_lists_those_that_play(portaudio: FakePortAudio) -> None:
    with pytest.raises(DeviceError, match="0 'speaker', 2 'headphones'"):
        find_output_device("microphone")


def test_sample_sounds_when_its_motion_is_due(portaudio: FakePortAudio) -> None:
    output = AudioOutput("headphones", RATE)
    output.start()
    base_ns = now_ns() + 500_000_000
    output.play(np.linspace(0, 1, RATE, dtype=np.float32), base_ns)
    heard = portaudio.ask(4800, base_ns + 250_000_000)
    output.close()
    assert portaudio.opened[0]["samplerate"] == RATE
    assert heard[100, 0] == pytest.approx(0.25 + 100 / RATE, abs=2e-3)
    np.testing.assert_array_equal(heard[:, 0], heard[:, 1])


def test_device_that_does_not_open_is_one_line(portaudio: FakePortAudio) -> None:
    portaudio.fails = True
    with pytest.raises(DeviceError, match="does not open at 48000 Hz") as caught:
        AudioOutput("headphones", RATE).start()
    assert "\n" not in str(caught.value)


def test_device_that_went_away_is_opened_again_aside(portaudio: FakePortAudio) -> None:
    output = AudioOutput("headphones", RATE)
    output.start()
    portaudio.stream.runs = False
    output.play(np.zeros(480, np.float32), now_ns())
    deadline_s = time.monotonic() + 5
    while not output.reopened and time.monotonic() < deadline_s:
        time.sleep(0.01)
    output.close()
    assert (output.reopened, len(portaudio.opened)) == (1, 2)


@pytest.mark.parametrize("every", [0, 10], ids=["nothing", "a little"])
def test_device_that_hardly_asks_any_more_is_opened_again(
    every: int, portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ALSA's does after an underrun: the stream is active, but its callback is hardly called."""
    monkeypatch.setattr("bailando.engine.audio_out._WATCH_NS", 200_000_000)
    output = AudioOutput("headphones", RATE)
    output.start()
    for _ in range(50):
        output.play(np.zeros(480, np.float32), now_ns())
        portaudio.ask(480, now_ns())
        time.sleep(0.01)
    assert len(portaudio.opened) == 1
    started_s = time.monotonic()
    turn = 0
    while not output.reopened and time.monotonic() < started_s + 5:
        turn += 1
        output.play(np.zeros(480, np.float32), now_ns())
        if every and turn % every == 0:
            portaudio.ask(480, now_ns())
        time.sleep(0.01)
    output.close()
    assert (output.reopened, len(portaudio.opened)) == (1, 2)


def playing_until(output: AudioOutput, done: Callable[[], bool]) -> None:
    """Play silence, of which nothing is asked, until something is so."""
    deadline_s = time.monotonic() + 5
    while not done() and time.monotonic() < deadline_s:
        output.play(np.zeros(480, np.float32), now_ns())
        time.sleep(0.01)
    assert done()


def test_show_goes_on_while_a_device_takes_long_to_close(
    portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailando.engine.audio_out._WATCH_NS", 200_000_000)
    output = AudioOutput("headphones", RATE)
    output.start()
    monkeypatch.setattr("bailando.engine.audio_out._REOPEN_PAUSE_NS", 0)
    portaudio.may_close.clear()
    playing_until(output, lambda: portaudio.stream.freed)
    for _ in range(20):
        output.play(np.zeros(480, np.float32), now_ns())
        time.sleep(0.01)
    assert [thread.name for thread in threading.enumerate()].count("bailando-reopen") == 1
    portaudio.may_close.set()
    playing_until(output, lambda: output.reopened == 1)
    output.close()


def test_devices_looked_for_anew_by_the_input_are_opened_again(portaudio: FakePortAudio) -> None:
    output = AudioOutput("headphones", RATE)
    output.start()
    forget_devices()
    playing_until(output, lambda: output.reopened == 1)
    output.close()
    assert len(portaudio.streams) == 2


def test_device_that_opens_after_the_end_is_closed(
    portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailando.engine.audio_out._CLOSE_TIMEOUT_S", 0.1)
    output = AudioOutput("headphones", RATE)
    output.start()
    portaudio.stream.runs = False
    portaudio.may_open.clear()
    playing_until(output, lambda: portaudio.stream.freed)
    begun_s = time.monotonic()
    output.close()
    assert time.monotonic() - begun_s < 5.0
    portaudio.may_open.set()
    deadline_s = time.monotonic() + 5
    while len(portaudio.streams) < 2 or not portaudio.stream.freed:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
