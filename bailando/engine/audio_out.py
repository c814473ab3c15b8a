"""Plays the analysed sound through a device, as late as the motion."""

from __future__ import annotations

import threading

from bailando._native import PlaybackCallback, SampleRing, now_ns
from bailando.engine.portaudio import DeviceStream, portaudio
from bailando.engine.sources import NS_PER_SECOND, Samples
from bailando.errors import DeviceError

_CHANNELS = 2
_ROOM_S = 12.0
_BLOCKS_PER_SECOND = 100
_CLOSE_TIMEOUT_S = 1.0
_REOPEN_PAUSE_NS = 2 * NS_PER_SECOND
# After an underrun ALSA may leave PortAudio waiting for good, in a stream that is active as before and asks
# for a block now and then.
_WATCH_NS = NS_PER_SECOND
_LEAST_SHARE_ASKED = 0.25


class AudioOutput:
    """A device that plays each sample when the motion of that moment is due.

    One thread calls `start`, `play` and `close`. A device that goes away, or hardly asks for sound any more,
    is opened again every two seconds; the show goes on without it.

    Parameters
    ----------
    wanted : str
        Index, part of the name, or ``default``.
    sample_rate_hz : int
        Rate of the samples, which the device must take.
    room_s : float
        How much sound may wait for its turn: more than the longest delay.

    Attributes
    ----------
    name : str
        What the device is called.
    reopened : int
        How often it came back.

    Raises
    ------
    DeviceError
        If PortAudio is missing or there is no such device.
    """

    def __init__(self, wanted: str, sample_rate_hz: int, room_s: float = _ROOM_S) -> None:
        self._wanted = wanted
        self._rate_hz = sample_rate_hz
        self._ring = SampleRing(int(room_s * sample_rate_hz))
        self._playback = PlaybackCallback(self._ring, sample_rate_hz, _CHANNELS)
        self._stream: DeviceStream | None = None
        self._try_again_ns = 0
        self._watched = 0, 0  # callbacks, and when there were so many
        self._opener: threading.Thread | None = None
        self._closing = threading.Event()
        self.reopened = 0
        self._index, self.name = find_output_device(wanted)

    @property
    def underruns(self) -> int:
        """Frames of silence for want of samples."""
        return self._playback.underruns

    @property
    def error_ms(self) -> float:
        """How late the sound is against the motion, the mean of about a second."""
        return self._playback.error_ns / 1e6

    def start(self) -> None:
        """Open the device; it is silent until samples come.

        Raises
        ------
        DeviceError
            If it does not open.
        """
        try:
            self._open()
        except DeviceError as error:
            self._close_stream()
            raise DeviceError(
                f"audio output {self.name!r} does not open at {self._rate_hz} Hz ({error}); "
                "choose another with --audio-out"
            ) from None

    def _open(self) -> None:
        block_frames = self._rate_hz // _BLOCKS_PER_SECOND
        self._stream = DeviceStream(
            "output", self._playback, self._index, self._rate_hz, _CHANNELS, block_frames
        )
        self._watched = self._playback.callbacks, now_ns()
        self._stream.start()

    def play(self, samples: Samples, base_ns: int) -> None:
        """Queue samples.

        Parameters
        ----------
        samples : (n,) float32
            Mono, following those before.
        base_ns : int
            When the very first sample ever queued is to sound, by what is known now.
        """
        self._ring.write(samples)
        # What the ring had no room for is missing in front of all that follows.
        self._playback.set_base_ns(base_ns + self._ring.overruns * NS_PER_SECOND // self._rate_hz)
        if self._opener is not None and self._opener.is_alive():
            return  # the stream is its own meanwhile
        if self._is_gone() and now_ns() >= self._try_again_ns:
            self._try_again_ns = now_ns() + _REOPEN_PAUSE_NS
            self._opener = threading.Thread(target=self._reopen, name="bailando-reopen", daemon=True)
            self._opener.start()

    def _is_gone(self) -> bool:
        """Return whether the device is closed, stopped or has hardly asked for sound lately."""
        stream = self._stream
        if stream is None or not stream.active:
            return True
        callbacks, since_ns = self._watched
        passed_ns = now_ns() - since_ns
        if passed_ns < _WATCH_NS:
            return False
        asked = self._playback.callbacks - callbacks
        self._watched = callbacks + asked, since_ns + passed_ns
        return asked < _LEAST_SHARE_ASKED * _BLOCKS_PER_SECOND * passed_ns / NS_PER_SECOND

    def close(self) -> None:
        """Close the device; closing twice is harmless."""
        self._closing.set()
        if self._opener is not None:
            self._opener.join(_CLOSE_TIMEOUT_S)
            if self._opener.is_alive():
                return  # it closes what it opens
        self._close_stream()

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _reopen(self) -> None:
        """Look for the device again; on a thread of its own, for that takes its time."""
        self._close_stream()
        try:
            with portaudio():  # nobody may renumber the devices in between
                self._index, self.name = find_output_device(self._wanted)
                self._open()
        except DeviceError:
            self._close_stream()
            return
        self.reopened += 1
        if self._closing.is_set():
            self._close_stream()


def find_output_device(wanted: str) -> tuple[int, str]:
    """Return index and name of a device that plays: by index, part of its name, or the default one.

    Raises
    ------
    DeviceError
        If PortAudio is missing or there is none such.
    """
    with portaudio("PortAudio cannot list the audio devices") as sounddevice:
        devices = {
            index: str(entry["name"])
            for index, entry in enumerate(sounddevice.query_devices())
            if entry["max_output_channels"] > 0
        }
        default = int(sounddevice.default.device[1])
    if wanted.lower() == "default" and default in devices:
        return default, devices[default]
    for index, name in devices.items():
        if str(index) == wanted or (not wanted.isdigit() and wanted.lower() in name.lower()):
            return index, name
    known = ", ".join(f"{index} {name!r}" for index, name in devices.items()) or "none"
    raise DeviceError(f"no audio output {wanted!r}; devices that play: {known}")
