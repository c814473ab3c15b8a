"""Sinks: where the dance goes."""

from __future__ import annotations

from bailando.engine.sinks.base import PacketSink, Sink, SinkCounters
from bailando.engine.sinks.channels import ChannelMap
from bailando.engine.sinks.destination import Destination
from bailando.engine.sinks.osc import OSC_PORT, OscSink
from bailando.engine.sinks.request import SinkRequest, SinkSettings
from bailando.engine.sinks.vmc import VMC_PORT, VmcSink

__all__ = [
    "OSC_PORT",
    "VMC_PORT",
    "ChannelMap",
    "Destination",
    "OscSink",
    "PacketSink",
    "Sink",
    "SinkCounters",
    "SinkRequest",
    "SinkSettings",
    "VmcSink",
]
