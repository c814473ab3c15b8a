"""How evenly do frames reach a receiver: the native output thread against a Python sender?

Three conditions: the machine as it is, all cores loaded by other processes, and the sender's own
interpreter kept busy by a thread that keeps its garbage collector at work. In each, both senders run one
after the other; the receiver is a process of its own that notes when datagrams arrive. The Python sender is
what one writes first: a loop that builds packets with python-osc and sleeps to absolute deadlines.

python benchmarks/jitter.py [--seconds 10] [--json FILE]

Seconds are of each sender in each condition: `--seconds 600` takes an hour.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing as mp
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from measure import percentiles, show, write_json
from numpy.typing import NDArray
from packets import build_with_python_osc, make_frame, rest_offsets_m

from bailando._native import now_ns
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.pacer import Pacer, frame_due_ns
from bailando.engine.sinks import Destination, VmcSink

LEAD_NS = 200_000_000
QUEUE_AHEAD_FRAMES = 16  # two tokens
HEAP_OBJECTS = 300_000  # what a collection has to look through, as in a program of some size


def receive(pipe: Connection) -> None:
    """Tell the port, then note arrival times until the stream ends and send them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        with suppress(AttributeError, PermissionError):  # measure the sender, not ourselves
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(2.0)
        pipe.send(inbox.getsockname()[1])
        arrivals = []
        try:
            while True:
                inbox.recv(65536)
                arrivals.append(time.monotonic_ns())
        except TimeoutError:
            pipe.send(arrivals)


def send_native(port: int, frames: int) -> None:
    """Send through the pacer, which is fed two tokens ahead as the engine feeds it."""
    pacer = Pacer([VmcSink(Destination("127.0.0.1", port), rest_offsets_m())])
    prepared = [make_frame(number) for number in range(60)]
    origin_ns = now_ns() + LEAD_NS
    pacer.start()
    for number in range(frames):
        while pacer.queued >= QUEUE_AHEAD_FRAMES:
            time.sleep(0.005)
        pacer.submit(replace(prepared[number % 60], number=number), frame_due_ns(origin_ns, number))
    pacer.finish()
    print(f"    {pacer.report()}, real-time priority: {pacer.realtime}")


def send_python(port: int, frames: int) -> None:
    """Send from a loop that sleeps to absolute deadlines and builds packets with python-osc."""
    prepared = [make_frame(number) for number in range(60)]
    offsets = rest_offsets_m()
    origin_ns = time.monotonic_ns() + LEAD_NS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outbox:
        outbox.connect(("127.0.0.1", port))
        for number in range(frames):
            data = build_with_python_osc(prepared[number % 60], offsets)
            time.sleep(max(0, frame_due_ns(origin_ns, number) - time.monotonic_ns()) / 1e9)
            outbox.send(data)


def spin(stop: Callable[[], bool]) -> None:
    """Keep an interpreter busy."""
    while not stop():
        sum(range(1000))


def _spin_forever() -> None:
    spin(lambda: False)


@contextmanager
def loaded_cores() -> Iterator[None]:
    """Load every core with another process."""
    loads = [mp.Process(target=_spin_forever, daemon=True) for _ in range(os.cpu_count() or 1)]
    for load in loads:
        load.start()
    try:
        yield
    finally:
        for load in loads:
            load.terminate()
            load.join()


def collect_garbage(stop: Callable[[], bool]) -> None:
    """Keep an interpreter's garbage collector busy: a full heap, and cycles to be found in it."""
    heap = [[number] for number in range(HEAP_OBJECTS)]
    while not stop():
        for items in heap[:1000]:
            cycle = [items]
            cycle.append(cycle)
        gc.collect()


@contextmanager
def busy_interpreter() -> Iterator[None]:
    """Keep this interpreter and its garbage collector busy with a thread."""
    done = threading.Event()
    thread = threading.Thread(target=collect_garbage, args=(done.is_set,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def deviations_ms(sender: Callable[[int, int], None], frames: int) -> NDArray[np.float64]:
    """Run a sender against a fresh receiver; how far each interval is from 1/60 s, ms."""
    ours, theirs = mp.Pipe()
    receiver = mp.Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    sender(ours.recv(), frames)
    arrivals = np.array(ours.recv(), dtype=np.int64)
    receiver.join()
    return np.abs(np.diff(arrivals) / 1e6 - 1000 / FRAME_RATE_HZ)


def by_second(deviation_ms: NDArray[np.float64]) -> list[float]:
    """Return the largest deviation in each second."""
    rate = int(FRAME_RATE_HZ)
    return [float(deviation_ms[start : start + rate].max()) for start in range(0, len(deviation_ms), rate)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    frames = round(options.seconds * FRAME_RATE_HZ)
    conditions: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "as it is": nullcontext,
        "loaded cores": loaded_cores,
        "busy interpreter": busy_interpreter,
    }
    senders = {"native": send_native, "python": send_python}
    results, over_time, received = {}, {}, {}
    for condition, load in conditions.items():
        for sender_name, sender in senders.items():
            name = f"{condition}, {sender_name}"
            with load():
                deviation = deviations_ms(sender, frames)
            results[name], over_time[name] = percentiles(deviation), by_second(deviation)
            received[name] = len(deviation) + 1
    show("ms off 16.667 ms", results)
    print(f"frames received, of {frames} sent each: {received}")
    record = {"unit": "ms", "seconds": options.seconds, "frames": frames, "received": received}
    write_json(options.json, "jitter", record | {"results": results, "largest_by_second": over_time})


if __name__ == "__main__":
    mp.set_start_method("spawn")
    main()
