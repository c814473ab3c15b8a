"""All sinks behind one door: datagrams leave from the native thread, the others from one of Python."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from bailando._native import now_ns
from bailando.engine.frame import Frame
from bailando.engine.pacer import NS_PER_SECOND, Pacer, PacerReport
from bailando.engine.sinks.base import PacketSink, Sink

_QUEUE_FRAMES = 120
_LOG = logging.getLogger(__name__)
_STOP_TIMEOUT_S = 2.0


class Output:
    """Sends frames when they are due.

    One thread calls `submit`; `start`, `finish` and `close` belong to the owner.

    Parameters
    ----------
    sinks : sequence of sequences of Sink
        The sinks of each dancer. Datagram sinks share the native pacer; each other sink gets its frames
        from a second thread, so that a slow one never delays a datagram.

    Raises
    ------
    OutputError
        If a destination cannot be used.
    """

    def __init__(self, sinks: Sequence[Sequence[Sink]]) -> None:
        seats = [(dancer, sink) for dancer, own in enumerate(sinks) for sink in own]
        packets = [(dancer, sink) for dancer, sink in seats if isinstance(sink, PacketSink)]
        self._pacer = Pacer([sink for _, sink in packets], dancers=[dancer for dancer, _ in packets])
        self._others = [(dancer, sink) for dancer, sink in seats if not isinstance(sink, PacketSink)]
        self._queue: queue.Queue[tuple[Sequence[Frame], int] | None] = queue.Queue(_QUEUE_FRAMES)
        self._thread = threading.Thread(target=self._send_others, name="bailando-sinks", daemon=True)
        self.dropped_frames = 0

    def start(self) -> None:
        """Open the sinks and start the threads."""
        for _, sink in self._others:
            sink.open()
        if self._others:
            self._thread.start()
        self._pacer.start()

    def submit(self, frames: Sequence[Frame], due_ns: int) -> None:
        """Queue a frame of each dancer for its turn; never waits."""
        self._pacer.submit(frames, due_ns)
        if self._others:
            try:
                self._queue.put_nowait((frames, due_ns))
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
            with suppress(queue.Full):  # a sink hangs: the thread is a daemon, leave it
                self._queue.put(None, timeout=_STOP_TIMEOUT_S)
            self._thread.join(timeout=_STOP_TIMEOUT_S)
        for _, sink in self._others:
            sink.close()

    def _send_others(self) -> None:
        while (entry := self._queue.get()) is not None:
            frames, due_ns = entry
            wait_ns = due_ns - now_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / NS_PER_SECOND)
            for dancer, sink in self._others:
                try:
                    sink.send(frames[dancer])
                except Exception:  # whatever one sink does, the others get their frames
                    sink.counters.failures += 1
                    _LOG.exception("%s failed on frame %d", sink.name, frames[dancer].number)
