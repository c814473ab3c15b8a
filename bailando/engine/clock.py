"""The sound card's clock as the host sees it: its drift is learned and followed, never jumped after."""

from __future__ import annotations

NS_PER_SECOND = 1_000_000_000
_WINDOW_NS = 500_000_000
_LEVEL_GAIN = 0.1
_DRIFT_GAIN = _LEVEL_GAIN**2 / (2.0 - _LEVEL_GAIN)
_MAX_SURPRISE_NS = 1_000_000
_MAX_DRIFT = 1e-3
_MAX_STEP_NS = 100_000
_SETTLING_WINDOWS = 12
_SETTLING_STEP_NS = 600_000


class SampleClock:
    """Estimates when sample 0 was recorded, from when later samples were.

    Blocks are noticed late by chance but never early, so of each half second only the earliest
    sighting counts. Those feed an alpha-beta filter (critically damped: beta = alpha² / (2 - alpha)),
    which follows a constant drift without lasting error; the published origin walks after it by at
    most 0.1 ms per observation. Drivers hand over their first blocks in bursts, so for the first six
    seconds the level alone follows, the faster the earlier, by up to 0.6 ms per observation.

    Parameters
    ----------
    sample_rate_hz : int
        Nominal rate of the card.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._origin_ns: int | None = None
        self._first_origin_ns = 0
        self._level_ns = 0.0  # relative to the first origin: floats never hold absolute time
        self._drift = 0.0
        self._reference_ns = 0
        self._earliest_ns: int | None = None
        self._windows = 0

    @property
    def origin_ns(self) -> int:
        """Host time of sample 0 as if the card had always run at its nominal rate; 0 before the first."""
        return self._origin_ns or 0

    @property
    def drift_ppm(self) -> float:
        """How much longer than nominal the card's seconds are, parts per million."""
        return self._drift * 1e6

    @property
    def slewed_ns(self) -> int:
        """How far the origin has walked since the first observation."""
        return self.origin_ns - self._first_origin_ns

    def observe(self, samples: int, host_ns: int) -> None:
        """Take note that so many samples in all had been recorded by `host_ns`, or somewhat earlier."""
        media_ns = samples * NS_PER_SECOND // self._sample_rate_hz
        seen_ns = host_ns - media_ns
        if self._origin_ns is None:
            self._origin_ns = self._first_origin_ns = seen_ns
            self._reference_ns = media_ns
            return
        relative_ns = seen_ns - self._first_origin_ns
        if self._earliest_ns is None or relative_ns < self._earliest_ns:
            self._earliest_ns = relative_ns
        elapsed_ns = media_ns - self._reference_ns
        if elapsed_ns >= _WINDOW_NS:
            self._close_window(elapsed_ns, self._earliest_ns)
            self._reference_ns, self._earliest_ns, elapsed_ns = media_ns, None, 0
        target_ns = self._first_origin_ns + round(self._level_ns + self._drift * elapsed_ns)
        step_ns = _SETTLING_STEP_NS if self._windows < _SETTLING_WINDOWS else _MAX_STEP_NS
        self._origin_ns += min(max(target_ns - self._origin_ns, -step_ns), step_ns)

    def _close_window(self, elapsed_ns: int, earliest_ns: int) -> None:
        """Move level and drift towards the earliest sighting of the window."""
        predicted_ns = self._level_ns + self._drift * elapsed_ns
        surprise_ns = earliest_ns - predicted_ns
        self._windows += 1
        self._level_ns = predicted_ns + max(_LEVEL_GAIN, 1.0 / self._windows) * surprise_ns
        if self._windows < _SETTLING_WINDOWS:
            return
        bounded_ns = min(max(surprise_ns, -_MAX_SURPRISE_NS), _MAX_SURPRISE_NS)
        drift = self._drift + _DRIFT_GAIN * bounded_ns / elapsed_ns
        self._drift = min(max(drift, -_MAX_DRIFT), _MAX_DRIFT)
