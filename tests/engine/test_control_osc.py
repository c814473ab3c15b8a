"""Control over OSC, sent by python-osc as other programs send it."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket
from waiting import wait_for

from bailando.engine.control import Control, Controls, Wish
from bailando.engine.control_osc import ERROR_ADDRESS, OscControl, parse_address, parse_control_address
from bailando.engine.sinks.destination import Destination
from bailando.errors import ConfigError, OutputError


@pytest.fixture
def controls() -> Controls:
    return Controls(("open", "salsa"), (Wish("open", 1.0), Wish("open", 1.0)))


class Desk:
    """A program that sends OSC and hears answers."""

    def __init__(self, controls: Controls) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.listener = OscControl(Destination("127.0.0.1", self.port), controls)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(5.0)

    def send(self, address: str, *values: Any) -> None:
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        self.send_raw(builder.build().dgram)

    def send_raw(self, data: bytes) -> None:
        done = self.listener.received + self.listener.refused
        self._socket.sendto(data, ("127.0.0.1", self.port))
        deadline_s = time.monotonic() + 5.0
        while self.listener.received + self.listener.refused == done and time.monotonic() < deadline_s:
            time.sleep(0.002)

    def send_unawaited(self, data: bytes) -> None:
        self._socket.sendto(data, ("127.0.0.1", self.port))
        time.sleep(0.0005)  # so that the system's buffer holds what waits

    def answer(self) -> str:
        (entry,) = OscPacket(self._socket.recv(4096)).messages
        assert entry.message.address == ERROR_ADDRESS
        return str(entry.message.params[0])

    def close(self) -> None:
        self.listener.close()
        self._socket.close()


@pytest.fixture
def desk(controls: Controls) -> Iterator[Desk]:
    opened = Desk(controls)
    opened.listener.start()
    yield opened
    opened.close()


def taken(controls: Controls) -> list[tuple[str, object, int | None]]:
    def fields(control: Control) -> tuple[str, object, int | None]:
        return control.name, control.value, control.dancer

    return [fields(control) for control in controls.take()]


@pytest.mark.parametrize(
    ("address", "values", "expected"),
    [
        ("energy", (0.5,), ("energy", 0.5, None)),
        ("energy", (1,), ("energy", 1.0, None)),
        ("groove", (1.5,), ("groove", 1.5, None)),
        ("style", ("salsa",), ("style", "salsa", None)),
        ("style", (1,), ("style", "salsa", None)),
        ("seed", (7.0,), ("seed", 7, None)),
        ("start", (), ("start", None, None)),
        ("next", (1.0,), ("next", None, None)),
        ("tap", (True,), ("tap", None, None)),
        ("tempo", (126.5,), ("tempo", 126.5, None)),
        ("dancer/2/energy", (0.25,), ("energy", 0.25, 1)),
    ],
)
def test_message_becomes_a_control(
    desk: Desk, controls: Controls, address: str, values: tuple[object, ...], expected: tuple[object, ...]
) -> None:
    desk.send(f"/bailando/control/{address}", *values)
    assert taken(controls) == [expected]


def test_button_let_go_changes_nothing(desk: Desk, controls: Controls) -> None:
    desk.send("/bailando/control/tap", 0.0)
    assert taken(controls) == []
    assert desk.listener.refused == 0


@pytest.mark.parametrize(
    ("address", "values", "words"),
    [
        ("/bailando/control/energy", (9.0,), "from 0 to 2"),
        ("/bailando/control/energy", (), "from 0 to 2"),
        ("/bailando/control/energy", (1.0, 2.0), "one value at most"),
        ("/bailando/control/style", (7,), "no style 7"),
        ("/bailando/control/seed", (b"\0\1",), "give a number"),
        ("/bailando/control/dancer/9/energy", (1.0,), "no dancer"),
        ("/bailando/control/jump", (), "unknown address"),
        ("/other", (), "unknown address"),
    ],
)
def test_sender_hears_why_nothing_was_done(
    desk: Desk, controls: Controls, address: str, values: tuple[object, ...], words: str
) -> None:
    desk.send(address, *values)
    assert words in desk.answer()
    assert taken(controls) == []


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, b"#bundle\0" + b"\0" * 7, b"/bailando/control/energy"])
def test_garbage_is_counted_and_the_listener_goes_on(desk: Desk, controls: Controls, data: bytes) -> None:
    desk.send_raw(data)
    desk.send("/bailando/control/energy", 0.75)
    assert taken(controls) == [("energy", 0.75, None)]
    assert desk.listener.refused == 1


@pytest.mark.parametrize(
    ("address", "values", "expected"),
    [
        ("Calib/Ready", (), [("stop", None, None)]),
        ("Calib/Exec", (0,), [("recentre", None, None), ("start", None, None)]),
        ("Shortcut", ("style salsa",), [("style", "salsa", None)]),
        ("Shortcut", ("energy 0.5",), [("energy", 0.5, None)]),
        ("Shortcut", ("seed 7",), [("seed", 7, None)]),
        ("Shortcut", ("next",), [("next", None, None)]),
        ("Req", (), []),
        ("Eye", (1, 0.0, 1.5, 1.0), []),
    ],
)
def test_vmc_s_requests_to_a_performer_become_controls(
    desk: Desk, controls: Controls, address: str, values: tuple[object, ...], expected: list[object]
) -> None:
    desk.send(f"/VMC/Ext/Set/{address}", *values)
    assert taken(controls) == expected
    assert desk.listener.refused == 0


@pytest.mark.parametrize(
    ("address", "values", "words"),
    [
        ("Calib/Exec", (7,), "one mode, 0, 1 or 2"),
        ("Calib/Exec", (), "one mode"),
        ("Shortcut", ("Functions.FreeCamera",), "unknown shortcut"),
        ("Shortcut", ("energy much",), "energy"),
        ("Period", (1, 2, 2, 1, 1, 1), "fps=RATE"),
    ],
)
def test_vmc_s_sender_hears_what_cannot_be_done(
    desk: Desk, controls: Controls, address: str, values: tuple[object, ...], words: str
) -> None:
    desk.send(f"/VMC/Ext/Set/{address}", *values)
    assert words in desk.answer()
    assert taken(controls) == []


def test_hostile_datagrams_never_stop_the_listener_nor_fill_the_log(
    desk: Desk, controls: Controls, caplog: pytest.LogCaptureFixture
) -> None:
    draw = random.Random(1)
    messages = [
        b"/bailando/control/energy\0\0\0\0,f\0\0\x3f\0\0\0",
        b"/VMC/Ext/Set/Shortcut\0\0\0,s\0\0next\0\0\0\0",
        b"#bundle\0\0\0\0\0\0\0\0\1\0\0\0\x0c/a\0\0,i\0\0\0\0\0\1",
    ]
    inserts = [b",", b"[", b"]", b"#bundle\0", b"\xff\xff\xff\xff", b"/bailando/control/"]
    for _ in range(1500):
        data = bytearray(draw.choice(messages))
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(data) + 1)
            if draw.random() < 0.5:
                data[at : at + 1] = draw.randbytes(1)
            elif draw.random() < 0.5:
                data[at:at] = draw.choice(inserts)
            else:
                del data[at:]
        desk.send_unawaited(bytes(data))
    wait_for(lambda: desk.listener.refused > 700, 20)

    def last_word_is_heard() -> bool:
        desk.send("/bailando/control/energy", 0.75)
        return ("energy", 0.75, None) in taken(controls)

    wait_for(last_word_is_heard, 20)
    assert caplog.records == []


def test_taken_port_is_one_line(desk: Desk, controls: Controls) -> None:
    with pytest.raises(OutputError, match="choose another"):
        OscControl(Destination("127.0.0.1", desk.port), controls)


def test_listens_on_this_machine_alone_unless_asked() -> None:
    assert str(parse_control_address("9010")) == "127.0.0.1:9010"
    assert str(parse_control_address("0.0.0.0:9010")) == "0.0.0.0:9010"
    with pytest.raises(OutputError):
        parse_control_address("99999")


@pytest.mark.parametrize(
    "address", ["/bailando/control/dancer/0/energy", "/bailando/control/dancer/x/tap", ""]
)
def test_addresses_that_are_none_of_ours(address: str) -> None:
    with pytest.raises(ConfigError):
        parse_address(address)
