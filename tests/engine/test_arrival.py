"""What oscdump (liblo) receives while bailando-live plays five seconds of a song."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bailando.engine.sinks.vmc import BONES
from tests.engine.test_sinks_clients import free_port, parse_oscdump, wait_until_bound

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"
FRAME_ADDRESSES = ["/VMC/Ext/Root/Pos", *["/VMC/Ext/Bone/Pos"] * 22, "/VMC/Ext/OK", "/VMC/Ext/T"]

pytestmark = [
    pytest.mark.skipif(shutil.which("oscdump") is None, reason="oscdump (liblo-tools) is not installed"),
    pytest.mark.real_time,
]

Received = list[tuple[str, str, list[str | float]]]


@pytest.fixture(scope="module")
def received(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Received, Received]:
    """What arrived at the VMC and at the plain OSC port."""
    folder = tmp_path_factory.mktemp("arrival")
    ports = free_port(), free_port()
    logs = [folder / "vmc.txt", folder / "osc.txt"]
    clients = []
    for port, log in zip(ports, logs, strict=True):
        with log.open("w") as stream:
            clients.append(subprocess.Popen(["oscdump", "-L", str(port)], stdout=stream))
    try:
        for port in ports:
            wait_until_bound(port)
        command = [sys.executable, "-m", "bailando.cli.live", "--input", str(SONG), "--duration", "5"]
        command += ["--model", str(bundle_path), "--quiet"]
        command += ["--vmc", f"127.0.0.1:{ports[0]}", "--osc", f"127.0.0.1:{ports[1]}"]
        live = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        time.sleep(0.3)
    finally:
        for client in clients:
            client.terminate()
            client.wait(timeout=10)
    assert (live.returncode, live.stderr) == (0, "")
    vmc, osc = (parse_oscdump(log.read_text().splitlines()) for log in logs)
    return vmc, osc


def test_every_vmc_frame_arrives_whole_and_in_order(received: tuple[Received, Received]) -> None:
    addresses = [address for address, _, _ in received[0]]
    frames = addresses.count("/VMC/Ext/T")
    assert 298 <= frames <= 302
    assert addresses == FRAME_ADDRESSES * frames
    bones = [values[0] for address, _, values in received[0] if address == "/VMC/Ext/Bone/Pos"]
    assert bones == list(BONES) * frames


def test_vmc_tags_are_int_float_string_and_quaternions_are_unit(
    received: tuple[Received, Received],
) -> None:
    for address, tags, values in received[0]:
        assert re.fullmatch("[ifs]+", tags)
        if address.endswith("/Pos"):
            assert tags == "sfffffff"
            length = math.hypot(*(float(value) for value in values[4:]))
            assert length == pytest.approx(1.0, abs=1e-4)


def test_vmc_time_advances_by_one_frame_each(received: tuple[Received, Received]) -> None:
    times = [float(values[0]) for address, _, values in received[0] if address == "/VMC/Ext/T"]
    assert times == pytest.approx([number / 60 for number in range(len(times))], abs=1e-4)


def test_the_body_that_arrives_moves(received: tuple[Received, Received]) -> None:
    heads = [
        tuple(values[4:])
        for address, _, values in received[0]
        if address == "/VMC/Ext/Bone/Pos" and values[0] == "Head"
    ]
    assert len(set(heads)) >= 20  # the synthetic dancer changes its pose once a token


def test_plain_namespace_is_numbers_only(received: tuple[Received, Received]) -> None:
    assert len(received[1]) > 300 * 50
    for address, tags, values in received[1]:
        assert address.startswith("/bailando/")
        assert set(tags) <= {"i", "f"}
        assert all(isinstance(value, float) and math.isfinite(value) for value in values)


def test_plain_frame_numbers_have_no_gap(received: tuple[Received, Received]) -> None:
    numbers = [values[0] for address, _, values in received[1] if address == "/bailando/frame"]
    assert 298 <= len(numbers) <= 302
    assert numbers == list(range(len(numbers)))
