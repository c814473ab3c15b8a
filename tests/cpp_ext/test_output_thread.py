"""The output thread: one frame per period, whatever happens upstream."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bailando._native import OutputThread, PacketTemplate, now_ns
from tests.engine.udp_receiver import Receiver, receiver

pytestmark = pytest.mark.real_time
PERIOD_NS = 4_000_000
FOREVER_NS = 10**12


@pytest.fixture
def inbox() -> Iterator[Receiver]:
    with receiver() as opened:
        yield opened


@pytest.fixture
def output(inbox: Receiver) -> Iterator[OutputThread]:
    """Sends (frame number, value 0, pulse 1); never drops a frame for being late."""
    thread = OutputThread(2, 16, PERIOD_NS, late_after_ns=FOREVER_NS, drop_after_ns=FOREVER_NS)
    packet = PacketTemplate(bytes(12), [(0, "frame", 0), (4, "float", 0), (8, "pulse", 1)])
    thread.add_output([packet], "127.0.0.1", inbox.port)
    yield thread
    thread.stop()


def soon_ns() -> int:
    """A due time before which a loaded machine gets to calling `finish`."""
    return now_ns() + 150_000_000


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def finish(output: OutputThread) -> None:
    output.finish()
    wait_until(lambda: not output.running)


def frames(inbox: Receiver) -> list[tuple[int, float, int]]:
    return [struct.unpack(">ifi", data) for data in inbox.waiting()]


def test_frames_leave_at_their_due_times(inbox: Receiver, output: OutputThread) -> None:
    output.start()
    origin_ns = soon_ns()
    for number in range(10):
        assert output.push(number, origin_ns + number * PERIOD_NS, [number / 4, 1])
    arrivals = []
    for number in range(10):
        assert struct.unpack(">ifi", inbox.datagram()) == (number, number / 4, 1)
        arrivals.append(now_ns())
    early_ns = [origin_ns + n * PERIOD_NS - arrival for n, arrival in enumerate(arrivals)]
    assert max(early_ns) <= 0


def test_underrun_repeats_the_last_numbers_under_new_frame_numbers(
    inbox: Receiver, output: OutputThread
) -> None:
    output.start()
    output.push(7, now_ns(), [0.5, 1])
    wait_until(lambda: output.counters()["underruns"] >= 3)
    output.stop()
    received = frames(inbox)
    assert received[:4] == [(7, 0.5, 1), (8, 0.5, 0), (9, 0.5, 0), (10, 0.5, 0)]
    assert output.counters()["frames"] == len(received)


def test_frame_that_comes_after_its_number_has_gone_is_thrown_away(
    inbox: Receiver, output: OutputThread
) -> None:
    output.start()
    due_ns = now_ns()
    output.push(0, due_ns, [0, 0])
    wait_until(lambda: output.counters()["last_frame"] >= 2)
    output.push(1, due_ns + PERIOD_NS, [1, 0])
    wait_until(lambda: output.counters()["stale"] == 1)
    finish(output)
    numbers = [number for number, _, _ in frames(inbox)]
    assert numbers == list(range(len(numbers)))


def test_finish_sends_all_that_is_queued_without_an_underrun(inbox: Receiver, output: OutputThread) -> None:
    origin_ns = soon_ns()
    for number in range(8):
        output.push(number, origin_ns + number * PERIOD_NS, [0, 0])
    output.start()
    finish(output)
    assert [number for number, _, _ in frames(inbox)] == list(range(8))
    assert output.counters()["underruns"] == 0


def test_stop_forgets_the_queue_and_start_begins_anew(inbox: Receiver, output: OutputThread) -> None:
    output.start()
    output.push(5, now_ns() + 3_600_000_000_000, [0, 0])
    output.stop()
    assert (output.queued, output.running) == (0, False)
    output.push(0, soon_ns(), [0, 0])
    output.start()
    finish(output)
    assert [number for number, _, _ in frames(inbox)] == [0]


def test_full_queue_says_so(output: OutputThread) -> None:
    pushed = [output.push(number, now_ns(), [0, 0]) for number in range(18)]
    assert pushed == [True] * 16 + [False] * 2
    assert output.counters()["queue_full"] == 2


def test_frames_far_too_late_are_dropped_and_counted(inbox: Receiver) -> None:
    output = OutputThread(1, 16, PERIOD_NS, drop_after_ns=50_000_000)
    output.add_output([PacketTemplate(bytes(4), [(0, "frame", 0)])], "127.0.0.1", inbox.port)
    now = now_ns()
    output.push(0, now - 1_000_000_000, [0])
    output.push(1, now - 1_000_000_000 + PERIOD_NS, [0])
    output.start()
    wait_until(lambda: output.counters()["dropped"] >= 2)
    output.stop()
    numbers = [struct.unpack(">i", data)[0] for data in inbox.waiting()]
    assert 0 not in numbers
    assert 1 not in numbers


def test_nobody_listening_is_counted_and_survived() -> None:
    with receiver() as gone:
        port = gone.port
    output = OutputThread(1, 16, PERIOD_NS, drop_after_ns=FOREVER_NS)
    output.add_output([PacketTemplate(bytes(4), [(0, "frame", 0)])], "127.0.0.1", port)
    for number in range(5):
        output.push(number, soon_ns(), [0])
    output.start()
    finish(output)
    counters = output.counters()
    assert counters["frames"] == counters["datagrams"] + counters["send_errors"] == 5
    assert counters["refused"] >= 1


def test_one_dead_destination_does_not_disturb_another(inbox: Receiver, output: OutputThread) -> None:
    with receiver() as gone:
        port = gone.port
    output.add_output([PacketTemplate(bytes(4), [(0, "frame", 0)])], "127.0.0.1", port)
    for number in range(5):
        output.push(number, soon_ns(), [0, 0])
    output.start()
    finish(output)
    assert [number for number, _, _ in frames(inbox)] == list(range(5))


def test_numbers_that_are_not_finite_never_leave(inbox: Receiver, output: OutputThread) -> None:
    output.push(0, soon_ns(), [0.5, 1])
    output.push(1, soon_ns(), [np.nan, np.inf])
    output.start()
    finish(output)
    assert frames(inbox) == [(0, 0.5, 1), (1, 0.5, 1)]
    assert output.counters()["non_finite"] == 2


def test_each_destination_reads_its_own_values(inbox: Receiver) -> None:
    output = OutputThread(3, 4, PERIOD_NS, drop_after_ns=FOREVER_NS)
    packet = PacketTemplate(bytes(4), [(0, "float", 0)])
    for first in range(3):
        output.add_output([packet], "127.0.0.1", inbox.port, first)
    with pytest.raises(ValueError, match="read beyond the 3 values"):
        output.add_output([packet], "127.0.0.1", inbox.port, 3)
    output.push(0, soon_ns(), [0.5, 1.5, 2.5])
    output.start()
    finish(output)
    assert [struct.unpack(">f", data)[0] for data in inbox.waiting()] == [0.5, 1.5, 2.5]


def test_frames_leave_while_the_interpreter_is_held(output: OutputThread) -> None:
    output.start()
    output.push(0, now_ns(), [0.0, 0.0])
    wait_until(lambda: output.counters()["frames"] > 0)
    ticks, over = [0], threading.Event()

    def tick() -> None:
        while not over.is_set():
            ticks[0] += 1

    other = threading.Thread(target=tick)
    other.start()
    wait_until(lambda: ticks[0] > 0)
    frames_before, ticks_before, started_ns = output.counters()["frames"], ticks[0], now_ns()
    assert 7**600_000  # one operation of the interpreter, during which no other thread of Python runs
    held_ns, ticks_held = now_ns() - started_ns, ticks[0] - ticks_before
    sent = output.counters()["frames"] - frames_before
    ticks_before = ticks[0]
    time.sleep(held_ns / 1e9)
    ticks_free = ticks[0] - ticks_before
    over.set()
    other.join()
    assert ticks_held < 0.5 * ticks_free
    assert sent > 0.5 * held_ns / PERIOD_NS


def test_lateness_histogram_counts_every_frame(output: OutputThread) -> None:
    for number in range(6):
        output.push(number, soon_ns(), [0, 0])
    output.start()
    finish(output)
    table = output.lateness_histogram()
    assert table[:, 1].sum() == output.counters()["frames"] == 6
    assert (np.diff(table[:, 0]) > 0).all()
    occupied = table[table[:, 1] > 0, 0]
    assert occupied[-1] <= output.counters()["max_lateness_ns"]


def test_bad_arguments_are_refused(output: OutputThread) -> None:
    with pytest.raises(ValueError, match="vector of 2 values, got 3"):
        output.push(0, 0, [0, 0, 0])
    with pytest.raises(ValueError, match="period"):
        OutputThread(1, 1, 0)
    with pytest.raises(RuntimeError, match="'localhost' is not a numeric network address"):
        output.add_output([], "localhost", 9000)
    output.start()
    with pytest.raises(RuntimeError, match="stop the output thread"):
        output.add_output([], "127.0.0.1", 9000)
