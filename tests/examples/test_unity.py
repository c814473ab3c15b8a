"""Unity's component, compiled and run by Mono against a stand-in for Unity's own classes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from posed_frame import posed_frame

from bailando.engine.axes import convert_positions, convert_rotations
from bailando.engine.sinks import SinkRequest
from bailando.motion.kinematics import global_rotations
from bailando.motion.rotations import multiply
from bailando.motion.skeleton import Skeleton
from tests.engine.test_sinks_clients import free_port, wait_until_bound

HERE = Path(__file__).parent
COMPONENT = HERE.parents[1] / "examples" / "unity" / "BailandoReceiver.cs"
REST = np.array((0, 0.6, 0, 0.8))


@pytest.mark.skipif(
    not (shutil.which("mcs") and shutil.which("mono")), reason="Mono (mono-mcs) is not installed"
)
@pytest.mark.parametrize("bundle", ["single", "none", "mtu"])
def test_component_turns_every_bone_as_the_joint_that_was_sent(tmp_path: Path, bundle: str) -> None:
    program = tmp_path / "driver.exe"
    sources = [str(COMPONENT), str(HERE / "unity/UnityEngine.cs"), str(HERE / "unity/Driver.cs")]
    subprocess.run(
        ["mcs", "-langversion:7.2", f"-out:{program}", *sources], check=True, capture_output=True, timeout=60
    )
    port = free_port()
    with subprocess.Popen(["mono", str(program), str(port)], stdout=subprocess.PIPE, text=True) as client:
        try:
            wait_until_bound(port)
            sink = SinkRequest.for_program(f"unity@127.0.0.1:{port},bundle={bundle}").build(
                Skeleton.default()
            )
            sink.open()
            sink.send(posed_frame())
            sink.close()
            told, _ = client.communicate(timeout=40)
        finally:
            client.kill()
    place, *bones = told.splitlines()
    frame = posed_frame()
    hips = 0.5 * convert_positions(frame.root_position, "unity")
    np.testing.assert_allclose([float(word) for word in place.split()], hips, atol=1e-4)
    world = convert_rotations(global_rotations(Skeleton.default(), frame.rotations), "unity")
    assert bones[12] == "none"
    for joint in set(range(22)) - {12}:
        theirs = np.array([float(word) for word in bones[joint].split()])
        assert abs(theirs @ multiply(world[joint].astype(float), REST)) == pytest.approx(1.0, abs=1e-5)
