"""Listens for OSC messages, ours and VMC's, that change the dance while it runs; see ``docs/control.md``."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from typing import Any

from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket, ParseError

from bailando.engine.control import CONTROLS, Controls, ControlValue
from bailando.engine.control_vmc import VMC_PREFIX, controls_of_vmc
from bailando.engine.sinks.destination import Destination
from bailando.errors import BailandoError, ConfigError, OutputError

PREFIX = "/bailando/control/"
ERROR_ADDRESS = "/bailando/control/error"
LOOPBACK = "127.0.0.1"
_MAX_DATAGRAM_BYTES = 4096
_POLL_S = 0.2
_WITHOUT_VALUE = frozenset({"start", "stop", "next", "reset", "recentre", "tap"})


def parse_control_address(text: str) -> Destination:
    """Read where to listen: PORT on this machine alone, or HOST:PORT.

    Raises
    ------
    OutputError
        If the text is neither or the port is out of range.
    """
    return Destination.parse(text if ":" in text else f"{LOOPBACK}:{text}")


def _is_not_of_the_parser(record: logging.LogRecord) -> bool:
    """Whether a line of the log is not the OSC parser's, which writes one for each bad datagram."""
    return "pythonosc" not in record.pathname


class OscControl:
    """Receives controls over UDP and puts them into the queue.

    Whoever sends what cannot be done gets `ERROR_ADDRESS` with one line back. Datagrams that are no
    OSC are counted and forgotten.

    Parameters
    ----------
    address : Destination
        Where to listen.
    controls : Controls

    Attributes
    ----------
    received, refused : int
        Messages carried out, and messages and datagrams that were not.

    Raises
    ------
    OutputError
        If the port is taken.
    """

    def __init__(self, address: Destination, controls: Controls) -> None:
        endpoint = address.resolve()
        self._controls = controls
        self._socket = socket.socket(endpoint.family, socket.SOCK_DGRAM)
        self._socket.settimeout(_POLL_S)
        try:
            self._socket.bind((endpoint.address, endpoint.port))
        except OSError as error:
            self._socket.close()
            raise OutputError(
                f"cannot listen for OSC on {address} ({error.strerror}); choose another --control PORT"
            ) from None
        self.received = 0
        self.refused = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="bailando-control", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        logging.getLogger().addFilter(_is_not_of_the_parser)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; closing twice is harmless."""
        logging.getLogger().removeFilter(_is_not_of_the_parser)
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        self._socket.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                data, sender = self._socket.recvfrom(_MAX_DATAGRAM_BYTES)
            except OSError:  # nothing came, or the answer that nobody listens for our error message
                continue
            self._carry_out(data, sender)

    def _carry_out(self, data: bytes, sender: Any) -> None:
        """Carry out all messages of a datagram."""
        try:
            messages = [entry.message for entry in OscPacket(data).messages]
        except (ParseError, ValueError, IndexError, RecursionError):
            self.refused += 1
            return
        for message in messages:
            try:
                self._submit(message.address, list(message.params))
                self.received += 1
            except BailandoError as error:
                self.refused += 1
                self._answer(str(error), sender)

    def _submit(self, address: str, values: list[Any]) -> None:
        """Put one message into the queue; a button that is let go changes nothing."""
        if address.startswith(VMC_PREFIX):
            for name, value in controls_of_vmc(address, values):
                self._controls.submit(name, self._as_value(name, value))
            return
        name, dancer = parse_address(address)
        if len(values) > 1:
            raise ConfigError(f"{address} takes one value at most; got {len(values)}")
        value = values[0] if values else None
        if name in _WITHOUT_VALUE:
            if value is None or value:
                self._controls.submit(name, None, dancer)
            return
        self._controls.submit(name, self._as_value(name, value), dancer)

    def _as_value(self, name: str, value: Any) -> ControlValue:
        """Return the value as the queue takes it: faders send floats, style may be a number."""
        if isinstance(value, float) and value.is_integer() and name in ("seed", "style"):
            value = int(value)
        if name == "style" and isinstance(value, int) and not isinstance(value, bool):
            if not 0 <= value < len(self._controls.styles):
                raise ConfigError(f"no style {value}; there are {len(self._controls.styles)}, from 0")
            return self._controls.styles[value]
        if isinstance(value, str | int | float) or value is None:
            return value
        raise ConfigError(f"{name} is a {type(value).__name__}; give a number or a name")

    def _answer(self, text: str, sender: Any) -> None:
        """Tell the sender why nothing was done."""
        builder = OscMessageBuilder(ERROR_ADDRESS)
        builder.add_arg(text)
        with suppress(OSError):  # the sender is gone; what it asked for is counted already
            self._socket.sendto(builder.build().dgram, sender)


def parse_address(address: str) -> tuple[str, int | None]:
    """Return the control and the dancer (from 0) of an address; dancers count from 1 in it.

    Raises
    ------
    ConfigError
        If the address is none of ours.
    """
    path = address.removeprefix(PREFIX).split("/") if address.startswith(PREFIX) else []
    if len(path) == 1 and path[0] in CONTROLS:
        return path[0], None
    numbered = len(path) == 3 and path[0] == "dancer" and path[1].isascii() and path[1].isdigit()
    if numbered and path[2] in CONTROLS and 1 <= int(path[1]) <= 999:
        return path[2], int(path[1]) - 1
    raise ConfigError(f"unknown address {address[:60]!r}; see docs/control.md")
