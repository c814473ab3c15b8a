"""A minute of both streams to a client that we did not write: is every message there, typed and in order?

    python benchmarks/receivers.py [--seconds 60]

Needs oscdump (apt install liblo-tools). Prints one JSON line per protocol.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter

import numpy as np

from bailando._native import now_ns
from bailando.engine.calibration_poses import wave
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.pacer import Pacer, frame_due_ns
from bailando.engine.sinks import Destination, OscSink, PacketSink, VmcSink
from bailando.motion.skeleton import Skeleton

_START_S = 0.5
_QUEUE_FRAMES = 32


def main() -> int:
    """Run both protocols one after the other; return 1 if a message was lost or out of order."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    frames = round(parser.parse_args().seconds * FRAME_RATE_HZ)
    if shutil.which("oscdump") is None:
        print("oscdump is missing; run: apt install liblo-tools", file=sys.stderr)
        return 2
    offsets = Skeleton.default().offsets.astype(np.float32)
    complete = [
        _measure("vmc", VmcSink(Destination("127.0.0.1", port := _free_port()), offsets), port, frames),
        _measure("osc", OscSink(Destination("127.0.0.1", port := _free_port())), port, frames),
    ]
    return 0 if all(complete) else 1


def _measure(name: str, sink: PacketSink, port: int, frames: int) -> bool:
    """Stream to oscdump, print what it got, and tell whether that is everything in order."""
    with tempfile.TemporaryFile("w+") as log:
        with subprocess.Popen(["oscdump", "-L", str(port)], stdout=log) as client:
            time.sleep(_START_S)
            lateness_ms = _stream(sink, frames)
            time.sleep(2 * _START_S)
            client.terminate()
        log.seek(0)
        lines = [line.split() for line in log]
    counts = Counter(words[1] for words in lines)
    clock = "/VMC/Ext/T" if name == "vmc" else "/bailando/frame"
    rate = FRAME_RATE_HZ if name == "vmc" else 1
    numbers = [round(float(words[3]) * rate) for words in lines if words[1] == clock]
    expected = sum(_messages(packet.data) for packet in sink.packets) * frames
    result = {
        "protocol": name,
        "frames": frames,
        "messages": len(lines),
        "lost": expected - len(lines),
        "in_order": numbers == list(range(frames)),
        "addresses": len(counts),
        "lateness_p99_ms": round(lateness_ms, 3),
    }
    print(json.dumps(result), flush=True)
    return result["lost"] == 0 and bool(result["in_order"])


def _stream(sink: PacketSink, frames: int) -> float:
    """Send so many frames in real time; return how late the worst in a hundred was, ms."""
    skeleton, pacer = Skeleton.default(), Pacer([sink])
    origin_ns = now_ns() + 200_000_000
    pacer.start()
    for number in range(frames):
        while pacer.queued > _QUEUE_FRAMES:
            time.sleep(0.005)
        pacer.submit(wave(skeleton, number), frame_due_ns(origin_ns, number))
    pacer.finish()
    return pacer.report().p99_lateness_ns / 1e6


def _messages(datagram: bytes) -> int:
    """Count the messages of a datagram: those of a bundle, or one."""
    if not datagram.startswith(b"#bundle\0"):
        return 1
    count, at = 0, 16
    while at < len(datagram):
        at += 4 + int.from_bytes(datagram[at : at + 4], "big")
        count += 1
    return count


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
