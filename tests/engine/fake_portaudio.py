"""The part of sounddevice that streams use; the test plays the audio thread and the broken library."""

from __future__ import annotations

import threading
import types
from typing import Any

import numpy as np

from bailando._native import now_ns
from tests.cpp_ext.test_capture import SIGNATURE, TimeInfo


class FakePortAudio(types.ModuleType):
    """A speaker, a microphone and headphones, by number; put it into `sys.modules` as sounddevice.

    As the real library it must not meet a call of another thread, nor a stream that it freed.
    """

    class PortAudioError(Exception):
        pass

    def __init__(self, fails: bool = False, channels: int = 2) -> None:
        super().__init__("sounddevice")
        self.fails = fails
        self.channels = min(channels, 2)
        self.device_channels = channels
        self.default = types.SimpleNamespace(device=(1, 0))
        self._ffi = types.SimpleNamespace(cast=lambda _, value: value)
        self._initialized = 1
        self.start_fails = False
        self.opened: list[dict[str, Any]] = []
        self.streams: list[FakeStream] = []
        self.may_close = threading.Event()
        self.may_close.set()
        self.may_open = threading.Event()
        self.may_open.set()

    @property
    def stream(self) -> FakeStream:
        return self.streams[-1]

    def query_hostapis(self) -> list[dict[str, object]]:
        return [{"name": "Fake"}]

    def query_devices(self) -> list[dict[str, object]]:
        common = {"hostapi": 0, "default_samplerate": 48000.0, "max_input_channels": 0}
        return [
            common | {"name": "speaker", "max_output_channels": 8},
            common
            | {"name": "microphone", "max_input_channels": self.device_channels, "max_output_channels": 0},
            common | {"name": "headphones", "max_output_channels": 2},
        ]

    def _StreamBase(self, kind: str, **options: object) -> FakeStream:  # noqa: N802  # sounddevice's name
        self.may_open.wait(10)
        if self.fails:
            raise self.PortAudioError("Device unavailable [PaErrorCode -9985]")
        self.opened.append(options | {"kind": kind})
        self.streams.append(FakeStream(self, kind))
        return self.stream

    def _terminate(self) -> None:
        if not self._initialized:
            raise self.PortAudioError("PortAudio not initialized [PaErrorCode -10000]")
        self._initialized -= 1
        for stream in self.streams:
            stream.freed = True

    def _initialize(self) -> None:
        if self.start_fails:
            raise self.PortAudioError("Unanticipated host error [PaErrorCode -9999]")
        self._initialized += 1

    def play(self, block: np.ndarray) -> None:
        """Record a block, (n, channels) float32."""
        callback = SIGNATURE(self.opened[-1]["callback"])
        callback(block.ctypes.data, None, len(block), None, 0, self.opened[-1]["userdata"])

    def ask(self, frames: int, sounds_ns: int) -> np.ndarray:
        """Return what is played in a block that sounds at a moment, (frames, 2) float32."""
        block = np.zeros((frames, 2), np.float32)
        callback = SIGNATURE(self.opened[-1]["callback"])
        lead_s = (sounds_ns - now_ns()) / 1e9
        time_info = TimeInfo(0.0, 10.0, 10.0 + lead_s)
        callback(None, block.ctypes.data, frames, time_info, 0, self.opened[-1]["userdata"])
        return block


class FakeStream:
    """A stream that says when it is used after it was freed."""

    def __init__(self, library: FakePortAudio, kind: str) -> None:
        self._library = library
        self._kind = kind
        self.runs = True
        self.freed = False

    @property
    def active(self) -> bool:
        self._touch()
        return self.runs

    def start(self) -> None:
        self._touch()
        if self._kind == "input":
            for _ in range(5):
                self._library.play(np.full((480, self._library.channels), 0.25, np.float32))

    def close(self, ignore_errors: bool = False) -> None:
        self._touch()
        self.freed = True
        self._library.may_close.wait(10)

    def _touch(self) -> None:
        if self.freed:
            raise self._library.PortAudioError("Invalid stream pointer [PaErrorCode -9988]")
