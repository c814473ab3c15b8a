"""What other people's OSC programs receive from the pacer: oscdump, npm's osc, tshark, vmcp.

``BAILANDO_STREAM_SECONDS=60`` makes the streams a minute long, for these and for Pure Data.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bailando._native import now_ns
from bailando.engine.frame import Frame
from bailando.engine.pacer import Pacer, frame_due_ns
from bailando.engine.sinks import Destination, OscSink, PacketSink, VmcSink
from bailando.engine.sinks.vmc import BONES
from tests.engine.frame_factory import make_frame, rest_offsets_m

FRAMES = round(60 * float(os.environ.get("BAILANDO_STREAM_SECONDS", "5")))
VMC_FRAME = ["/VMC/Ext/Root/Pos", *["/VMC/Ext/Bone/Pos"] * 22, "/VMC/Ext/OK", "/VMC/Ext/T"]
VMC_TAGS = {
    "/VMC/Ext/Root/Pos": "sfffffff",
    "/VMC/Ext/Bone/Pos": "sfffffff",
    "/VMC/Ext/OK": "iiii",
    "/VMC/Ext/T": "f",
}
# Prints each message as one JSON line: address, type tags, arguments.
NODE_RECEIVER = """
const osc = require("osc"), server = require("dgram").createSocket("udp4");
const print = (packet) => packet.packets ? packet.packets.forEach(print) : console.log(JSON.stringify(
  [packet.address, packet.args.map((a) => a.type).join(""), packet.args.map((a) => a.value)]));
server.on("message", (data) => print(osc.readPacket(data, {metadata: true})));
server.bind(Number(process.argv[2]), "127.0.0.1");
"""

# Typed events of vmcp (AGPL: installed by whoever runs the tests, never by us), one JSON line each.
VMCP_RECEIVER = """
import json, sys, time
from vmcp.events import BoneTransformEvent, RelativeTimeEvent, RootTransformEvent, StateEvent
from vmcp.facades import on_receive
from vmcp.osc import OSC
from vmcp.osc.backend.osc4py3 import as_comthreads as backend
def told(event):
    name = type(event).__name__
    line = [name]
    if name == "BoneTransformEvent":
        q = event.rotation
        line += [event.joint.value, q.x, q.y, q.z, q.w]
    print(json.dumps(line), flush=True)
osc = OSC(backend)
with osc.open():
    receiver = osc.create_receiver("127.0.0.1", int(sys.argv[1]), "bailando").open()
    for kind in (RootTransformEvent, BoneTransformEvent, StateEvent, RelativeTimeEvent):
        on_receive(receiver, kind, told)
    while True:
        osc.run()
        time.sleep(0.002)
"""

Received = list[tuple[str, str, list[str | float]]]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_bound(port: int) -> None:
    """Return once a program listens on the port."""
    for _ in range(200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return
        time.sleep(0.02)
    raise AssertionError("the client did not start")


def beating_frame(number: int) -> Frame:
    """Return a frame of music with a beat every half second."""
    return make_frame(number, beat=number % 30 == 0, bpm=120.0)


def perform(sink: PacketSink, frame: Callable[[int], Frame] = beating_frame) -> None:
    """Send `FRAMES` frames in real time."""
    pacer = Pacer([sink])
    origin_ns = now_ns() + 300_000_000
    pacer.start()
    for number in range(FRAMES):
        while pacer.queued > 32:
            time.sleep(0.005)
        pacer.submit(frame(number), frame_due_ns(origin_ns, number))
    assert pacer.finish()


def wait_until_silent(log: Path) -> None:
    """Return once the client has printed nothing for a while: a busy machine lags behind."""
    size, still = -1, 0
    for _ in range(100 + FRAMES // 60):
        time.sleep(0.2)
        before, size = size, log.stat().st_size
        still = still + 1 if size == before else 0
        if still == 4:
            return


def output_of(
    command: Sequence[str],
    port: int,
    sink: PacketSink,
    folder: Path,
    frame: Callable[[int], Frame] = beating_frame,
) -> list[str]:
    """Run a client that prints a line per message while the sink performs."""
    log = folder / "received.txt"
    with log.open("w") as stream:
        client = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=folder)
        try:
            wait_until_bound(port)
            perform(sink, frame)
            wait_until_silent(log)
        finally:
            client.terminate()
            client.wait(timeout=10)
    return log.read_text().splitlines()


def parse_oscdump(lines: list[str]) -> Received:
    received: Received = []
    for line in lines:
        _, address, tags, *words = re.findall(r'"[^"]*"|\S+', line)
        values = [
            word.strip('"') if tag == "s" else float(word) for tag, word in zip(tags, words, strict=True)
        ]
        received.append((address, tags, values))
    return received


def assert_is_a_vmc_performance(received: Received) -> None:
    assert [address for address, _, _ in received] == VMC_FRAME * FRAMES
    assert all(tags == VMC_TAGS[address] for address, tags, _ in received)
    bones = [values for address, _, values in received if address == "/VMC/Ext/Bone/Pos"]
    assert [values[0] for values in bones] == list(BONES) * FRAMES
    for values in bones:
        assert math.hypot(*(float(value) for value in values[4:])) == pytest.approx(1.0, abs=1e-5)
    times = [float(values[0]) for address, _, values in received if address == "/VMC/Ext/T"]
    assert times == pytest.approx([number / 60 for number in range(FRAMES)], abs=1e-5)


@pytest.mark.skipif(shutil.which("oscdump") is None, reason="oscdump (liblo-tools) is not installed")
def test_oscdump_receives_every_vmc_frame_in_order(tmp_path: Path) -> None:
    port = free_port()
    sink = VmcSink(Destination("127.0.0.1", port), rest_offsets_m())
    assert_is_a_vmc_performance(parse_oscdump(output_of(["oscdump", "-L", str(port)], port, sink, tmp_path)))


@pytest.mark.skipif(shutil.which("oscdump") is None, reason="oscdump (liblo-tools) is not installed")
def test_oscdump_receives_numbers_only_in_the_plain_namespace(tmp_path: Path) -> None:
    port = free_port()
    sink = OscSink(Destination("127.0.0.1", port))
    received = parse_oscdump(output_of(["oscdump", "-L", str(port)], port, sink, tmp_path))
    assert all(set(tags) <= {"i", "f"} for _, tags, _ in received)
    numbers = [values[0] for address, _, values in received if address == "/bailando/frame"]
    assert numbers == list(range(FRAMES))
    beats = [values[0] for address, _, values in received if address == "/bailando/beat"]
    assert beats == [float(number % 30 == 0) for number in range(FRAMES)]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_decodes_every_datagram_as_osc(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        fields = ["-e", "osc.message.header.path", "-e", "osc.message.header.format"]
        command = ["tshark", "-i", "lo", "-f", f"udp port {port}", "--enable-heuristic", "osc_udp", "-l"]
        log = tmp_path / "captured.txt"
        with log.open("w") as stream, (tmp_path / "errors.txt").open("w") as errors:
            client = subprocess.Popen([*command, "-T", "fields", *fields], stdout=stream, stderr=errors)
            try:
                wait_until_captures(tmp_path / "errors.txt")
                perform(VmcSink(Destination("127.0.0.1", port), rest_offsets_m()))
                wait_until_silent(log)
            finally:
                client.terminate()
                client.wait(timeout=10)
    frames = [line.split("\t") for line in log.read_text().splitlines()]
    assert len(frames) == FRAMES
    for addresses, tags in frames:
        assert addresses.split(",") == VMC_FRAME
        assert tags.lstrip(",").replace(",,", ",").split(",") == [VMC_TAGS[address] for address in VMC_FRAME]


def wait_until_captures(errors: Path) -> None:
    for _ in range(300):
        text = errors.read_text()
        if "Capture started" in text:
            return
        if "permission" in text.lower():
            pytest.skip("tshark may not capture here")
        time.sleep(0.05)
    pytest.skip("tshark does not capture here")


def test_vmcp_receives_typed_events_of_every_frame(tmp_path: Path) -> None:
    for package in ("vmcp", "osc4py3"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    script = tmp_path / "receive.py"
    script.write_text(VMCP_RECEIVER)
    port = free_port()
    sink = VmcSink(Destination("127.0.0.1", port), rest_offsets_m())
    lines = output_of([sys.executable, str(script), str(port)], port, sink, tmp_path)
    events = [json.loads(line) for line in lines if line.startswith("[")]
    names = [event[0] for event in events]
    for name, count in (("RootTransformEvent", 1), ("BoneTransformEvent", 22), ("StateEvent", 1)):
        assert names.count(name) == count * FRAMES
    assert names.count("RelativeTimeEvent") == FRAMES
    bones = [event for event in events if event[0] == "BoneTransformEvent"]
    assert [bone[1] for bone in bones] == list(BONES) * FRAMES
    assert all(math.hypot(*bone[2:]) == pytest.approx(1.0, abs=1e-5) for bone in bones)


def test_npm_osc_receives_every_vmc_frame_in_order(tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not installed")
    install = [npm, "install", "osc@2.4.5", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
    installed = subprocess.run(install, cwd=tmp_path, capture_output=True, timeout=90, check=False)
    if installed.returncode != 0:
        pytest.skip("npm cannot install the package osc (no network?)")
    (tmp_path / "receive.js").write_text(NODE_RECEIVER)
    port = free_port()
    sink = VmcSink(Destination("127.0.0.1", port), rest_offsets_m())
    lines = output_of([node, "receive.js", str(port)], port, sink, tmp_path)
    assert_is_a_vmc_performance([tuple(json.loads(line)) for line in lines])
