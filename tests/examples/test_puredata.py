"""The patch for Pure Data, run by Pd without a window."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from posed_frame import posed_frame

from bailando.engine.sinks import Destination, OscSink
from tests.engine.test_sinks_clients import free_port, wait_until_bound

PATCH = Path(__file__).parents[2] / "examples" / "puredata" / "bailando.pd"
FRAMES = 20


@pytest.mark.skipif(shutil.which("pd") is None, reason="Pure Data (puredata-core) is not installed")
def test_patch_prints_the_frames_beats_and_wrist_that_were_sent(tmp_path: Path) -> None:
    port = free_port()
    patch = tmp_path / "bailando.pd"
    patch.write_text(PATCH.read_text().replace("netreceive -u -b 9000", f"netreceive -u -b {port}"))
    command = ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", str(patch)]
    log = tmp_path / "pd.txt"
    with log.open("w") as stream:
        client = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            wait_until_bound(port)
            sink = OscSink(Destination("127.0.0.1", port))
            sink.open()
            for number in range(FRAMES):
                sink.send(replace(posed_frame(number), beat=number % 10 == 3, bpm=120.0))
                time.sleep(1 / 60)
            sink.close()
            time.sleep(1.0)
        finally:
            client.terminate()
            client.wait(timeout=10)
    told = log.read_text()
    assert "error" not in told.lower()
    assert [int(n) for n in re.findall(r"^frame: (\d+)$", told, re.M)] == list(range(FRAMES))
    assert len(re.findall(r"^beat: bang$", told, re.M)) == 2
    assert re.findall(r"^bpm: (\d+)$", told, re.M) == ["120"] * FRAMES
    wrists = re.findall(r"^left_wrist: (\S+) (\S+) (\S+)$", told, re.M)
    assert len(wrists) == FRAMES
    ours = posed_frame().positions[20]
    assert [float(value) for value in wrists[0]] == pytest.approx(list(map(float, ours)), abs=1e-4)
