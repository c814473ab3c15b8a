"""Kills, stalls and starves a live run at random: does every frame number arrive, or is it counted?

python benchmarks/faults.py [--minutes 10] [--seed 0] [--model BUNDLE] [--json FILE]

A receiver in a process of its own keeps all frame numbers. Faults, 3 s apart on average:
the device is pulled out and comes back, sound stalls, the backend raises or hangs for 3 s, all
processors are taken away, the interpreter is kept busy. The exit code says whether all was accounted for.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import os
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bailando.cli.live import demo_song_path
from bailando.engine.backends import Arrays, Backend, load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer, default_bundle_path
from bailando.engine.reconnect import ReconnectingSource
from bailando.engine.runner import LiveOptions, LiveRunner
from bailando.engine.sinks import Destination, OscSink
from bailando.engine.sources import FileSource, Samples
from bailando.engine.telemetry import Status
from bailando.engine.watchdog import WatchedBackend
from bailando.errors import DeviceError

_MEAN_PAUSE_S = 3.0
_PROGRESS_EVERY_S = 20.0
_FRAME_MESSAGE = b"/bailando/frame\0,i\0\0"


class Trouble:
    """What is wrong at the moment; written by the saboteur, read by those who suffer."""

    def __init__(self) -> None:
        self.unplugged_until_s = 0.0
        self.stalled_until_s = 0.0
        self.backend_raises = False
        self.backend_hangs_s = 0.0


class FaultyDevice(FileSource):
    """A song that plays like a device which may be pulled out or fall silent."""

    def __init__(self, song: Path, trouble: Trouble) -> None:
        if time.monotonic() < trouble.unplugged_until_s:
            raise DeviceError("the device is not there")
        super().__init__(song, "loop")
        self._trouble = trouble

    def read(self) -> Samples | None:
        """Read, unless there is trouble."""
        time.sleep(max(0.0, self._trouble.stalled_until_s - time.monotonic()))
        if time.monotonic() < self._trouble.unplugged_until_s:
            raise DeviceError("the device was pulled out")
        return super().read()


class FaultyBackend:
    """A real backend that fails or hangs when there is trouble."""

    def __init__(self, backend: Backend, trouble: Trouble) -> None:
        self._backend = backend
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def step(self, graph: str, inputs: Mapping[str, Any], state: Any) -> tuple[Arrays, Any]:
        """Run a step, or not."""
        self._suffer()
        return self._backend.step(graph, inputs, state)

    def step_many(
        self, graph: str, inputs: Mapping[str, Any], states: Sequence[Any]
    ) -> tuple[Arrays, list[Any]]:
        """Run a step of several sessions, or not."""
        self._suffer()
        return self._backend.step_many(graph, inputs, states)

    def _suffer(self) -> None:
        if self._trouble.backend_raises:
            self._trouble.backend_raises = False
            raise RuntimeError("the backend was killed")
        hangs_s, self._trouble.backend_hangs_s = self._trouble.backend_hangs_s, 0.0
        time.sleep(hangs_s)


def _burn(seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        sum(range(1000))


def _starve(seconds: float) -> None:
    """Take every processor away with other processes."""
    burners = [mp.Process(target=_burn, args=(seconds,), daemon=True) for _ in range(os.cpu_count() or 1)]
    for burner in burners:
        burner.start()
    for burner in burners:
        burner.join()


def sabotage(trouble: Trouble, rng: np.random.Generator, done: threading.Event, caused: Counter[str]) -> None:
    """Cause faults at random until done and count each kind."""

    def later(seconds: float) -> float:
        return time.monotonic() + seconds

    kinds: dict[str, Callable[[float], None]] = {
        "unplug": lambda s: setattr(trouble, "unplugged_until_s", later(s)),
        "stall": lambda s: setattr(trouble, "stalled_until_s", later(s)),
        "kill backend": lambda _: setattr(trouble, "backend_raises", True),
        "hang backend": lambda _: setattr(trouble, "backend_hangs_s", 3.0),
        "starve": _starve,
        "busy interpreter": _burn,
    }
    while not done.wait(float(rng.exponential(_MEAN_PAUSE_S))):
        kind = str(rng.choice(list(kinds)))
        caused[kind] += 1
        kinds[kind](float(rng.uniform(0.1, 2.0)))


def receive(pipe: Connection) -> None:
    """Keep the number of every frame, in its own process; tell them at the end."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(0.5)
        pipe.send(inbox.getsockname()[1])
        numbers: list[int] = []
        while True:
            try:
                data = inbox.recv(65536)
            except TimeoutError:
                if pipe.poll():
                    break
                continue
            if (start := data.find(_FRAME_MESSAGE)) >= 0:
                numbers.append(struct.unpack_from(">i", data, start + len(_FRAME_MESSAGE))[0])
        pipe.send(numbers)


def dance(model: Path, port: int, minutes: float, seed: int) -> tuple[Status, Counter[str]]:
    """Run live under sabotage; return the last status and the faults."""
    trouble, done = Trouble(), threading.Event()

    def load() -> Backend:
        return FaultyBackend(load_backend(Bundle.open(model)), trouble)

    dancer = Dancer(Bundle.open(model), WatchedBackend(load(), load))
    source = ReconnectingSource(lambda: FaultyDevice(demo_song_path(), trouble))
    sink = OscSink(Destination("127.0.0.1", port))
    options = LiveOptions(delay_ms=100.0, duration_s=60.0 * minutes)
    runner = LiveRunner(dancer, dancer.session(seed=seed), source, [sink], options)
    caused: Counter[str] = Counter()
    rng = np.random.default_rng(seed)
    saboteur = threading.Thread(target=sabotage, args=(trouble, rng, done, caused), daemon=True)
    saboteur.start()
    status = runner.run(lambda status: say(status, minutes, caused), _PROGRESS_EVERY_S)
    done.set()
    saboteur.join()
    return status, caused


def say(status: Status, minutes: float, caused: Counter[str]) -> None:
    """Show how far it is."""
    print(
        f"faults: {status.time_s / 60:.1f} of {minutes:g} min, {caused.total()} faults, "
        f"{status.extrapolated_frames} frames extrapolated, {status.reconnects} reconnects, "
        f"{status.backend_restarts} restarts",
        file=sys.stderr,
        flush=True,
    )


def untraced(status: Status, caused: Counter[str]) -> list[str]:
    """Return the kinds of faults that no counter has noticed."""
    traces = {
        ("unplug",): status.reconnects,
        ("kill backend", "hang backend"): status.backend_restarts,
        ("stall", "starve"): status.late_tokens + status.extrapolated_frames,
    }
    return [" or ".join(kinds) for kinds, n in traces.items() if sum(caused[k] for k in kinds) > 1 and not n]


def account(numbers: list[int], status: Status, caused: Counter[str], minutes: float) -> dict[str, Any]:
    """Compare what arrived with what was counted."""
    wanted = round(60 * 60 * minutes)
    arrived = Counter(numbers)
    missing = wanted - len(arrived)
    unnoticed = untraced(status, caused)
    return {
        "minutes": minutes,
        "faults": dict(caused),
        "frames_wanted": wanted,
        "frames_arrived": len(arrived),
        "frames_missing": missing,
        "frames_twice": sum(count > 1 for count in arrived.values()),
        "in_order": numbers == sorted(numbers),
        "dropped_frames": status.dropped_frames,
        "send_errors": status.send_errors,
        "extrapolated_frames": status.extrapolated_frames,
        "repeated_frames": status.repeated_frames,
        "sent_late": status.sent_late,
        "late_tokens": status.late_tokens,
        "reconnects": status.reconnects,
        "backend_restarts": status.backend_restarts,
        "load": psutil.getloadavg()[0],
        "faults_unnoticed": unnoticed,
        "all_accounted_for": not unnoticed
        and missing <= status.dropped_frames + status.send_errors
        and len(arrived) == len(numbers)
        and numbers == sorted(numbers),
    }


def main() -> None:
    """Print the figures as JSON and the verdict; the exit code tells whether all was accounted for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the faults and of the dance")
    parser.add_argument("--model", type=Path, help="bundle; default: the shipped one")
    parser.add_argument("--json", type=Path, help="append the results as one JSON line")
    options = parser.parse_args()
    ours, theirs = mp.Pipe()
    receiver = mp.Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    port = ours.recv()
    status, caused = dance(options.model or default_bundle_path(), port, options.minutes, options.seed)
    ours.send("end")
    results = account(ours.recv(), status, caused, options.minutes)
    receiver.join()
    print(json.dumps(results, indent=2))
    held = results["all_accounted_for"]
    print("PASS: every frame number arrived or was counted" if held else "FAIL: not all is accounted for")
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps({"benchmark": "faults", "results": results}) + "\n")
    sys.exit(not held)


if __name__ == "__main__":
    mp.set_start_method("spawn")
    main()
