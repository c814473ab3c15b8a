"""A device that may go away and come back: silence keeps the time meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from bailando._native import now_ns
from bailando.engine.sources import NS_PER_SECOND, Samples, Source, SourceReport
from bailando.errors import BailandoError, ConfigError
from bailando.music.audio import StreamResampler

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0
_SILENCE_BLOCK_NS = 10_000_000
_CLOSE_TIMEOUT_S = 1.0


class OpenSource(Protocol):
    """Finds the device anew and returns it, not yet started; raises BailandoError if it is not there."""

    def __call__(self) -> Source:
        """Open it."""


class _Search:
    """One thread that tries to open and start a source until it works, ever less often."""

    def __init__(self, open_source: OpenSource, reset: Callable[[], None]) -> None:
        self._open_source = open_source
        self._reset = reset
        self._given_up = threading.Event()
        self._found: Source | None = None
        self._thread = threading.Thread(target=self._look, name="bailando-reconnect", daemon=True)
        self.attempts = 0
        self._thread.start()

    def found(self) -> Source | None:
        """Return the started source once there is one."""
        return None if self._thread.is_alive() else self._found

    def give_up(self) -> None:
        """Stop looking and close what was found."""
        self._given_up.set()
        self._thread.join(_CLOSE_TIMEOUT_S)
        if self._found is not None and not self._thread.is_alive():
            self._found.close()

    def _look(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._given_up.wait(pause_s):
            pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)
            try:
                if self.attempts:
                    self._reset()
                self.attempts += 1
                source = self._open_source()
                source.start()
            except BailandoError:
                continue
            if self._given_up.is_set():
                source.close()
            else:
                self._found = source
            return


class ReconnectingSource:
    """Keeps a device's stream going for ever; see `bailando.engine.sources.Source`.

    While the device is away `read` gives silence at the pace of the host's clock, so that frames keep
    their times and the dancer idles. When it is back, under whatever sample rate, its samples go on at
    the time they were recorded and at the first rate.

    Parameters
    ----------
    open_source : OpenSource
        Finds and opens the device.
    reset : callable, optional
        Makes the system look for devices anew; called before each attempt but the first.
    """

    def __init__(self, open_source: OpenSource, reset: Callable[[], None] = lambda: None) -> None:
        self._open_source = open_source
        self._reset = reset
        self._source: Source | None = open_source()
        self._search: _Search | None = None
        self.name = self._source.name
        self.sample_rate_hz = self._source.sample_rate_hz
        self._resampler = StreamResampler(self.sample_rate_hz, self.sample_rate_hz)
        self._given = 0
        self._base = 0
        self._away_origin_ns = 0
        self._padding = 0
        self._surplus = 0
        self._lost = 0
        self._reconnects = 0
        self._last_report = self._source.report()
        self._stopped = threading.Event()

    @property
    def origin_ns(self) -> int:
        """When sample 0 was recorded, by the clock of the device that is connected."""
        source = self._source
        if source is None:
            return self._away_origin_ns
        return source.origin_ns - self._base * NS_PER_SECOND // self.sample_rate_hz

    def report(self) -> SourceReport:
        """Return what the device reports, and how often it came back."""
        source = self._source
        if source is not None:
            self._last_report = source.report()
        last = self._last_report
        return SourceReport(
            title=last.title,
            connected=source is not None,
            lost_samples=self._lost + (last.lost_samples if source is not None else 0),
            replaced_samples=last.replaced_samples,
            reconnects=self._reconnects,
            drift_ppm=last.drift_ppm,
            slewed_ns=last.slewed_ns,
            latency_ns=last.latency_ns,
        )

    def start(self) -> None:
        """Start the device; the first time it must work.

        Raises
        ------
        DeviceError
            If it does not.
        """
        assert self._source is not None
        self._source.start()

    def read(self) -> Samples | None:
        """Return the device's samples or, while it is away, silence; None after `stop`."""
        if self._stopped.is_set():
            return None
        if self._padding:
            return self._silence(min(self._padding, self.sample_rate_hz))
        if self._source is not None:
            try:
                block = self._source.read()
            except BailandoError:
                self._let_go(self._source)
            else:
                if block is None:
                    return None
                return self._go_on(self._resampler.process(block))
        if self._search is not None and (source := self._search.found()) is not None:
            self._take(source)
        return self._paced_silence()

    def skip(self) -> None:
        """Refuse: a device has no next song."""
        raise ConfigError(f"next: {self.name!r} is a device; only song files have a next one")

    def stop(self) -> None:
        """Make `read` return None soon."""
        self._stopped.set()
        if self._source is not None:
            self._source.stop()

    def close(self) -> None:
        """Stop looking for the device and close it."""
        self._stopped.set()
        if self._search is not None:
            self._search.give_up()
            self._search = None
        if self._source is not None:
            self._source.close()

    def _let_go(self, source: Source) -> None:
        """The device is away: keep its time, close it aside, look for it."""
        self._away_origin_ns = self.origin_ns
        self._last_report = source.report()
        self._lost += self._last_report.lost_samples
        self._source = None
        self._resampler.finish()  # the time of what it held back is filled with silence
        self._surplus = 0
        closer = threading.Thread(target=source.close, name="bailando-close", daemon=True)
        closer.start()
        closer.join(_CLOSE_TIMEOUT_S / 10)  # a driver without its device may hang
        self._search = _Search(self._open_source, self._reset)

    def _take(self, source: Source) -> None:
        """The device is back: its samples go on where the host's clock says that they belong."""
        self._search = None
        sounded = (source.origin_ns - self._away_origin_ns) * self.sample_rate_hz // NS_PER_SECOND
        self._padding = max(0, sounded - self._given)
        self._surplus = max(0, self._given - sounded)
        self._base = sounded
        self._resampler = StreamResampler(source.sample_rate_hz, self.sample_rate_hz)
        self._reconnects += 1
        self._source = source

    def _go_on(self, samples: Samples) -> Samples:
        """Leave out what silence has stood for already."""
        dropped = min(self._surplus, len(samples))
        self._surplus -= dropped
        self._given += len(samples) - dropped
        return samples[dropped:]

    def _silence(self, count: int) -> Samples:
        self._padding -= min(count, self._padding)
        self._given += count
        return np.zeros(count, np.float32)

    def _paced_silence(self) -> Samples | None:
        """Wait for the next 10 ms of the host's clock, unless they are over, and give their silence."""
        if self._padding:
            return self._silence(min(self._padding, self.sample_rate_hz))
        block = self.sample_rate_hz * _SILENCE_BLOCK_NS // NS_PER_SECOND
        end_ns = self._away_origin_ns + (self._given + block) * NS_PER_SECOND // self.sample_rate_hz
        wait_ns = end_ns - now_ns()
        if wait_ns > 0 and self._stopped.wait(wait_ns / NS_PER_SECOND):
            return None
        return self._silence(block)
