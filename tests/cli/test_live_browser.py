"""The buttons of the page, pressed in a real browser, change the dance of a real run."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import chromium
import numpy as np
import pytest
from chromium import Chromium
from waiting import wait_for

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"
BROWSER_SECONDS = 90.0
# What the left hand travels while the dancer dances, and while it sways about its mean pose.
DANCING_M, IDLING_M = 0.2, 0.08

pytestmark = pytest.mark.skipif(chromium.EXECUTABLE is None, reason="no Chromium; apt-get install chromium")


@pytest.fixture
def page(bundle_path: Path) -> Iterator[Chromium]:
    """The stage of a run that goes on until the test ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "bailando.cli.live", "--input", str(SONG), "--at-end", "loop", "--quiet"]
    options = [
        "--model",
        str(bundle_path),
        "--view",
        "--ws",
        str(port),
        "--no-vmc",
        "--no-osc",
        "--delay",
        "400",
    ]
    with subprocess.Popen([*command, *options]) as run, Chromium() as browser:
        try:
            wait_for(lambda: is_open(port), 30)
            browser.open(f"http://127.0.0.1:{port}/?quality=low")
            wait_for(lambda: browser.evaluate("window.bailandoViewer?.counts.shown > 2"), BROWSER_SECONDS)
            yield browser
        finally:
            run.terminate()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def travel_m(page: Chromium) -> float:
    """How far the left hand goes in a second and a half, in steps of what is drawn."""
    places = []
    for _ in range(6):
        places.append(page.evaluate("bailandoViewer.hands()[0]"))
        time.sleep(0.25)
    return float(np.linalg.norm(np.diff(np.array(places), axis=0), axis=1).sum())


def test_stop_start_and_energy_change_the_dance(page: Chromium) -> None:
    wait_for(lambda: travel_m(page) > DANCING_M, 30)
    page.evaluate("document.getElementById('stop').click()")
    wait_for(lambda: travel_m(page) < IDLING_M, 30)
    wait_for(lambda: page.evaluate("document.body.classList.contains('stopped')"), 10)
    page.evaluate("document.getElementById('start').click()")
    wait_for(lambda: travel_m(page) > DANCING_M, 30)
    page.evaluate(
        "(() => { const energy = document.getElementById('energy'); energy.value = '0';"
        "energy.dispatchEvent(new Event('input')); })()"
    )
    wait_for(lambda: travel_m(page) < IDLING_M, 30)
