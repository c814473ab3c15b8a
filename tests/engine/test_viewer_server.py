"""Who gets an answer from the viewer's port, and which."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import numpy as np
import pytest
from dance_frames import dance_frame
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from bailando.engine.viewer import Command, Hello, ViewerServer
from bailando.engine.viewer.commands import COMMANDS, MAX_COMMAND_BYTES, parse_command
from bailando.engine.viewer.pages import Pages
from bailando.engine.viewer.server import MAX_CLIENTS, MAX_MESSAGE_BYTES
from bailando.engine.viewer.wire import FRAME_HEADER, pack_frame, status_json
from bailando.errors import ConfigError, OutputError
from bailando.motion.skeleton import Skeleton

HELLO = Hello(Skeleton.default(), styles=("open", "salsa"), title="a song")


class Recorder:
    def __init__(self) -> None:
        self.commands: list[Command] = []

    def __call__(self, command: Command) -> None:
        if command.name == "next":
            raise OutputError("there is no next song")
        if command.name == "stop":
            raise ZeroDivisionError
        self.commands.append(command)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def server(recorder: Recorder) -> Iterator[ViewerServer]:
    server = ViewerServer(HELLO, port=0, on_command=recorder)
    server.start()
    yield server
    server.stop()


def socket_url(server: ViewerServer) -> str:
    parts = urlsplit(server.url)
    return f"ws://127.0.0.1:{server.port}/ws" + (f"?{parts.query}" if parts.query else "")


def fetch(server: ViewerServer, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


def test_page_is_served_with_a_policy_that_allows_no_other_host(server: ViewerServer) -> None:
    status, headers, content = fetch(server, "/")
    assert status == 200
    assert b"<canvas" in content
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"


def test_page_names_nothing_outside_the_package() -> None:
    pages = Pages.load().contents
    assert not [name for name in ("/index.html", "/assets/index.css") if b"http" in pages[name][1]]
    assert sum(len(content) for name, (_, content) in pages.items() if name != "/") < 1_500_000
    assert b"three 0." in pages["/LICENSES.txt"][1]


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/server.py", "/assets", "//etc/passwd", "/x?y"]
)
def test_paths_outside_the_pages_are_not_found(server: ViewerServer, path: str) -> None:
    assert fetch(server, path)[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.7:8060", "a@127.0.0.1"]
)
def test_a_foreign_name_in_host_is_refused(server: ViewerServer, host: str) -> None:
    assert fetch(server, "/", Host=host)[0] == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://localhost:{port}",
        "null",
        "http://127.0.0.1:1",
    ],
)
def test_pages_of_another_origin_may_not_connect(server: ViewerServer, origin: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(socket_url(server), origin=origin.format(port=server.port)),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_pages_of_this_server_and_programs_may_connect(server: ViewerServer) -> None:
    for origin in (f"http://127.0.0.1:{server.port}", None):
        with connect(socket_url(server), origin=origin) as viewer:
            assert json.loads(viewer.recv(10))["type"] == "hello"


def test_a_server_that_others_can_reach_asks_for_its_token() -> None:
    server = ViewerServer(HELLO, port=0, host="0.0.0.0")
    server.start()
    try:
        token = urlsplit(server.url).query
        assert len(token) > 20
        assert fetch(server, "/", Host="stage.example")[0] == 403
        assert fetch(server, "/?token=guess", Host="stage.example")[0] == 403
        assert fetch(server, f"/?{token}", Host="stage.example")[0] == 200
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{server.port}/ws"):
            pass
        with connect(socket_url(server)) as viewer:
            viewer.recv(10)
    finally:
        server.stop()


def test_hello_describes_the_body_and_the_styles(server: ViewerServer) -> None:
    with connect(socket_url(server)) as viewer:
        hello = json.loads(viewer.recv(10))
    assert hello["version"] == 1
    assert (hello["title"], hello["fps"], hello["styles"]) == ("a song", 60, ["open", "salsa"])
    assert Skeleton.from_dict(hello["skeleton"]) == Skeleton.default()


def test_the_last_status_greets_a_viewer_that_comes_later(server: ViewerServer) -> None:
    server.publish_status({"bpm": 120.0, "level": float("nan"), "waveform": np.array([0.5, 1.0])})
    with connect(socket_url(server)) as viewer:
        viewer.recv(10)
        status = json.loads(viewer.recv(10))
    assert status == {"type": "status", "bpm": 120.0, "level": None, "waveform": [0.5, 1.0]}


def test_status_never_holds_what_json_does_not_know() -> None:
    text = status_json({"latency_ms": {"p50": np.float32("inf"), "p99": np.float64(2.5)}})
    assert json.loads(text, parse_constant=pytest.fail)["latency_ms"] == {"p50": None, "p99": 2.5}


def test_frame_is_laid_out_as_documented() -> None:
    frame = dance_frame(2**32 + 60)
    data = pack_frame(frame)
    assert len(data) == 40 + 4 * (3 + 24 * 4 + 4)
    header = FRAME_HEADER.unpack_from(data)
    assert header[:4] == (b"BLF1", 60, frame.time_s, int(frame.beat))
    np.testing.assert_allclose(header[4:], (frame.phase, 120, 0.9, 0.3, 0.6), rtol=1e-6)
    body = np.frombuffer(data, "<f4", offset=40)
    np.testing.assert_array_equal(body[:3], frame.root_position)
    np.testing.assert_array_equal(body[3:99].reshape(24, 4), frame.rotations)
    np.testing.assert_array_equal(body[99:], frame.contacts)


@pytest.mark.parametrize(
    ("command", "value"), [("start", None), ("style", "salsa"), ("energy", 0.25), ("seed", 2**53 - 1)]
)
def test_command_arrives(
    server: ViewerServer, recorder: Recorder, command: str, value: str | float | None
) -> None:
    with connect(socket_url(server)) as viewer:
        viewer.recv(10)
        viewer.send(json.dumps({"command": command, "value": value}))
        assert json.loads(viewer.recv(10)) == {"type": "done", "command": command}
    assert recorder.commands == [Command(command, value)]


HOSTILE = [
    "",
    "{",
    "[]",
    "null",
    '"start"',
    "[" * 2000,
    '{"command": "format_disk"}',
    '{"command": ["style"]}',
    '{"command": "start", "value": 1}',
    '{"command": "start", "and": 1}',
    '{"command": "style", "value": "waltz"}',
    '{"command": "style", "value": "a\\u0000"}',
    '{"command": "energy", "value": NaN}',
    '{"command": "energy", "value": 1e999}',
    '{"command": "energy", "value": ' + "9" * 400 + "}",
    '{"command": "energy", "value": true}',
    '{"command": "energy", "value": 2.1}',
    '{"command": "seed", "value": -1}',
    '{"command": "seed", "value": 1.5}',
    "x" * (MAX_COMMAND_BYTES + 1),
    b"\x00\x01",
]


def test_malformed_commands_are_answered_and_change_nothing(server: ViewerServer, recorder: Recorder) -> None:
    with connect(socket_url(server)) as viewer:
        viewer.recv(10)
        for message in HOSTILE:
            viewer.send(message)
            assert json.loads(viewer.recv(10))["type"] == "error", message
        viewer.send('{"command": "energy", "value": 1}')
        assert json.loads(viewer.recv(10))["type"] == "done"
    assert recorder.commands == [Command("energy", 1.0)]


def test_an_enormous_message_closes_only_its_own_connection(server: ViewerServer) -> None:
    with connect(socket_url(server)) as decent, connect(socket_url(server)) as hostile:
        decent.recv(10)
        hostile.recv(10)
        hostile.send("x" * (MAX_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosedError):
            hostile.recv(10)
        decent.send('{"command": "start"}')
        assert json.loads(decent.recv(10))["type"] == "done"


@pytest.mark.parametrize(
    ("command", "reason"), [("next", "there is no next song"), ("stop", "the command failed")]
)
def test_a_command_that_fails_is_reported_to_its_sender(
    server: ViewerServer, command: str, reason: str
) -> None:
    with connect(socket_url(server)) as viewer:
        viewer.recv(10)
        viewer.send(json.dumps({"command": command}))
        answer = json.loads(viewer.recv(10))
    assert (answer["type"], answer["command"]) == ("error", command)
    assert answer["message"].startswith(reason)


def test_every_command_refuses_a_value_of_another_kind() -> None:
    for name in COMMANDS:
        with pytest.raises(ConfigError):
            parse_command(json.dumps({"command": name, "value": {"a": 1}}))


def test_broken_handshakes_leave_the_server_serving(server: ViewerServer) -> None:
    for garbage in (
        b"\x16\x03\x01\x02\x00",
        b"GET /ws HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [\r\n\r\n",
        b"A" * 20000,
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
            raw.sendall(garbage)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert fetch(server, "/")[0] == 200


def test_more_viewers_than_allowed_are_turned_away(server: ViewerServer) -> None:
    with ExitStack() as viewers:
        for _ in range(MAX_CLIENTS):
            viewers.enter_context(connect(socket_url(server))).recv(10)
        with pytest.raises(InvalidStatus) as refused, connect(socket_url(server)):
            pass
        assert refused.value.response.status_code == 503


def test_a_taken_port_is_an_error_of_one_line(server: ViewerServer) -> None:
    with pytest.raises(OutputError, match=f"127.0.0.1:{server.port}"):
        ViewerServer(HELLO, server.port).start()


def test_server_can_be_stopped_twice_and_its_port_used_again(server: ViewerServer) -> None:
    port = server.port
    server.stop()
    server.stop()
    again = ViewerServer(HELLO, port)
    again.start()
    assert fetch(again, "/")[0] == 200
    again.stop()
