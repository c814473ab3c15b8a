"""All sinks behind one door: datagrams leave from the native thread, the others from one of Python."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence

from bailando._native import now_ns
from bailando.engine.frame import Frame
from bailando.engine.pacer import NS_PER_SECOND, Pacer, PacerReport
from bailando.engine.sinks.base import PacketSink, Sink

_QUEUE_FRAMES = 120


class Output:
    """Sends frames when they are due.

    One thread calls `submit`; `start`, `finish` and `close` belong to the owner.

    Parameters
    ----------
    sinks : sequence of Sink
        Datagram sinks share the native pacer; each other sink gets its frames from a second thread, so
        that a slow one never delays a datagram.

    Raises
    ------
    OutputError
        If a destination cannot be used.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._pacer = Pacer([sink for sink in sinks if isinstance(sink, PacketSink)])
        self._others = [sink for sink in sinks if not isinstance(sink, PacketSink)]
        self._queue: queue.Queue[tuple[Frame, int] | None] = queue.Queue(_QUEUE_FRAMES)
        self._thread = threading.Thread(target=self._send_others, name="bailando-sinks", daemon=True)
        self.dropped_frames = 0

    def start(self) -> None:
        """Open the sinks and start the threads."""
        for sink in self._others:
            sink.open()
        if self._others:
            self._thread.start()
        self._pacer.start()

    def submit(self, frame: Frame, due_ns: int) -> None:
        """Queue a frame for its turn; never waits."""
        self._pacer.submit(frame, due_ns)
        if self._others:
            try:
                self._queue.put_nowait((frame, due_ns))
            except queue.Full:
                self.dropped_frames += 1

    def finish(self) -> None:
        """Let what is queued leave at its turn, then stop."""
        self._pacer.finish()
        self._stop_others()

    def close(self) -> None:
        """Stop at once; closing twice is harmless."""
        self._pacer.close()
        self._stop_others()

    def report(self) -> PacerReport:
        """Return what the native thread did so far."""
        return self._pacer.report()

    def _stop_others(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(timeout=2.0)
        for sink in self._others:
            sink.close()

    def _send_others(self) -> None:
        while (entry := self._queue.get()) is not None:
            frame, due_ns = entry
            wait_ns = due_ns - now_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / NS_PER_SECOND)
            for sink in self._others:
                sink.send(frame)
