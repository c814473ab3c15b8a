"""What a real-time run asks of the interpreter and of the operating system, and gives back after it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SWITCH_INTERVAL_S = 0.001
_REALTIME_PRIORITY = 1


@contextmanager
def calm_interpreter() -> Iterator[None]:
    """Keep the garbage collector off what is loaded already and let threads change over sooner."""
    thresholds, interval_s = gc.get_threshold(), sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 1000)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@contextmanager
def raised_priority() -> Iterator[None]:
    """Run the calling thread before ordinary ones, where the system has this and permits it.

    All threads that need the interpreter's lock ask for it alike; otherwise one that waits for the
    processor while it holds the lock would stop the others.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_REALTIME_PRIORITY))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, policy, parameter)
