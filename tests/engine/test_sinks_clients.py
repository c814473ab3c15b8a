"""What other people's OSC programs receive from the pacer: oscdump (liblo) and npm's osc."""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bailando._native import now_ns
from bailando.engine.pacer import Pacer, frame_due_ns
from bailando.engine.sinks import Destination, OscSink, PacketSink, VmcSink
from bailando.engine.sinks.vmc import BONES
from tests.engine.frame_factory import make_frame, rest_offsets_m

FRAMES = 60
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


def perform(sink: PacketSink) -> None:
    """Send `FRAMES` frames in real time."""
    pacer = Pacer([sink])
    origin_ns = now_ns() + 300_000_000
    pacer.start()
    for number in range(FRAMES):
        while pacer.queued > 32:
            time.sleep(0.005)
        pacer.submit(make_frame(number, beat=number % 30 == 0, bpm=120.0), frame_due_ns(origin_ns, number))
    assert pacer.finish()


def output_of(command: Sequence[str], port: int, sink: PacketSink, folder: Path) -> list[str]:
    """Run a client that prints a line per message while the sink performs."""
    log = folder / "received.txt"
    with log.open("w") as stream:
        client = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=folder)
        try:
            wait_until_bound(port)
            perform(sink)
            time.sleep(0.3)
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
