"""The outline of the sound of the last seconds, for meters."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.sources import Samples

WINDOW_S = 6.4
_DIGITS = 2


class Waveform:
    """Keeps the peak of each frame of the sound; `hear` and `report` may belong to two threads.

    Parameters
    ----------
    sample_rate_hz : int
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._heard = 0
        self._frame = -1
        self._peaks = np.zeros(round(WINDOW_S * FRAME_RATE_HZ), np.float32)
        self._lock = threading.Lock()

    def hear(self, samples: Samples) -> None:
        """Take the next samples (n,), mono; what is not finite counts as silence."""
        loud = np.abs(np.where(np.isfinite(samples), samples, np.float32(0)))
        frames = (self._heard + np.arange(len(loud))) * FRAME_RATE_HZ // self._rate_hz
        with self._lock:
            self._heard += len(loud)
            for frame in np.unique(frames):
                self._add(int(frame), float(loud[frames == frame].max()))

    def _add(self, frame: int, peak: float) -> None:
        if frame != self._frame:
            self._peaks = np.append(self._peaks[1:], np.float32(0))
            self._frame = frame
        self._peaks[-1] = max(self._peaks[-1], min(peak, 1.0))

    def report(self) -> dict[str, Any]:
        """Return the fields of a viewer's status: peaks, oldest first, how long they last, where they end."""
        with self._lock:
            peaks: NDArray[np.float32] = self._peaks
            end_s = (self._frame + 1) / FRAME_RATE_HZ
        return {
            "waveform": np.round(peaks.astype(np.float64), _DIGITS).tolist(),
            "waveform_s": WINDOW_S,
            "waveform_end_s": round(end_s, 4),
        }
