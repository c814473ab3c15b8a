"""The script for Godot 4, run by Godot 4.6 itself."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
from chromium import Chromium
from posed_frame import posed_frame
from waiting import wait_for

from bailando.engine.sinks import Destination, OscSink
from bailando.engine.sinks.vmc import BONES
from bailando.motion.rotations import from_axis_angle, inverse, multiply, rotate
from bailando.motion.skeleton import PARENTS, Skeleton
from tests.engine.udp_receiver import receiver
from tests.examples.godot_engine import install, served, write_game

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "examples" / "godot" / "bailando_receiver.gd"
PELVIS_HEIGHT_M = 0.965
ENGINE_SECONDS = 120.0

pytestmark = pytest.mark.skipif(chromium.EXECUTABLE is None, reason="no Chromium; apt-get install chromium")


def packets() -> list[str]:
    """What arrives for one frame in an asymmetric pose."""
    with receiver() as inbox:
        sink = OscSink(Destination("127.0.0.1", inbox.port), bundle="mtu")
        sink.open()
        sink.send(posed_frame())
        sink.close()
        return [base64.b64encode(datagram).decode() for datagram in inbox.waiting()]


def character() -> dict[str, Any]:
    """A humanoid in the T-pose whose bones have axes of their own, as imported characters do."""
    joints = len(BONES)
    turns = from_axis_angle(np.random.default_rng(3).normal(size=(joints, 3)))
    offsets = Skeleton.default().offsets[:joints].copy()
    offsets[0] = (0.0, PELVIS_HEIGHT_M, 0.0)
    rotations, places = turns.copy(), offsets.copy()
    for joint in range(1, joints):
        back = inverse(turns[PARENTS[joint]])
        rotations[joint] = multiply(back, turns[joint])
        places[joint] = rotate(back, offsets[joint])
    return {
        "names": list(BONES),
        "parents": list(PARENTS[:joints]),
        "rotations": rotations.tolist(),
        "offsets": places.tolist(),
    }


def test_script_moves_a_character_s_bones_to_where_the_joints_are(tmp_path: Path) -> None:
    install(tmp_path)
    shutil.copy(HERE / "godot" / "page.html", tmp_path)
    rig = json.dumps(character() | {"packets": packets()}).encode()
    scripts = {path.name: path.read_bytes() for path in (SCRIPT, HERE / "godot" / "driver.gd")}
    write_game(tmp_path / "game.pck", scripts | {"rig.json": rig})
    with served(tmp_path) as address, Chromium() as browser:
        browser.open(f"{address}/page.html")
        wait_for(lambda: "RESULT" in str(browser.evaluate("lines.join('\\n')")), ENGINE_SECONDS)
        lines = browser.evaluate("lines")
    assert not [line for line in lines if "SCRIPT ERROR" in line]
    result = json.loads(next(line for line in lines if "RESULT" in line).partition("RESULT ")[2])
    assert result["godot"].startswith("4.6")
    assert result["poses"] == 1
    np.testing.assert_allclose(result["places"], posed_frame().positions[: len(BONES)], atol=1e-3)
