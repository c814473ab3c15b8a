"""Where the time of late frames went."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from late_frames import Delay, Held, Witness, delays, show_delays

PERIOD_NS = 1e9 / 60


def arrivals(late_ms: dict[int, float], frames: int = 60) -> np.ndarray:
    """Frames in their turn, but for some."""
    times_ns = 5_000_000_000 + np.arange(frames) * PERIOD_NS
    for frame, late in late_ms.items():
        times_ns[frame] += late * 1e6
    return times_ns.round().astype(np.int64)


def test_a_late_frame_is_told_with_what_was_lost_around_it() -> None:
    held = [Held(0.0, 0.25)] * 19 + [Held(0.0, 0.75)] + [Held(10.0, 1.25)] + [Held(30.0, 1.25)] * 39
    found = delays(arrivals({19: 31.0, 20: 14.5, 40: 2.9, 59: 4.0}), held)
    assert [delay.frame for delay in found] == [19, 59]
    np.testing.assert_allclose(
        [delay[1:] for delay in found], [(31.0, 30.0, 1.0), (4.0, 0.0, 0.0)], atol=1e-3
    )


def test_a_frame_that_never_came_makes_the_next_one_late_and_no_other() -> None:
    times_ns = np.delete(arrivals({}), 7)
    assert [delay[:2] for delay in delays(times_ns, [Held(0.0, 0.0)] * 59)] == [(7, pytest.approx(1e3 / 60))]


def test_nothing_is_late_where_all_come_equally_late() -> None:
    assert delays(arrivals({}) + 50_000_000, [Held(0.0, 0.0)] * 60) == []


def test_explained_and_unexplained_delays_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    show_delays([Delay(3, 20.0, 10.0, 8.0), Delay(9, 20.0, 0.0, 1.0)], 1.0)
    heading, first, _ = capsys.readouterr().out.splitlines()
    assert "2 times in 1 s; in 1 of them" in heading
    assert first.strip() == "frame 3: 20.0 ms late; 10 ms stolen, 8.0 ms waited for a core"


@pytest.mark.skipif(not Path("/proc/self/schedstat").is_file(), reason="the system does not tell of waiting")
def test_a_thread_that_had_no_core_is_seen_to_have_waited() -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # so that both threads want the same one
    try:
        witness = Witness(Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}"))
        rival = os.fork()
        if rival == 0:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                pass
            os._exit(0)
        before = witness.read()
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            pass
        assert witness.read().waited_ms > before.waited_ms + 20.0
        os.waitpid(rival, 0)
    finally:
        os.sched_setaffinity(0, cores)


def test_without_a_thread_nothing_is_said_of_waiting() -> None:
    assert Witness(None).read().waited_ms == 0.0
    assert Witness(Path("/nowhere")).read().waited_ms == 0.0
