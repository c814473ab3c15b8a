"""The doctor listens to a real sound server."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.engine.pulse_server import RATE, PulseServer


@pytest.mark.skipif(bool(PulseServer.missing()), reason=f"not installed: {PulseServer.missing()}")
def test_levels_of_music_silence_and_clipping_are_told(bundle_path: Path) -> None:
    server = PulseServer()
    try:
        server.start()
        assert "silence: play music" in report(server, bundle_path)
        tone = np.sin(2 * np.pi * 220 * np.arange(40 * RATE) / RATE)
        server.play(0.1 * tone)
        time.sleep(0.5)
        told = report(server, bundle_path)
        assert "level -2" in told
        assert "silence" not in told
        server.play(1.3 * np.sign(tone))
        time.sleep(0.5)
        assert "turn the input down" in report(server, bundle_path)
    finally:
        server.close()


def report(server: PulseServer, bundle: Path) -> str:
    command = [sys.executable, "-m", "bailando.cli.doctor", "--audio-device", "pulse", "--model", str(bundle)]
    done = subprocess.run(
        [*command, "--pose", "0", "--no-vmc", "--no-osc"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**server.environment, "PULSE_SOURCE": "bailando.monitor"},
    )
    assert "pulse: level" in done.stdout, done.stdout + done.stderr
    return done.stdout
