"""The sound that is played beside the motion, on PortAudio as the tests play it."""

from __future__ import annotations

import sys
import time
import types

import numpy as np
import pytest

from bailando._native import now_ns
from bailando.engine.audio_out import AudioOutput, find_output_device
from bailando.errors import DeviceError
from tests.cpp_ext.test_capture import SIGNATURE, TimeInfo

pytestmark = pytest.mark.real_time
RATE = 48000


class FakePortAudio(types.ModuleType):
    """The part of sounddevice that an `AudioOutput` uses; the test plays the audio thread."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.fails = False
        self.default = types.SimpleNamespace(device=(0, 2))
        self._ffi = types.SimpleNamespace(cast=lambda _, value: value)
        self.opened: list[dict[str, object]] = []
        self.stream: types.SimpleNamespace | None = None

    def query_devices(self) -> list[dict[str, object]]:
        return [
            {"name": "microphone", "max_output_channels": 0},
            {"name": "headphones", "max_output_channels": 2},
            {"name": "speakers", "max_output_channels": 8},
        ]

    def _StreamBase(self, kind: str, **options: object) -> object:  # noqa: N802  # sounddevice's name
        if self.fails:
            raise self.PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.opened.append(options | {"kind": kind})
        self.stream = types.SimpleNamespace(
            start=lambda: None, close=lambda ignore_errors=True: None, active=True
        )
        return self.stream

    def ask(self, frames: int, sounds_ns: int) -> np.ndarray:
        block = np.zeros((frames, 2), np.float32)
        callback = SIGNATURE(self.opened[-1]["callback"])  # type: ignore[arg-type]
        lead_s = (sounds_ns - now_ns()) / 1e9
        callback(
            None,
            block.ctypes.data,
            frames,
            TimeInfo(0.0, 10.0, 10.0 + lead_s),
            0,
            self.opened[-1]["userdata"],
        )
        return block


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


@pytest.mark.parametrize(("wanted", "index"), [("1", 1), ("speak", 2), ("default", 2)])
def test_output_is_found_by_index_name_or_default(portaudio: FakePortAudio, wanted: str, index: int) -> None:
    assert find_output_device(wanted)[0] == index


def test_unknown_output_lists_those_that_play(portaudio: FakePortAudio) -> None:
    with pytest.raises(DeviceError, match="1 'headphones', 2 'speakers'"):
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
    assert portaudio.stream is not None
    portaudio.stream.active = False
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
