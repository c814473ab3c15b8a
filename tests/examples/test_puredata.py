"""The patch for Pure Data, run by Pd without a window."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from posed_frame import posed_frame

from bailando.engine.frame import Frame
from bailando.engine.sinks import Destination, OscSink
from tests.engine.test_sinks_clients import FRAMES, free_port, output_of

PATCH = Path(__file__).parents[2] / "examples" / "puredata" / "bailando.pd"


def posed_beating_frame(number: int) -> Frame:
    return replace(posed_frame(number), beat=number % 30 == 3, bpm=120.0)


@pytest.mark.skipif(shutil.which("pd") is None, reason="Pure Data (puredata-core) is not installed")
def test_patch_prints_the_frames_beats_and_wrist_that_were_sent(tmp_path: Path) -> None:
    port = free_port()
    patch = tmp_path / "bailando.pd"
    patch.write_text(PATCH.read_text().replace("netreceive -u -b 9000", f"netreceive -u -b {port}"))
    command = ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", str(patch)]
    sink = OscSink(Destination("127.0.0.1", port))
    told = "\n".join(output_of(command, port, sink, tmp_path, posed_beating_frame))
    assert "error" not in told.lower()
    assert [int(n) for n in re.findall(r"^frame: (\d+)$", told, re.M)] == list(range(FRAMES))
    assert len(re.findall(r"^beat: bang$", told, re.M)) == FRAMES // 30
    assert re.findall(r"^bpm: (\d+)$", told, re.M) == ["120"] * FRAMES
    wrists = re.findall(r"^left_wrist: (\S+) (\S+) (\S+)$", told, re.M)
    assert len(wrists) == FRAMES
    ours = posed_frame().positions[20]
    assert [float(value) for value in wrists[0]] == pytest.approx(list(map(float, ours)), abs=1e-4)
