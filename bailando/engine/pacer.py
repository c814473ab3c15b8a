"""Sends frames to the datagram sinks at 60 Hz deadlines, from a native thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bailando._native import OutputThread, now_ns
from bailando.engine.frame import FRAME_RATE_HZ, Frame
from bailando.engine.sinks.base import PacketSink
from bailando.errors import OutputError

NS_PER_SECOND = 1_000_000_000
FRAME_PERIOD_NS = round(NS_PER_SECOND / FRAME_RATE_HZ)
_FINISH_POLL_S = 0.005


def frame_due_ns(origin_ns: int, number: int) -> int:
    """Return the due time of a frame when frame 0 is due at `origin_ns`; exact at any number."""
    return origin_ns + number * NS_PER_SECOND // FRAME_RATE_HZ


@dataclass(frozen=True)
class PacerReport:
    """What the output thread has done so far; times in ns.

    Attributes
    ----------
    frames
        Frames sent at their turn, repeated ones included.
    datagrams, send_errors, refused
        Datagrams the system took, those it did not, and answers that nobody listens.
    late, dropped
        Frames sent more than half a period late; frames more than 100 ms late, which are not sent.
    underruns
        Frames repeated because none was queued when they were due.
    stale, queue_full
        Frames queued after their number had gone out; frames for which the queue had no room.
    non_finite
        Numbers withheld because they were infinite or not a number.
    last_frame
        Number of the last frame sent, -1 before the first.
    max_lateness_ns, p50_lateness_ns, p99_lateness_ns
        From the due time to the last datagram handed over. The percentiles are upper bounds, up to
        a quarter above the true value.
    """

    frames: int
    datagrams: int
    send_errors: int
    refused: int
    late: int
    underruns: int
    stale: int
    dropped: int
    queue_full: int
    non_finite: int
    last_frame: int
    max_lateness_ns: int
    p50_lateness_ns: int
    p99_lateness_ns: int


class Pacer:
    """Owns the output thread and the queue to it.

    One thread may call `submit`; the others belong to the owner.

    Parameters
    ----------
    sinks
        The datagram sinks, resolved but not opened: the thread has sockets of its own.
    queue_frames
        How many frames may wait for their turn.
    dancers
        Which dancer's frames each sink sends; None means the first's.

    Raises
    ------
    OutputError
        If a destination cannot be sent to.
    """

    def __init__(
        self, sinks: Sequence[PacketSink], queue_frames: int = 64, dancers: Sequence[int] | None = None
    ) -> None:
        self._sinks = tuple(sinks)
        self._dancers = [0] * len(self._sinks) if dancers is None else list(dancers)
        counts = [max((p.template().value_count for p in sink.packets), default=0) for sink in self._sinks]
        self._thread = OutputThread(max(1, sum(counts)), queue_frames, FRAME_PERIOD_NS)
        self._values = np.zeros(self._thread.value_count, dtype=np.float32)
        first = 0
        self._slices: list[slice] = []
        for sink, count in zip(self._sinks, counts, strict=True):
            templates = [packet.template() for packet in sink.packets]
            try:
                self._thread.add_output(templates, sink.endpoint.address, sink.endpoint.port, first)
            except RuntimeError as error:
                raise OutputError(f"{sink.name}: {error}; check address and network") from None
            self._slices.append(slice(first, first + count))
            first += count

    @property
    def running(self) -> bool:
        """Whether the thread runs."""
        return self._thread.running

    @property
    def realtime(self) -> bool:
        """Whether the system granted the thread real-time priority."""
        return self._thread.realtime

    @property
    def queued(self) -> int:
        """Frames that wait for their turn."""
        return self._thread.queued

    def start(self) -> None:
        """Start the thread; it sends nothing before the first frame is due."""
        self._thread.start()

    def submit(self, frame: Frame | Sequence[Frame], due_ns: int) -> bool:
        """Queue a frame for `due_ns` on the clock of `bailando._native.now_ns`.

        Parameters
        ----------
        frame
            The frame, or one of each dancer, all of one number.
        due_ns
            When it is due.

        Returns
        -------
        bool
            False if the queue is full; the frame is then lost and counted.
        """
        frames = (frame,) if isinstance(frame, Frame) else frame
        for sink, part, dancer in zip(self._sinks, self._slices, self._dancers, strict=True):
            self._values[part] = sink.values(frames[dancer])
        return self._thread.push(frames[0].number, due_ns, self._values)

    def finish(self, timeout_s: float = 2.0) -> bool:
        """Let the queued frames leave at their turns, then stop.

        Returns
        -------
        bool
            Whether all left within `timeout_s`; what remains is forgotten.
        """
        deadline_ns = now_ns() + int(timeout_s * NS_PER_SECOND)
        self._thread.finish()
        while self._thread.running and now_ns() < deadline_ns:
            time.sleep(_FINISH_POLL_S)
        finished = not self._thread.running
        self._thread.stop()
        return finished

    def close(self) -> None:
        """Stop at once and forget what is queued; closing twice is harmless."""
        self._thread.stop()

    def report(self) -> PacerReport:
        """Return what happened so far."""
        counters = self._thread.counters()
        p50_ns, p99_ns = (
            min(edge_ns, counters["max_lateness_ns"]) for edge_ns in self._percentiles_ns(0.5, 0.99)
        )
        return PacerReport(**counters, p50_lateness_ns=p50_ns, p99_lateness_ns=p99_ns)

    def _percentiles_ns(self, *fractions: float) -> list[int]:
        """Return the upper edges of the histogram's buckets in which the fractions fall."""
        table = self._thread.lateness_histogram()
        cumulated = np.cumsum(table[:, 1])
        if cumulated[-1] == 0:
            return [0] * len(fractions)
        edges = np.append(table[1:, 0], table[-1, 0])
        buckets = np.searchsorted(cumulated, np.ceil(np.array(fractions) * cumulated[-1]))
        return [int(edge) for edge in edges[buckets]]
