"""What does a VMC frame cost: patched templates against python-osc's builders?

python benchmarks/packets.py [--frames 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

import numpy as np
from measure import percentiles, show, write_json
from numpy.typing import NDArray
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from bailando.engine.frame import JOINTS, Frame
from bailando.engine.sinks import Destination, OscSink, PacketSink, VmcSink
from bailando.engine.sinks.vmc import BONES


def make_frame(number: int) -> Frame:
    """Return a frame of random joints."""
    generator = np.random.default_rng(number)
    rotations = generator.normal(size=(JOINTS, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    positions = generator.uniform(-1, 2, (JOINTS, 3)).astype(np.float32)
    contacts = np.zeros(4, dtype=np.float32)
    return Frame(number, positions, rotations.astype(np.float32), positions[0], contacts)


def rest_offsets_m() -> NDArray[np.float32]:
    """Return offsets of no particular body."""
    return np.full((JOINTS, 3), 0.1, dtype=np.float32)


def build_with_python_osc(frame: Frame, offsets_m: NDArray[np.float32]) -> bytes:
    """Build the VMC bundle of a frame as a program without templates does."""
    bundle = OscBundleBuilder(IMMEDIATELY)

    def add(address: str, *arguments: str | int | float) -> None:
        message = OscMessageBuilder(address)
        for argument in arguments:
            message.add_arg(argument)
        bundle.add_content(message.build())

    add("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    for joint, bone in enumerate(BONES):
        x, y, z = (frame.root_position if joint == 0 else offsets_m[joint]).tolist()
        qx, qy, qz, qw = frame.rotations[joint].tolist()
        add("/VMC/Ext/Bone/Pos", bone, -x, y, z, qx, -qy, -qz, qw)
    add("/VMC/Ext/OK", 1, 3, 0, 1)
    add("/VMC/Ext/T", frame.time_s)
    return bundle.build().dgram


def microseconds(work: Callable[[Frame], object], frames: list[Frame]) -> dict[str, float]:
    """Time `work` on each frame; percentiles in us."""
    costs = []
    for frame in frames:
        start = perf_counter_ns()
        work(frame)
        costs.append((perf_counter_ns() - start) / 1000)
    return percentiles(costs)


def patching(sink: PacketSink) -> Callable[[Frame], object]:
    """Return what the output thread does for a frame, sending apart: patching ready values."""
    templates = [packet.template() for packet in sink.packets]
    values = sink.values(make_frame(0))
    return lambda frame: [template.patch(values, frame.number) for template in templates]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    frames = [make_frame(number) for number in range(options.frames)]
    offsets = rest_offsets_m()
    vmc = VmcSink(Destination("127.0.0.1", 39539), offsets)
    osc = OscSink(Destination("127.0.0.1", 9000))
    results = {
        "vmc, template: patch": microseconds(patching(vmc), frames),
        "vmc, axes and values in Python": microseconds(vmc.values, frames),
        "vmc, python-osc: build": microseconds(lambda f: build_with_python_osc(f, offsets), frames),
        "osc, template: patch": microseconds(patching(osc), frames),
        "osc, axes and values in Python": microseconds(osc.values, frames),
    }
    show("us per frame", results)
    write_json(options.json, "packets", {"unit": "us", "seed": 0, "results": results})


if __name__ == "__main__":
    main()
