"""The sound card's clock as the host sees it: drift is followed slowly, never jumped after."""

from __future__ import annotations

NS_PER_SECOND = 1_000_000_000
_EARLY_SHARE = 64
_LATE_SHARE = 1024


class SampleClock:
    """Estimates when sample 0 was recorded, from when blocks arrived.

    A block arrives late by chance but never early, so the estimate follows earlier arrivals faster
    than later ones; each observation moves it by a small share and at most by 0.1 ms.

    Parameters
    ----------
    sample_rate_hz : int
        Nominal rate of the card.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._origin_ns: int | None = None

    @property
    def origin_ns(self) -> int:
        """Host time of sample 0; 0 before the first observation."""
        return self._origin_ns or 0

    def observe(self, samples: int, arrival_ns: int) -> None:
        """Take note that a block arrived at `arrival_ns` that ends after so many samples in all."""
        seen_ns = arrival_ns - samples * NS_PER_SECOND // self._sample_rate_hz
        if self._origin_ns is None:
            self._origin_ns = seen_ns
            return
        error_ns = seen_ns - self._origin_ns
        step_ns = error_ns // (_LATE_SHARE if error_ns > 0 else _EARLY_SHARE)
        self._origin_ns += min(max(step_ns, -100_000), 100_000)
