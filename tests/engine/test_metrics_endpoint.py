"""Figures for Prometheus, read as Prometheus reads them."""

from __future__ import annotations

import socket
from dataclasses import replace
from urllib.request import ProxyHandler, build_opener

import pytest

from bailando.engine.metrics_endpoint import MetricsEndpoint
from bailando.errors import OutputError
from tests.engine.test_telemetry import STATUS

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")


def scrape(port: int) -> dict[str, float]:
    text = build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return {
        sample.name: sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_newest_status_is_served_with_counters_and_gauges_apart() -> None:
    endpoint = MetricsEndpoint(0)
    try:
        assert scrape(endpoint.port) == {}
        endpoint.publish(STATUS)
        endpoint.publish(replace(STATUS, late_tokens=7, title="a song"))
        figures = scrape(endpoint.port)
    finally:
        endpoint.close()
    assert figures["bailando_late_tokens_total"] == 7
    assert figures["bailando_fps"] == pytest.approx(59.97)
    assert figures["bailando_connected"] == 1.0
    assert not any("title" in name for name in figures)


def test_taken_port_is_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OutputError, match="choose another"):
            MetricsEndpoint(other.getsockname()[1])
