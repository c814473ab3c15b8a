"""A device that goes away and comes back: time goes on, in silence."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from bailando._native import now_ns
from bailando.engine import reconnect
from bailando.engine.reconnect import ReconnectingSource
from bailando.engine.sources import Samples, SourceReport
from bailando.errors import ConfigError, DeviceError

SECOND_NS = 1_000_000_000


class Card:
    """A sound card in real time that is pulled out after so many blocks of 10 ms."""

    def __init__(self, blocks: int, value: float = 0.5, rate_hz: int = 8000, fails: bool = False) -> None:
        self.name = "card"
        self.sample_rate_hz = rate_hz
        self.origin_ns = 0
        self.closed = False
        self._left = blocks
        self._value = value
        self._given = 0
        self._fails = fails

    def report(self) -> SourceReport:
        return SourceReport(self.name, lost_samples=7)

    def start(self) -> None:
        if self._fails:
            raise DeviceError("busy")
        self.origin_ns = now_ns()

    def read(self) -> Samples | None:
        if not self._left:
            raise DeviceError("gone")
        self._left -= 1
        self._given += self.sample_rate_hz // 100
        wait_ns = self.origin_ns + self._given * SECOND_NS // self.sample_rate_hz - now_ns()
        time.sleep(max(0, wait_ns) / SECOND_NS)
        return np.full(self.sample_rate_hz // 100, self._value, np.float32)

    def skip(self) -> None:
        raise ConfigError("no next song")

    def stop(self) -> None:
        self._left = 0

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "FIRST_PAUSE_S", 0.02)


def read_all(source: ReconnectingSource, seconds: float) -> np.ndarray:
    blocks: list[np.ndarray] = []
    while sum(map(len, blocks)) < seconds * source.sample_rate_hz:
        block = source.read()
        assert block is not None
        blocks.append(block)
    return np.concatenate(blocks)


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_samples_stay_where_they_were_recorded_whatever_rate_comes_back(rate_hz: int) -> None:
    cards = [Card(20, 0.5), Card(0, fails=True), Card(1000, 0.25, rate_hz)]
    opened = iter(cards)
    source = ReconnectingSource(lambda: next(opened))
    source.start()
    origin_ns = source.origin_ns
    samples = read_all(source, 0.8)
    report = source.report()
    source.stop()
    source.close()
    assert (report.reconnects, report.connected, report.lost_samples) == (1, True, 14)
    assert cards[0].closed
    assert abs(source.origin_ns - origin_ns) < SECOND_NS // 4000
    back = round((cards[2].origin_ns - origin_ns) * 8000 / SECOND_NS)
    np.testing.assert_array_equal(samples[:1600], 0.5)
    silent = np.flatnonzero(np.abs(samples) < 1e-6)
    assert silent[0] == 1600
    first_back = np.flatnonzero(np.abs(samples[1600:]) > 0.2)[0] + 1600
    # Its first samples came while silence already stood for them.
    assert back - 2 <= first_back < back + 0.3 * 8000
    np.testing.assert_allclose(samples[first_back + 200 :], 0.25, atol=0.01)


def test_silence_keeps_the_pace_of_the_clock_while_the_device_is_away() -> None:
    cards = iter([Card(1), *(Card(0, fails=True) for _ in range(100))])
    source = ReconnectingSource(lambda: next(cards))
    source.start()
    samples = read_all(source, 0.5)
    elapsed_s = (now_ns() - source.origin_ns) / SECOND_NS
    assert not source.report().connected
    source.stop()
    assert source.read() is None
    source.close()
    assert not samples[80:].any()
    assert elapsed_s >= len(samples) / 8000 - 0.001


def test_system_is_asked_to_look_anew_from_the_second_attempt_on() -> None:
    cards = iter([Card(1), Card(0, fails=True), Card(0, fails=True), Card(100)])
    resets: list[int] = []
    source = ReconnectingSource(lambda: next(cards), lambda: resets.append(1))
    source.start()
    read_all(source, 0.5)
    source.stop()
    source.close()
    assert len(resets) == 2


def test_closing_while_it_looks_for_the_device_ends_the_search() -> None:
    cards = iter([Card(1), *(Card(0, fails=True) for _ in range(1000))])
    source = ReconnectingSource(lambda: next(cards))
    source.start()
    read_all(source, 0.05)
    source.stop()
    source.close()
    assert "bailando-reconnect" not in {thread.name for thread in threading.enumerate()}


def test_device_that_does_not_start_at_first_is_an_error() -> None:
    source = ReconnectingSource(lambda: Card(0, fails=True))
    with pytest.raises(DeviceError):
        source.start()


def test_device_has_no_next_song() -> None:
    with pytest.raises(ConfigError, match="device"):
        ReconnectingSource(lambda: Card(1)).skip()
