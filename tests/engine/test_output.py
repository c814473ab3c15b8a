"""Several sinks behind one door."""

from __future__ import annotations

import logging
import time

import pytest

from bailando._native import now_ns
from bailando.engine.frame import Frame
from bailando.engine.output import Output
from bailando.engine.sinks.base import SinkCounters
from tests.engine.frame_factory import make_frame


class Collector:
    """A sink that keeps the numbers of its frames, or breaks on each."""

    def __init__(self, name: str, breaks: bool = False) -> None:
        self.name = name
        self.counters = SinkCounters()
        self.numbers: list[int] = []
        self._breaks = breaks

    def open(self) -> None: ...

    def send(self, frame: Frame) -> None:
        if self._breaks:
            raise RuntimeError("out of paper")
        self.numbers.append(frame.number)

    def close(self) -> None: ...


def test_a_sink_that_breaks_disturbs_no_other_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Collector("broken", breaks=True), Collector("sound")
    output = Output([[broken, sound]])
    with caplog.at_level(logging.CRITICAL, "bailando.engine.output"):
        output.start()
        for number in range(10):
            output.submit([make_frame(number)], now_ns())
        deadline_s = time.monotonic() + 5
        while len(sound.numbers) < 10 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        output.close()
    assert sound.numbers == list(range(10))
    assert broken.counters.failures == 10
