"""How evenly do frames reach a receiver: the native output thread against a Python sender?

Three conditions: the machine as it is, all cores loaded by other processes, and the sender's own
interpreter kept busy by a thread. In each, both senders run one after the other; the receiver is a
process of its own that notes when datagrams arrive.

python benchmarks/jitter.py [--seconds 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
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
from packets import build_with_python_osc, make_frame, rest_offsets_m

from bailando._native import now_ns
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.pacer import Pacer, frame_due_ns
from bailando.engine.sinks import Destination, VmcSink

LEAD_NS = 200_000_000
QUEUE_AHEAD_FRAMES = 16  # two tokens


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


@contextmanager
def busy_interpreter() -> Iterator[None]:
    """Keep this interpreter busy with a thread."""
    done = threading.Event()
    thread = threading.Thread(target=spin, args=(done.is_set,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def measure(sender: Callable[[int, int], None], frames: int) -> dict[str, float]:
    """Run a sender against a fresh receiver; how far intervals are from 1/60 s, in ms."""
    ours, theirs = mp.Pipe()
    receiver = mp.Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    sender(ours.recv(), frames)
    arrivals = np.array(ours.recv(), dtype=np.int64)
    receiver.join()
    deviation_ms = np.abs(np.diff(arrivals) / 1e6 - 1000 / FRAME_RATE_HZ)
    p50, p99 = np.percentile(deviation_ms, [50, 99])
    return {"received": len(arrivals), "p50": float(p50), "p99": float(p99), "max": float(deviation_ms.max())}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path, help="append the results as one JSON line")
    options = parser.parse_args()
    frames = round(options.seconds * FRAME_RATE_HZ)
    conditions: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "as it is": nullcontext,
        "loaded cores": loaded_cores,
        "busy interpreter": busy_interpreter,
    }
    senders = {"native": send_native, "python": send_python}
    results: dict[str, dict[str, float]] = {}
    for condition, load in conditions.items():
        for name, sender in senders.items():
            with load():
                results[f"{condition}, {name}"] = measure(sender, frames)
    print(f"{'deviation from 16.667 ms, in ms':34}{'frames':>8}{'p50':>9}{'p99':>9}{'max':>9}")
    for name, row in results.items():
        print(f"{name:34}{row['received']:8d}{row['p50']:9.3f}{row['p99']:9.3f}{row['max']:9.3f}")
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps({"benchmark": "jitter", "unit": "ms", "results": results}) + "\n")


if __name__ == "__main__":
    mp.set_start_method("spawn")
    main()
