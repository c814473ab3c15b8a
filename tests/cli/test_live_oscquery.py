"""bailando-live --oscquery, asked while it dances."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.engine.test_oscquery import free_tcp_port

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"


@pytest.mark.skipif(importlib.util.find_spec("zeroconf") is None, reason="zeroconf is not installed")
def test_addresses_and_the_control_port_are_told_while_it_dances(bundle_path: Path) -> None:
    port, control = free_tcp_port(), free_tcp_port()
    command = [sys.executable, "-m", "bailando.cli.live", "--input", str(SONG), "--model", str(bundle_path)]
    command += ["--no-vmc", "--no-osc", "--oscquery", str(port), "--control", str(control)]
    command += ["--duration", "6", "--quiet"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as live:
        info = asked(f"http://127.0.0.1:{port}/?HOST_INFO")
        tree = asked(f"http://127.0.0.1:{port}/bailando/control/energy")
        _, errors = live.communicate(timeout=40)
    assert (live.returncode, errors) == (0, "")
    assert info["OSC_PORT"] == control
    assert tree["TYPE"] == "f"


def asked(url: str) -> dict[str, Any]:
    """Ask until somebody answers."""
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError("nobody answers")
