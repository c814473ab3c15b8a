"""The script for Blender, run in Blender's Python module."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from posed_frame import posed_frame

from bailando.engine.sinks import Destination, OscSink
from bailando.motion.skeleton import JOINT_NAMES
from tests.engine.test_sinks_clients import free_port, wait_until_bound

SCRIPT = Path(__file__).parents[2] / "examples" / "blender" / "bailando_live.py"
DRIVER = """
import json, os, runpy, sys, time
import bpy
script = runpy.run_path(sys.argv[1])
script["start"](int(sys.argv[2]))
ends = time.monotonic() + 60
while "bailando" not in bpy.data.objects and time.monotonic() < ends:
    script["receive"]()
    time.sleep(0.05)
script["receive"]()
bpy.context.view_layer.update()
rig = bpy.data.objects["bailando"]
print(json.dumps({bone.name: list(rig.matrix_world @ bone.head) for bone in rig.pose.bones}))
script["start"]()
sys.stdout.flush()
os._exit(0)  # the module's own clean-up hangs where an operator has run
"""


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="Blender's bpy is not installed")
def test_blender_shows_every_joint_where_it_was_sent(tmp_path: Path) -> None:
    port = free_port()
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    command = [sys.executable, str(driver), str(SCRIPT), str(port)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as client:
        for _ in range(10):  # importing bpy takes a while
            try:
                wait_until_bound(port)
                break
            except AssertionError:
                continue
        sink = OscSink(Destination("127.0.0.1", port), "blender", bundle="single")
        sink.open()
        sink.send(posed_frame())
        sink.close()
        try:
            told, _ = client.communicate(timeout=60)
        finally:
            client.kill()
    places = json.loads(told.strip().splitlines()[-1])
    assert sorted(places) == sorted(JOINT_NAMES)
    ours = posed_frame().positions.astype(float)
    for joint, name in enumerate(JOINT_NAMES):
        x, y, z = ours[joint]
        assert np.abs(np.array(places[name]) - (x, -z, y)).max() < 1e-3, name
