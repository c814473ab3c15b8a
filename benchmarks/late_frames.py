"""Where the time of each late frame went: to a hypervisor, to waiting for a core, or to the sender itself.

Linux tells of each thread how long it was ready to run and had no core (``schedstat``), and of all cores how
long the host let them stand still (``steal`` in ``/proc/stat``, in steps of 10 ms). Both are read whenever a
frame arrives; what they grew by around a late frame is what held it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import stolen_s
from numpy.typing import NDArray

from bailando.engine.frame import FRAME_RATE_HZ

LATE_MS = 3.0
# Steal is counted at a core's next tick, which may come after the frame.
_FRAMES_AFTER = 2


class Held(NamedTuple):
    """What a machine and a thread have lost so far, ms: stolen from all cores, waited for a core."""

    stolen_ms: float
    waited_ms: float


class Delay(NamedTuple):
    """A frame that came late after the one before.

    Attributes
    ----------
    frame
        Number among those that arrived.
    late_ms
        How much longer than 1/60 s the interval was.
    stolen_ms, waited_ms
        What was lost from the frame before until two frames after.
    """

    frame: int
    late_ms: float
    stolen_ms: float
    waited_ms: float


class Witness:
    """Reads what has been lost; waiting counts as 0 where the system does not tell.

    Parameters
    ----------
    thread : Path or None
        The sending thread's folder under ``/proc``.
    """

    def __init__(self, thread: Path | None) -> None:
        self._schedule = thread and thread / "schedstat"

    def read(self) -> Held:
        """Return what was lost up to now."""
        waited_ns = 0
        if self._schedule is not None:
            with suppress(OSError):  # none is told, or the thread has ended
                waited_ns = int(self._schedule.read_text(encoding="ascii").split()[1])
        return Held(1e3 * stolen_s(), waited_ns / 1e6)


def delays(arrivals_ns: NDArray[np.int64], held: Sequence[Held], late_ms: float = LATE_MS) -> list[Delay]:
    """Return which frames came more than `late_ms` later than 1/60 s after the last, and what was lost there.

    Parameters
    ----------
    arrivals_ns : ndarray, shape (N,)
        Arrival of each frame; some may be missing.
    held
        Read after each arrival, N.
    """
    late = np.diff(arrivals_ns) / 1e6 - 1e3 / FRAME_RATE_HZ
    found = []
    for before in np.flatnonzero(late > late_ms).tolist():
        after = min(before + 1 + _FRAMES_AFTER, len(held) - 1)
        stolen_ms, waited_ms = np.subtract(held[after], held[before]).tolist()
        # At the end of the run the thread is gone, and nothing is told of its waiting.
        found.append(Delay(before + 1, float(late[before]), stolen_ms, max(0.0, waited_ms)))
    return found


def show_delays(found: Sequence[Delay], seconds: float) -> None:
    """Print the delays, the longest first, and how many of them loss explains."""
    explained = [delay for delay in found if delay.stolen_ms + delay.waited_ms >= delay.late_ms - LATE_MS]
    print(
        f"    more than {LATE_MS:g} ms late: {len(found)} times in {seconds:g} s; in {len(explained)} of "
        "them the hypervisor took, or the thread waited for a core, as long"
    )
    for delay in sorted(found, key=lambda delay: -delay.late_ms)[:10]:
        print(
            f"    frame {delay.frame}: {delay.late_ms:.1f} ms late; "
            f"{delay.stolen_ms:.0f} ms stolen, {delay.waited_ms:.1f} ms waited for a core"
        )
