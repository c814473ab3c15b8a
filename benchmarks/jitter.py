"""How evenly do frames reach a receiver: the native output thread against a Python sender?

Three conditions: the machine as it is, all cores loaded by other processes, and the senders' own
interpreters kept busy by a thread that keeps the garbage collector at work (with two senders that loads two
cores as well). In each, both senders run side by side, so that what the machine does meets both; each has a
process of its own and a receiver in another, which notes when datagrams arrive. The Python sender is what one
writes first: a loop that builds packets with python-osc and sleeps to absolute deadlines.

python benchmarks/jitter.py [--seconds 10] [--condition NAME ...] [--json FILE]

Seconds are of each condition: `--seconds 600` takes half an hour. Time that a hypervisor took from the
machine is told beside the figures: no program in it can use that time. For each late frame of the native
thread it is told as well, with how long the thread waited for a core (`late_frames`).
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
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from late_frames import Delay, Held, Witness, delays, show_delays
from measure import percentiles, show, stolen_s, write_json
from numpy.typing import NDArray
from packets import build_with_python_osc, make_frame, rest_offsets_m

from bailando._native import now_ns
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.pacer import Pacer, frame_due_ns
from bailando.engine.sinks import Destination, VmcSink

PROCESSES = mp.get_context("spawn")
LEAD_NS = 200_000_000
QUEUE_AHEAD_FRAMES = 16  # two tokens
CONDITIONS = AS_IT_IS, LOADED, BUSY = "as it is", "loaded cores", "busy interpreter"
HEAP_OBJECTS = 300_000  # what a collection has to look through, as in a program of some size


class Arrivals(NamedTuple):
    """When frames arrived, and what sender and machine had lost by then."""

    times_ns: NDArray[np.int64]
    held: list[Held]

    @property
    def deviation_ms(self) -> NDArray[np.float64]:
        """How far each interval is from 1/60 s."""
        return np.abs(np.diff(self.times_ns) / 1e6 - 1000 / FRAME_RATE_HZ)


def receive(pipe: Connection) -> None:
    """Tell the port, be told the sending thread, then note arrivals until the stream ends and send them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        with suppress(AttributeError, PermissionError):  # measure the sender, not ourselves
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(10.0)  # until the sender has started
        pipe.send(inbox.getsockname()[1])
        witness = Witness(pipe.recv())
        times_ns, held = [], []
        try:
            while True:
                inbox.recv(65536)
                times_ns.append(time.monotonic_ns())
                held.append(witness.read())
                inbox.settimeout(2.0)
        except TimeoutError:
            pipe.send(Arrivals(np.array(times_ns, np.int64), held))


def threads() -> set[Path]:
    """Return where the system tells of each thread of this process, as far as it does."""
    return set(Path(f"/proc/{os.getpid()}/task").glob("*"))


def send_native(port: int, frames: int, tell: Connection) -> None:
    """Send through the pacer, which is fed two tokens ahead as the engine feeds it."""
    pacer = Pacer([VmcSink(Destination("127.0.0.1", port), rest_offsets_m())])
    prepared = [make_frame(number) for number in range(60)]
    origin_ns, others = now_ns() + LEAD_NS, threads()
    pacer.start()
    tell.send(next(iter(threads() - others), None))
    for number in range(frames):
        while pacer.queued >= QUEUE_AHEAD_FRAMES:
            time.sleep(0.005)
        pacer.submit(replace(prepared[number % 60], number=number), frame_due_ns(origin_ns, number))
    pacer.finish()
    print(f"    {pacer.report()}, real-time priority: {pacer.realtime}")


def send_python(port: int, frames: int, tell: Connection) -> None:
    """Send from a loop that sleeps to absolute deadlines and builds packets, until the time is up."""
    tell.send(Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}"))
    prepared = [make_frame(number) for number in range(60)]
    offsets = rest_offsets_m()
    origin_ns = time.monotonic_ns() + LEAD_NS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outbox:
        outbox.connect(("127.0.0.1", port))
        for number in range(frames):
            if time.monotonic_ns() > frame_due_ns(origin_ns, frames):
                break  # far behind: the frames that were never sent are told as not received
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
    loads = [PROCESSES.Process(target=_spin_forever, daemon=True) for _ in range(os.cpu_count() or 1)]
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


SENDERS = {"native": send_native, "python": send_python}


def send(sender: str, port: int, frames: int, busy: bool, tell: Connection) -> None:
    """Run a sender, in a busy interpreter or not."""
    with busy_interpreter() if busy else nullcontext():
        SENDERS[sender](port, frames, tell)


def side_by_side(frames: int, busy: bool) -> dict[str, Arrivals]:
    """Run each sender against a fresh receiver; what arrived there."""
    pipes: dict[str, Connection] = {}
    processes = []
    for sender in SENDERS:
        pipes[sender], theirs = PROCESSES.Pipe()
        processes.append(PROCESSES.Process(target=receive, args=(theirs,), daemon=True))
    for receiver in processes:
        receiver.start()
    told = {}
    for sender, pipe in pipes.items():
        told[sender], tell = PROCESSES.Pipe()
        sending = PROCESSES.Process(target=send, args=(sender, pipe.recv(), frames, busy, tell), daemon=True)
        sending.start()
        processes.append(sending)
    for sender, pipe in pipes.items():
        pipe.send(told[sender].recv())
    arrivals: dict[str, Arrivals] = {sender: pipe.recv() for sender, pipe in pipes.items()}
    for process in processes:
        process.join()
    return arrivals


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
    parser.add_argument("--condition", nargs="+", choices=CONDITIONS, default=CONDITIONS, help="only these")
    options = parser.parse_args()
    frames = round(options.seconds * FRAME_RATE_HZ)
    results, over_time, received, stolen_ms = {}, {}, {}, {}
    late: dict[str, list[Delay]] = {}
    for condition in options.condition:
        before_s = stolen_s()
        with loaded_cores() if condition == LOADED else nullcontext():
            arrivals = side_by_side(frames, condition == BUSY)
        stolen_ms[condition] = 1e3 * (stolen_s() - before_s)
        for sender, arrived in arrivals.items():
            name, deviation = f"{condition}, {sender}", arrived.deviation_ms
            results[name], over_time[name] = percentiles(deviation), by_second(deviation)
            received[name] = len(arrived.times_ns)
        late[condition] = delays(*arrivals["native"])
    show("ms off 16.667 ms", results)
    print(f"frames received, of {frames} sent each: {received}")
    print(f"ms that a hypervisor took meanwhile, all cores together: {stolen_ms}")
    for condition, found in late.items():
        print(f"{condition}, native thread:")
        show_delays(found, options.seconds)
    record = {"unit": "ms", "seconds": options.seconds, "frames": frames, "received": received}
    told = {condition: [delay._asdict() for delay in found] for condition, found in late.items()}
    record |= {"stolen_ms": stolen_ms, "late": told}
    write_json(options.json, "jitter", record | {"results": results, "largest_by_second": over_time})


if __name__ == "__main__":
    main()
