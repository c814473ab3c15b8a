"""A run's figures for Prometheus, on this machine unless asked otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from bailando.engine.telemetry import Status
from bailando.errors import ConfigError, OutputError

PREFIX = "bailando"
GAUGES = frozenset(
    {
        "time_s",
        "fps",
        "latency_p50_ms",
        "latency_p99_ms",
        "compute_p50_ms",
        "compute_p99_ms",
        "compute_max_ms",
        "bpm",
        "phase",
        "confidence",
        "level",
        "connected",
        "idle",
        "clock_drift_ppm",
        "clock_slew_ms",
        "delay_ms",
    }
)
"""Fields of `Status` that go up and down; all other numbers only grow."""


class MetricsEndpoint:
    """Answers ``GET /metrics`` with the newest status.

    Parameters
    ----------
    port : int
        0 takes a free one.
    host : str

    Attributes
    ----------
    port : int
        Where it listens.

    Raises
    ------
    ConfigError
        If the package prometheus-client is missing.
    OutputError
        If the port is taken.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise ConfigError(
                "--prometheus needs the package prometheus-client; pip install 'bailando[metrics]'"
            ) from None
        self._status: Status | None = None
        registry = CollectorRegistry()
        registry.register(_Collector(lambda: self._status))
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise OutputError(
                f"cannot serve metrics on {host}:{port} ({error.strerror}); choose another --prometheus PORT"
            ) from None
        self.port: int = self._server.server_port

    def publish(self, status: Status) -> None:
        """Keep the status for the next request."""
        self._status = status

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2.0)


class _Collector:
    """Turns the newest status into metrics at each request."""

    def __init__(self, newest: Callable[[], Status | None]) -> None:
        self._newest = newest

    def describe(self) -> list[Any]:
        """Return nothing, so that registering asks for no status."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield one metric for each number of the status."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = self._newest()
        if status is None:
            return
        for field in fields(status):
            value = getattr(status, field.name)
            if isinstance(value, str):
                continue
            family = GaugeMetricFamily if field.name in GAUGES else CounterMetricFamily
            text = f"{field.name} of bailando's status"
            yield family(f"{PREFIX}_{field.name}", text, value=float(value))
