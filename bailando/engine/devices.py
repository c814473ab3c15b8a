"""Sound from a device: PortAudio calls native code, which writes a lock-free ring; Python only reads."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from bailando._native import CaptureCallback, SampleRing, now_ns
from bailando.engine.clock import NS_PER_SECOND, SampleClock
from bailando.engine.portaudio import DeviceStream, portaudio
from bailando.engine.sources import SourceReport
from bailando.errors import ConfigError, DeviceError

Samples = NDArray[np.float32]
Stamp = tuple[int, int, float, float, int]
"""(first_frame, lost_frames, adc_time_s, latency_s, arrival_ns) of one block."""

_RING_SECONDS = 2
_BLOCKS_PER_SECOND = 100
_POLL_S = 0.003
_FIRST_BLOCKS = 5
_SETTLING_NS = 400_000_000
_FIRST_BLOCK_TIMEOUT_NS = 5_000_000_000
_STALL_NS = 500_000_000
_MAX_LATENCY_S = 0.1  # PulseAudio's plug-in for ALSA tells of several tenths that are not there
DEFAULT_DEVICE = "default"


@dataclass(frozen=True)
class InputDevice:
    """One device that can record."""

    index: int
    name: str
    host_api: str
    channels: int
    sample_rate_hz: int
    is_default: bool


def list_input_devices() -> list[InputDevice]:
    """Return the devices that can record.

    Raises
    ------
    DeviceError
        If PortAudio is missing or fails.
    """
    with portaudio("PortAudio cannot list the audio devices") as sounddevice:
        apis = [api["name"] for api in sounddevice.query_hostapis()]
        default = sounddevice.default.device[0]
        return [
            InputDevice(
                index=index,
                name=str(entry["name"]),
                host_api=str(apis[entry["hostapi"]]),
                channels=int(entry["max_input_channels"]),
                sample_rate_hz=int(entry["default_samplerate"]),
                is_default=index == default,
            )
            for index, entry in enumerate(sounddevice.query_devices())
            if entry["max_input_channels"] > 0
        ]


def find_input_device(wanted: str, devices: list[InputDevice]) -> InputDevice:
    """Return the device of that index, the default one, or one whose name contains the text in any case.

    Raises
    ------
    DeviceError
        If there is none; near names are listed.
    """
    if not devices:
        raise DeviceError(
            f"no audio device {wanted!r}: no device that records was found; plug one in, or use --input SONG"
        )
    if wanted.lower() == DEFAULT_DEVICE and any(device.is_default for device in devices):
        matches = [device for device in devices if device.is_default]
    elif wanted.isascii() and wanted.isdigit():
        matches = [device for device in devices if device.index == int(wanted)]
    else:
        exact = [device for device in devices if device.name.lower() == wanted.lower()]
        matches = exact or [device for device in devices if wanted.lower() in device.name.lower()]
    if matches:
        return matches[0]
    names = [device.name for device in devices]
    near = get_close_matches(wanted, names, n=3, cutoff=0.3) or names[:3]
    shown = ", ".join(f"{device.index} {device.name!r}" for device in devices if device.name in near)
    raise DeviceError(f"no audio device {wanted!r}; near it: {shown}; see bailando-live --list-devices")


class DeviceSource:
    """One opening of a recording device; see `bailando.engine.sources.Source`.

    It ends by raising when the device stops; `bailando.engine.reconnect` opens it again.

    Parameters
    ----------
    wanted : str
        Index, part of the name, or ``default`` for what the system records from now.

    Raises
    ------
    DeviceError
        If PortAudio is missing, or there is no such device.
    """

    def __init__(self, wanted: str) -> None:
        device = find_input_device(wanted, list_input_devices())
        self.name = device.name
        self.sample_rate_hz = device.sample_rate_hz
        self._device = device
        self._block_frames = device.sample_rate_hz // _BLOCKS_PER_SECOND
        self._stopped = threading.Event()
        self._ring = SampleRing(_RING_SECONDS * device.sample_rate_hz, min(device.channels, 2))
        self._capture = CaptureCallback(self._ring)
        self._clock = SampleClock(device.sample_rate_hz)
        self._stream: DeviceStream | None = None
        self._started_ns = 0
        self._knows_recording_time = False
        self._latency_ns = 0
        self._pending_silence = 0
        self._silenced = 0

    @property
    def origin_ns(self) -> int:
        """When sample 0 was recorded, after the drift between card and host is taken out."""
        return self._clock.origin_ns

    def report(self) -> SourceReport:
        """Return samples lost to a full ring, the clock's drift and the device's latency."""
        return SourceReport(
            title=self.name,
            lost_samples=self._ring.overruns,
            drift_ppm=self._clock.drift_ppm,
            slewed_ns=self._clock.slewed_ns,
            latency_ns=self._latency_ns,
        )

    def start(self) -> None:
        """Open the device and wait for its first blocks.

        Raises
        ------
        DeviceError
            If the device does not open or gives no sound.
        """
        try:
            self._stream = DeviceStream(
                "input",
                self._capture,
                self._device.index,
                self.sample_rate_hz,
                self._ring.channels,
                self._block_frames,
            )
            self._stream.start()
        except DeviceError as error:
            self.close()
            raise DeviceError(
                f"audio device {self.name!r} does not open ({error}); "
                "is it in use? see bailando-live --list-devices"
            ) from None
        self._started_ns = now_ns()
        self._wait_for_first_blocks()

    def read(self) -> Samples | None:
        """Wait for recorded samples and return them as mono; None after `stop`.

        Raises
        ------
        DeviceError
            If the device ended the stream or gave nothing for half a second.
        """
        while not self._stopped.is_set():
            for stamp in self._capture.take_stamps():
                self._observe(stamp)
            if self._pending_silence:
                return self._silence_for_lost()
            if available := self._ring.available:
                block = self._ring.read(available)
                return np.asarray(block.reshape(len(block), -1).mean(axis=1), dtype=np.float32)
            stalled = now_ns() - self._capture.last_arrival_ns > _STALL_NS
            if stalled or self._stream is None or not self._stream.active:
                raise DeviceError(
                    f"audio device {self.name!r} gives no sound any more; is it plugged in? "
                    "see bailando-live --list-devices"
                )
            self._stopped.wait(_POLL_S)
        return None

    def skip(self) -> None:
        """Refuse: a device has no next song."""
        raise ConfigError(f"next: {self.name!r} is a device; only song files have a next one")

    def stop(self) -> None:
        """Make `read` return None at once."""
        self._stopped.set()

    def close(self) -> None:
        """Close the device."""
        if self._stream is not None:
            self._stream.close()

    def _observe(self, stamp: Stamp) -> None:
        """Let the clock see a block: by its recording time if the driver knows it, else by its arrival."""
        first, lost, _, latency_s, arrival_ns = stamp
        if not self._knows_recording_time:
            self._clock.observe(first + self._block_frames, arrival_ns)
        elif 0.0 < latency_s < _MAX_LATENCY_S:
            self._clock.observe(first, arrival_ns - round(latency_s * NS_PER_SECOND))
        self._pending_silence = max(self._pending_silence, lost - self._silenced)

    def _silence_for_lost(self) -> Samples:
        """Stand in for samples the ring lost, so that the sample count stays the time."""
        count = min(self._pending_silence, self.sample_rate_hz)
        self._pending_silence -= count
        self._silenced += count
        return np.zeros(count, np.float32)

    def _wait_for_first_blocks(self) -> None:
        """Wait, learn the device's latency and set the clock."""
        stamps: list[Stamp] = []
        while not _settled(stamps) and not self._stopped.wait(_POLL_S):
            stamps += self._capture.take_stamps()
            if now_ns() - self._started_ns > _FIRST_BLOCK_TIMEOUT_NS:
                self.close()
                raise DeviceError(
                    f"audio device {self.name!r} opened but gives no sound for 5 s; choose another "
                    "with bailando-live --list-devices"
                )
        block_s = self._block_frames / self.sample_rate_hz
        beyond_block_s = [stamp[3] - block_s for stamp in stamps if 0.0 < stamp[3] < _MAX_LATENCY_S]
        # A driver that knows the time of some blocks only is not believed.
        self._knows_recording_time = bool(stamps) and len(beyond_block_s) == len(stamps)
        if self._knows_recording_time:
            self._latency_ns = max(0, round(float(np.median(beyond_block_s)) * NS_PER_SECOND))
        if stamps:
            # Drivers hand over their first blocks late and in a burst: the earliest of all is the truest.
            self._observe(
                min(stamps, key=lambda stamp: stamp[4] - stamp[0] * NS_PER_SECOND // self.sample_rate_hz)
            )
            self._pending_silence = stamps[-1][1]


def _settled(stamps: list[Stamp]) -> bool:
    """Whether enough blocks came, for long enough, to know the device's clock."""
    return len(stamps) >= _FIRST_BLOCKS and now_ns() - stamps[0][4] > _SETTLING_NS
