"""The Python receiver, run as users run it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from posed_frame import posed_frame

from bailando.engine.sinks import Destination, OscSink
from tests.engine.test_sinks_clients import free_port, wait_until_bound

RECEIVER = Path(__file__).parents[2] / "examples" / "python_receiver.py"


def test_receiver_of_thirty_lines_tells_frames_beats_and_the_raised_hand() -> None:
    assert len(RECEIVER.read_text().splitlines()) <= 30
    port = free_port()
    command = [sys.executable, str(RECEIVER), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        try:
            wait_until_bound(port)
            sink = OscSink(Destination("127.0.0.1", port))
            sink.open()
            for number in (0, 1, 60):
                sink.send(replace(posed_frame(number), beat=number == 1))
            sink.close()
            time.sleep(0.5)
        finally:
            client.terminate()
        told, _ = client.communicate(timeout=10)
    lines = told.splitlines()
    assert lines.count("beat") == 1
    assert [line for line in lines if line.startswith("frame")] == ["frame 0", "frame 60"]
    assert sum(line.startswith("left hand up: 1.") for line in lines) == 3
