"""PortAudio as several threads may use it.

The library is not made for threads: a stream that one closes while another asks for its state, or that
`forget_devices` ended, is freed memory. Here its calls follow each other, and a stream knows whether the
library still does.

The sounddevice package is imported when a device is asked for, so that everything else works where
PortAudio is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from bailando.errors import DeviceError

_CLOSE_TIMEOUT_S = 1.0

_lock = threading.RLock()
_starts = 0


class NativeCallback(Protocol):
    """A C function that PortAudio calls on its audio thread, and what it is called with."""

    @property
    def address(self) -> int:
        """Where the function lies."""

    @property
    def userdata(self) -> int:
        """What it gets as its last argument."""


class DeviceStream:
    """An open stream of float32 samples between a device and native code.

    `active` may be asked by another thread than the one that starts and closes it.

    Parameters
    ----------
    kind : {"input", "output"}
    callback : NativeCallback
        Kept alive as long as the stream.
    device : int
        PortAudio's index.
    sample_rate_hz : int
    channels : int
    block_frames : int
        Samples of each channel in one call.

    Raises
    ------
    DeviceError
        If PortAudio is missing, or the device does not open that way; the text is PortAudio's.
    """

    def __init__(
        self,
        kind: Literal["input", "output"],
        callback: NativeCallback,
        device: int,
        sample_rate_hz: int,
        channels: int,
        block_frames: int,
    ) -> None:
        self._callback = callback
        self._was_active = False
        with portaudio() as sounddevice:
            self._start_number = _starts
            ffi = sounddevice._ffi
            # The base class takes a C function, so that no interpreter runs in the audio callback.
            self._stream: Any = sounddevice._StreamBase(
                kind,
                samplerate=sample_rate_hz,
                blocksize=block_frames,
                device=device,
                channels=channels,
                dtype="float32",
                latency="low",
                callback=ffi.cast("PaStreamCallback *", callback.address),
                userdata=ffi.cast("void *", callback.userdata),
            )

    @property
    def active(self) -> bool:
        """Whether it runs; while PortAudio is busy with another call, whether it ran when asked last."""
        if not _lock.acquire(blocking=False):
            return self._was_active
        try:
            self._was_active = self._is_known() and self._stream.active
        except import_sounddevice().PortAudioError:
            self._was_active = False
        finally:
            _lock.release()
        return self._was_active

    def start(self) -> None:
        """Let the callback be called.

        Raises
        ------
        DeviceError
            If the device does not start; the text is PortAudio's.
        """
        with portaudio():
            if not self._is_known():
                raise DeviceError("it was closed meanwhile")
            self._stream.start()
            self._was_active = True

    def close(self) -> None:
        """End it; closing twice is harmless. One that hangs is waited for a second, and closed aside."""
        closer = threading.Thread(target=self._close, name="bailando-close", daemon=True)
        closer.start()
        closer.join(_CLOSE_TIMEOUT_S)

    def _close(self) -> None:
        with _lock:
            if self._is_known():
                self._stream.close(ignore_errors=True)
            self._stream = None
            self._was_active = False

    def _is_known(self) -> bool:
        """Return whether it is open, and PortAudio was not started anew since."""
        return self._stream is not None and self._start_number == _starts


@contextmanager
def portaudio(failure: str = "") -> Iterator[Any]:
    """Give PortAudio to one thread for the calls of a block, which may last as long as a device hangs.

    Parameters
    ----------
    failure : str
        What to say before PortAudio's own words.

    Yields
    ------
    module
        sounddevice.

    Raises
    ------
    DeviceError
        If PortAudio is missing, or a call fails.
    """
    sounddevice = import_sounddevice()
    with _lock:
        try:
            yield sounddevice
        except (sounddevice.PortAudioError, ValueError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise DeviceError(f"{failure} ({text})" if failure else text) from None


def is_hanging() -> bool:
    """Return whether a call of PortAudio does not come back, which the end of the process would wait for."""
    if free := _lock.acquire(timeout=_CLOSE_TIMEOUT_S):
        _lock.release()
    return not free


def forget_devices() -> None:
    """Let PortAudio look for devices anew; every open stream of this process ends.

    Raises
    ------
    DeviceError
        If PortAudio is missing or does not start again.
    """
    global _starts
    with portaudio("PortAudio does not start; try again") as sounddevice:
        _starts += 1
        if sounddevice._initialized:  # not so after a start that failed
            sounddevice._terminate()
        sounddevice._initialize()


def import_sounddevice() -> Any:
    """Import sounddevice, or say in one line why it does not work."""
    try:
        import sounddevice
    except OSError:
        raise DeviceError(
            "the PortAudio library is missing; install it (Debian, Ubuntu: apt install libportaudio2) "
            "or use --input SONG"
        ) from None
    except ImportError:
        raise DeviceError("the Python package sounddevice is missing; pip install sounddevice") from None
    return sounddevice
