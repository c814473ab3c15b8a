"""What viewers may change in a live run, and what they are told."""

from __future__ import annotations

import json
import socket as sockets
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from bailando.cli.live_viewers import LiveViewers
from bailando.engine.control import Controls
from bailando.engine.dancer import Dancer
from bailando.engine.performance import new_controls
from bailando.engine.sources import FileSource
from bailando.engine.viewer import Command
from bailando.errors import ConfigError

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"


@pytest.fixture
def controls(bundle_path: Path) -> Controls:
    dancer = Dancer.open(bundle_path)
    return new_controls([dancer.session(energy=0.8)], dancer.manifest.styles)


def viewers_of(
    controls: Controls, bundle_path: Path, addresses: list[str], pages: bool = False
) -> LiveViewers:
    return LiveViewers(controls, Dancer.open(bundle_path).skeleton, FileSource(SONG), addresses, pages)


@pytest.mark.parametrize(
    ("name", "value"),
    [("energy", 1.5), ("stop", None), ("start", None), ("style", "salsa"), ("seed", 7), ("next", None)],
)
def test_every_command_of_a_viewer_reaches_the_queue(
    controls: Controls, bundle_path: Path, name: str, value: str | float | None
) -> None:
    viewers_of(controls, bundle_path, []).carry_out(Command(name, value))
    assert [(control.name, control.value) for control in controls.take()] == [(name, value)]


def test_what_the_queue_refuses_the_viewer_hears(controls: Controls, bundle_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such style"):
        viewers_of(controls, bundle_path, []).carry_out(Command("style", "no such style"))
    assert controls.take() == []


def test_the_page_has_a_default_address_and_a_socket_alone_serves_no_page(
    controls: Controls, bundle_path: Path
) -> None:
    assert viewers_of(controls, bundle_path, [], pages=True).sinks[0].server.port == 8060
    assert viewers_of(controls, bundle_path, []).sinks == []


def free_port() -> int:
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connected(port: int, run: subprocess.Popen[bytes]) -> ClientConnection:
    deadline_s = time.monotonic() + 30
    while True:
        try:
            return connect(f"ws://127.0.0.1:{port}/ws", origin=None)
        except OSError:
            assert run.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.1)


def test_a_viewer_sees_the_song_with_its_outline_at_the_time_of_the_frames(bundle_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "bailando.cli.live", "--input", str(SONG), "--model", str(bundle_path)]
    with subprocess.Popen([*command, "--ws", str(port), "--no-vmc", "--no-osc", "--delay", "300"]) as run:
        try:
            with connected(port, run) as socket:
                hello = json.loads(socket.recv(timeout=10))
                statuses: list[dict[str, Any]] = []
                shown_s = 0.0
                while len(statuses) < 8:
                    message = socket.recv(timeout=10)
                    if isinstance(message, str):
                        statuses.append(json.loads(message))
                    else:
                        shown_s = struct.unpack_from("<d", message, 8)[0]
        finally:
            run.terminate()
    assert (hello["title"], statuses[-1]["title"]) == ("panic_on_meadow", "panic_on_meadow")
    assert max(statuses[-1]["waveform"]) > 0.1
    assert 0 < statuses[-1]["waveform_end_s"] - shown_s < 1.0  # ahead by the delay, not by a song


def test_a_command_over_the_socket_changes_the_dance(controls: Controls, bundle_path: Path) -> None:
    port = free_port()
    (sink,) = viewers_of(controls, bundle_path, [str(port)]).sinks
    sink.open()
    try:
        with connect(f"ws://127.0.0.1:{port}/ws", origin=None) as socket:
            socket.send(json.dumps({"command": "energy", "value": 0.25}))
            for _ in range(5):
                answer = json.loads(socket.recv(timeout=5))
                if answer.get("command") == "energy":
                    break
    finally:
        sink.close()
    assert [(control.name, control.value) for control in controls.take()] == [("energy", 0.25)]
