"""The dance at another frame rate than 60, interpolated rather than dropped."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace

import numpy as np

from bailando._native import now_ns
from bailando.engine.frame import FRAME_RATE_HZ, Frame
from bailando.engine.sinks.base import DatagramSink, SinkCounters
from bailando.errors import ConfigError
from bailando.motion.rotations import slerp

MIN_FPS, MAX_FPS = 1.0, 240.0
_NS_PER_SECOND = 1_000_000_000
_QUEUE_FRAMES = 64
_EPSILON = 1e-9


def interpolate(before: Frame, after: Frame, weight: float, number: int) -> Frame:
    """Return the frame at `weight` (0 to 1) of the way between two, with a number of its own.

    Rotations are interpolated on the sphere, positions, contacts and loudness linearly; tempo and phase
    are those of the nearer frame.
    """
    nearer = after if weight >= 0.5 else before
    mixed = {
        name: (getattr(before, name) * (1.0 - weight) + getattr(after, name) * weight).astype(np.float32)
        for name in ("positions", "root_position", "contacts")
    }
    return replace(
        nearer,
        number=number,
        rotations=slerp(before.rotations, after.rotations, weight).astype(np.float32),
        level=before.level + weight * (after.level - before.level),
        onset=before.onset + weight * (after.onset - before.onset),
        **mixed,
    )


class Resampler:
    """Frames of 60 Hz in, frames of another rate out; no beat is lost or told twice.

    Parameters
    ----------
    fps : float
        Frames per second to give out; frame k is the dance at k / fps seconds.

    Raises
    ------
    ConfigError
        If the rate is out of range.
    """

    def __init__(self, fps: float) -> None:
        if not MIN_FPS <= fps <= MAX_FPS:
            raise ConfigError(f"fps is {fps:g}; give {MIN_FPS:g} to {MAX_FPS:g}")
        self.fps = float(fps)
        self._last: Frame | None = None
        self._beat = False

    def push(self, frame: Frame) -> list[tuple[Frame, float]]:
        """Take the next frame; return those that lie after the one before and not after this one.

        Returns
        -------
        list of (Frame, float)
            Each with the share, 0 to 1, of the way from the frame before to this one.
        """
        last, self._last = self._last, frame
        self._beat = self._beat or frame.beat
        start = frame.number - 1 if last is None else last.number
        if frame.number <= start:
            return []
        first = int(np.floor(start * self.fps / FRAME_RATE_HZ + _EPSILON)) + 1
        if last is None and start < 0:
            first = 0
        given = []
        number = first
        while (at := number * FRAME_RATE_HZ / self.fps) <= frame.number + _EPSILON:
            share = float(np.clip((at - start) / (frame.number - start), 0.0, 1.0))
            given.append((interpolate(last or frame, frame, share, number), share))
            number += 1
        if given:
            given[0] = (replace(given[0][0], beat=self._beat), given[0][1])
            given[1:] = [(replace(other, beat=False), share) for other, share in given[1:]]
            self._beat = False
        return given


class ResampledSink:
    """A datagram sink at another frame rate, with a thread that keeps its time.

    Where the rate divides 60 every frame leaves at its own time. Otherwise all of them leave one frame
    of 60 Hz (16.7 ms) later, since the frame after must be known.

    Parameters
    ----------
    sink : DatagramSink
        What is sent; it is opened and closed with this one.
    fps : float
        Frames per second.

    Raises
    ------
    ConfigError
        If the rate is out of range.
    """

    def __init__(self, sink: DatagramSink, fps: float) -> None:
        self.name = f"{sink.name} at {fps:g} fps"
        self.frames_lost = 0
        self._sink = sink
        self._sink.frame_rate_hz = fps
        self._resampler = Resampler(fps)
        self._delays = not (FRAME_RATE_HZ / fps).is_integer()
        self._queue: queue.Queue[tuple[Frame, int] | None] = queue.Queue(_QUEUE_FRAMES)
        self._thread: threading.Thread | None = None

    @property
    def counters(self) -> SinkCounters:
        """What it has done so far."""
        return self._sink.counters

    def open(self) -> None:
        """Open the socket and start the thread; raises OutputError if the destination cannot be used."""
        self._sink.open()
        self._thread = threading.Thread(target=self._run, name="bailando-resampled", daemon=True)
        self._thread.start()

    def send(self, frame: Frame) -> None:
        """Take a frame of 60 Hz at its time; never waits."""
        period_ns = _NS_PER_SECOND // FRAME_RATE_HZ
        now = now_ns()
        for resampled, share in self._resampler.push(frame):
            due_ns = now + round(share * period_ns) if self._delays else now
            try:
                self._queue.put_nowait((resampled, due_ns))
            except queue.Full:
                self.frames_lost += 1

    def close(self) -> None:
        """Send what waits, stop the thread and close the socket; closing twice is harmless."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout=2.0)
            self._thread = None
        self._sink.close()

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            frame, due_ns = entry
            wait_ns = due_ns - now_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / _NS_PER_SECOND)
            self._sink.send(frame)
