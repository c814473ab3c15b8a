"""What viewers may change in a live run, and what they are told."""

from __future__ import annotations

import json
import socket as sockets
from pathlib import Path

import pytest
from websockets.sync.client import connect

from bailando.cli.live_viewers import LiveViewers
from bailando.engine.control import Controls
from bailando.engine.dancer import Dancer
from bailando.engine.performance import new_controls
from bailando.engine.viewer import Command
from bailando.errors import ConfigError


@pytest.fixture
def controls(bundle_path: Path) -> Controls:
    dancer = Dancer.open(bundle_path)
    return new_controls([dancer.session(energy=0.8)], dancer.manifest.styles)


def viewers_of(
    controls: Controls, bundle_path: Path, addresses: list[str], pages: bool = False
) -> LiveViewers:
    return LiveViewers(controls, Dancer.open(bundle_path).skeleton, "a song", addresses, pages)


@pytest.mark.parametrize(
    ("name", "value"),
    [("energy", 1.5), ("stop", None), ("start", None), ("style", "salsa"), ("seed", 7), ("next", None)],
)
def test_every_command_of_a_viewer_reaches_the_queue(
    controls: Controls, bundle_path: Path, name: str, value: object
) -> None:
    viewers_of(controls, bundle_path, []).carry_out(Command(name, value))  # type: ignore[arg-type]
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


def test_a_command_over_the_socket_changes_the_dance(controls: Controls, bundle_path: Path) -> None:
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free_port = probe.getsockname()[1]
    (sink,) = viewers_of(controls, bundle_path, [str(free_port)]).sinks
    sink.open()
    try:
        with connect(f"ws://127.0.0.1:{free_port}/ws", origin=None) as socket:
            socket.send(json.dumps({"command": "energy", "value": 0.25}))
            for _ in range(5):
                answer = json.loads(socket.recv(timeout=5))
                if answer.get("command") == "energy":
                    break
    finally:
        sink.close()
    assert [(control.name, control.value) for control in controls.take()] == [("energy", 0.25)]
