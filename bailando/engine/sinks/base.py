"""What a sink is, and the sinks that are made of datagrams."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bailando._native import PacketTemplate
from bailando.engine.frame import FRAME_RATE_HZ, Frame
from bailando.engine.sinks.destination import Destination, Endpoint
from bailando.engine.sinks.osc_packets import Packet
from bailando.errors import OutputError


@dataclass
class SinkCounters:
    """What a sink has done so far."""

    frames: int = 0
    datagrams: int = 0
    failures: int = 0


class Sink(Protocol):
    """A receiver of frames. `send` never raises: a failure is counted and the show goes on."""

    @property
    def name(self) -> str:
        """What users call it, for example ``vmc 127.0.0.1:39539``."""

    @property
    def counters(self) -> SinkCounters:
        """What it has done so far."""

    def open(self) -> None:
        """Get ready; raises OutputError if the destination cannot be used."""

    def send(self, frame: Frame) -> None:
        """Deliver one frame, at once."""

    def close(self) -> None:
        """Let go of everything; closing twice is harmless."""


class DatagramSink(ABC):
    """A sink of datagrams to one UDP destination.

    Subclasses say what one frame is in datagrams (`datagrams`).

    Parameters
    ----------
    protocol
        Name of the protocol, for messages.
    destination
        Where to send; resolved here, once.

    Attributes
    ----------
    frame_rate_hz : float
        Frames per second, from which the time in a packet is told; 60 unless set before `open`.
    """

    def __init__(self, protocol: str, destination: Destination) -> None:
        self.name = f"{protocol} {destination}"
        self.counters = SinkCounters()
        self.endpoint: Endpoint = destination.resolve()
        self.frame_rate_hz = float(FRAME_RATE_HZ)
        self._socket: socket.socket | None = None

    @abstractmethod
    def datagrams(self, frame: Frame) -> Sequence[bytes | None]:
        """Return the datagrams of a frame, in order; None for one that the format cannot say."""

    def open(self) -> None:
        """Open the socket.

        Raises
        ------
        OutputError
            If the system has no route to the destination.
        """
        if self._socket is None:
            self._socket = self.endpoint.connect()

    def send(self, frame: Frame) -> None:
        """Send one frame from this thread; what cannot be sent is counted.

        Raises
        ------
        OutputError
            If the sink is not open.
        """
        if self._socket is None:
            raise OutputError(f"{self.name} is not open; call open() before send()")
        self.counters.frames += 1
        for data in self.datagrams(frame):
            if data is not None and send_datagram(self._socket, data):
                self.counters.datagrams += 1
            else:
                self.counters.failures += 1

    def close(self) -> None:
        """Close the socket; closing twice is harmless."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class PacketSink(DatagramSink):
    """A sink of OSC datagrams.

    Subclasses say which packets (`packets`) and with which numbers (`values`). The output thread takes
    both and sends by itself; `send` here serves callers that keep their own time.

    Parameters
    ----------
    protocol, destination
        As of `DatagramSink`.
    """

    def __init__(self, protocol: str, destination: Destination) -> None:
        super().__init__(protocol, destination)
        self._templates: list[PacketTemplate] = []

    @property
    @abstractmethod
    def packets(self) -> Sequence[Packet]:
        """The datagrams of one frame, in order."""

    @abstractmethod
    def values(self, frame: Frame) -> NDArray[np.float32]:
        """Return the numbers of the frame that the packets' slots point to, (values,) float32."""

    def open(self) -> None:
        """Open the socket; raises OutputError if the system has no route to the destination."""
        super().open()
        self._templates = [packet.template(self.frame_rate_hz) for packet in self.packets]

    def datagrams(self, frame: Frame) -> Sequence[bytes]:
        """Return the packets with the frame's numbers in them."""
        values = self.values(frame)
        return [template.patch(values, frame.number) for template in self._templates]


def send_datagram(opened: socket.socket, data: bytes) -> bool:
    """Send one datagram; whether the system took it."""
    try:
        try:
            opened.send(data)
        except ConnectionRefusedError:
            opened.send(data)  # the error answered an earlier datagram; this one was not sent yet
    except OSError:
        return False
    return True
