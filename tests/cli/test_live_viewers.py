"""What viewers may change in a live run, and what they are told."""

from __future__ import annotations

import json
import socket as sockets
from pathlib import Path

import pytest
from websockets.sync.client import connect

from bailando.cli.live_viewers import LiveViewers
from bailando.engine.dancer import Dancer, Session
from bailando.engine.viewer import Command
from bailando.errors import BailandoError, ConfigError


@pytest.fixture
def session(bundle_path: Path) -> Session:
    return Dancer.open(bundle_path).session(energy=0.8)


def viewers_of(session: Session, bundle_path: Path, addresses: list[str], pages: bool = False) -> LiveViewers:
    dancer = Dancer.open(bundle_path)
    return LiveViewers(session, dancer.skeleton, tuple(dancer.manifest.styles), "a song", addresses, pages)


def test_energy_reaches_the_dance(session: Session, bundle_path: Path) -> None:
    viewers_of(session, bundle_path, []).carry_out(Command("energy", 1.5))
    assert session.options.energy == 1.5


def test_stop_stands_still_and_start_gives_the_energy_back(session: Session, bundle_path: Path) -> None:
    viewers = viewers_of(session, bundle_path, [])
    viewers.carry_out(Command("stop"))
    assert session.options.energy == 0.0
    viewers.carry_out(Command("energy", 1.2))
    assert session.options.energy == 0.0
    viewers.carry_out(Command("start"))
    assert session.options.energy == 1.2


def test_style_reaches_the_dance_and_an_unknown_one_changes_nothing(
    session: Session, bundle_path: Path
) -> None:
    viewers = viewers_of(session, bundle_path, [])
    style = Dancer.open(bundle_path).manifest.styles[-1]
    viewers.carry_out(Command("style", style))
    assert session.options.style == style
    with pytest.raises(ConfigError):
        viewers.carry_out(Command("style", "no such style"))
    assert session.options.style == style


def test_what_this_run_cannot_do_is_refused(session: Session, bundle_path: Path) -> None:
    with pytest.raises(BailandoError, match="next"):
        viewers_of(session, bundle_path, []).carry_out(Command("next"))


def test_the_page_has_a_default_address_and_a_socket_alone_serves_no_page(
    session: Session, bundle_path: Path
) -> None:
    assert viewers_of(session, bundle_path, [], pages=True).sinks[0].server.port == 8060
    assert viewers_of(session, bundle_path, []).sinks == []


def test_a_command_over_the_socket_changes_the_dance(session: Session, bundle_path: Path) -> None:
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free_port = probe.getsockname()[1]
    (sink,) = viewers_of(session, bundle_path, [str(free_port)]).sinks
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
    assert session.options.energy == 0.25
