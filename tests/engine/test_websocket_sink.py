"""The sink hands frames over and never waits for a viewer."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from dance_frames import dance_frame
from waiting import wait_for
from websockets.sync.client import ClientConnection, connect

from bailando.engine.sinks.base import Sink
from bailando.engine.sinks.websocket import WebSocketSink, parse_listen_address
from bailando.engine.viewer import Hello, ViewerServer
from bailando.errors import BailandoError
from bailando.motion.skeleton import Skeleton

HELLO = Hello(Skeleton.default())


@pytest.fixture
def sink() -> Iterator[WebSocketSink]:
    sink = WebSocketSink(ViewerServer(HELLO, port=0, queue_frames=8))
    sink.open()
    yield sink
    sink.close()


@contextmanager
def watch(sink: WebSocketSink) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{sink.server.port}/ws", compression=None) as viewer:
        assert json.loads(viewer.recv(10))["type"] == "hello"
        yield viewer


def number_of(message: str | bytes) -> int:
    assert isinstance(message, bytes)
    return int(struct.unpack_from("<I", message, 4)[0])


def test_sink_is_a_sink_with_the_address_in_its_name(sink: WebSocketSink) -> None:
    as_protocol: Sink = sink
    assert as_protocol.name == f"ws http://127.0.0.1:{sink.server.port}/"


def test_all_viewers_receive_every_frame_in_order(sink: WebSocketSink) -> None:
    with watch(sink) as first, watch(sink) as second:
        wait_for(lambda: sink.server.client_count == 2, 10)
        for number in range(60):
            sink.send(dance_frame(number))
            time.sleep(0.002)
        for viewer in (first, second):
            assert [number_of(viewer.recv(10)) for _ in range(60)] == list(range(60))
    assert sink.counters.frames == 60
    assert sink.counters.datagrams == 120
    assert sink.counters.failures == 0


def test_frames_without_viewers_cost_nothing_and_are_not_kept(sink: WebSocketSink) -> None:
    for number in range(100):
        sink.send(dance_frame(number))
    with watch(sink) as viewer:
        wait_for(lambda: sink.server.client_count == 1, 10)
        sink.send(dance_frame(100))
        assert number_of(viewer.recv(10)) == 100


def test_a_viewer_that_does_not_read_loses_the_oldest_and_delays_nobody(sink: WebSocketSink) -> None:
    # Small buffers of the system and no reading: the queue fills as it does behind a bad network.
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", sink.server.port))
    stalled.sendall(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with stalled, watch(sink) as reader:
        wait_for(lambda: sink.server.client_count == 2, 10)
        longest_s = 0.0
        sent = 0
        while sink.server.dropped_frames < 100:
            frame = dance_frame(sent)
            begin = time.perf_counter()
            sink.send(frame)
            longest_s = max(longest_s, time.perf_counter() - begin)
            assert number_of(reader.recv(10)) == sent
            sent += 1
            assert sent < 100_000, "nothing was ever dropped"
    assert longest_s < 0.25
    assert sink.counters.failures >= 99


def test_a_viewer_may_go_and_come_back(sink: WebSocketSink) -> None:
    for number in range(3):
        with watch(sink) as viewer:
            wait_for(lambda: sink.server.client_count == 1, 10)
            sink.send(dance_frame(number))
            assert number_of(viewer.recv(10)) == number
        wait_for(lambda: sink.server.client_count == 0, 10)


def test_a_viewer_that_vanishes_does_not_disturb_the_others(sink: WebSocketSink) -> None:
    with watch(sink) as viewer, watch(sink) as gone:
        wait_for(lambda: sink.server.client_count == 2, 10)
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.socket.shutdown(socket.SHUT_RDWR)
        for number in range(30):
            sink.send(dance_frame(number))
            assert number_of(viewer.recv(10)) == number


def test_sending_before_opening_and_after_closing_is_harmless() -> None:
    sink = WebSocketSink(ViewerServer(HELLO, port=0))
    sink.send(dance_frame(0))
    sink.open()
    sink.close()
    sink.close()
    sink.send(dance_frame(1))
    sink.send_status({"bpm": 100})
    assert sink.counters.frames == 2


def test_listen_address_is_a_port_or_a_host_with_a_port() -> None:
    assert parse_listen_address("8060") == ("127.0.0.1", 8060)
    assert parse_listen_address("0.0.0.0:9000") == ("0.0.0.0", 9000)
    assert parse_listen_address("[::1]:9000") == ("::1", 9000)


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "eight", "\u0661\u0662", "host:", ":8060", "a:b:c"])
def test_other_listen_addresses_are_errors(text: str) -> None:
    with pytest.raises(BailandoError):
        parse_listen_address(text)
