"""Files opened by the loaders of three.js and three-vrm in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from asymmetric_dance import FRAMES, asymmetric_dance
from vrm_factory import HIP_HEIGHT_M, vrm_bytes

from bailando.motion.files import write_motion
from bailando.motion.files.body_shape import body_mesh, rest_positions, standing_height_m
from bailando.motion.files.gltf_body import VRM_BONES
from bailando.motion.kinematics import global_rotations
from bailando.motion.rotations import rotate

READERS = Path(__file__).parent / "readers"
TOLERANCE_M = 1e-3


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reading script beside its installed packages."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("three")
    for name in ("package.json", "read_three.mjs"):
        shutil.copy(READERS / name, folder)
    command = [npm, "install", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"three.js cannot be installed: {installed.stderr[-200:]}")
    return folder / "read_three.mjs"


def read(reader: Path, *arguments: Path | str) -> dict[str, Any]:
    command = ["node", str(reader), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    content: dict[str, Any] = json.loads(done.stdout)
    return content


@pytest.mark.parametrize("suffix", [".bvh", ".glb"])
def test_three_computes_our_joint_positions_at_sixty_frames(
    reader: Path, tmp_path: Path, suffix: str
) -> None:
    dance = asymmetric_dance()
    path = tmp_path / f"dance{suffix}"
    write_motion(path, dance)
    theirs = read(reader, path, str(FRAMES))
    assert sorted(theirs["names"]) == sorted(dance.skeleton.joint_names)
    assert theirs["keys"] == FRAMES
    assert round(theirs["fps"], 3) == 60
    ours = dance.positions[:, [dance.skeleton.joint_names.index(name) for name in theirs["names"]]]
    assert np.abs(np.array(theirs["positions"]) - ours).max() < TOLERANCE_M


def test_skin_of_the_glb_follows_the_joints(reader: Path, tmp_path: Path) -> None:
    dance = asymmetric_dance()
    write_motion(tmp_path / "dance.glb", dance)
    theirs = np.array(read(reader, tmp_path / "dance.glb", str(FRAMES))["vertices"])
    mesh = body_mesh(dance.skeleton)
    local = mesh.positions - rest_positions(dance.skeleton)[mesh.joints]
    world = global_rotations(dance.skeleton, dance.rotations[-1])
    ours = rotate(world[mesh.joints], local) + dance.positions[-1, mesh.joints]
    assert np.abs(theirs - ours).max() < TOLERANCE_M


@pytest.mark.parametrize("version", [0, 1])
def test_vrm_animation_moves_avatars_as_ours(reader: Path, tmp_path: Path, version: Literal[0, 1]) -> None:
    dance = asymmetric_dance()
    write_motion(tmp_path / "dance.vrma", dance)
    (tmp_path / "avatar.vrm").write_bytes(vrm_bytes(version))
    theirs = read(reader, tmp_path / "dance.vrma", str(FRAMES), tmp_path / "avatar.vrm")
    joints = {bone: dance.skeleton.joint_names.index(name) for name, bone in VRM_BONES.items()}
    ours = dance.positions[:, [joints[name] for name in theirs["names"]]].astype(np.float64)
    # Players fit the road of the hips to the height of the avatar's.
    fit = HIP_HEIGHT_M / standing_height_m(dance.skeleton)
    ours += (fit - 1) * dance.root_position[:, None]
    looks = np.array([-1, 1, -1]) if version == 0 else 1  # avatars of version 0 look along -Z
    assert set(theirs["names"]) == set(VRM_BONES.values())
    assert round(theirs["fps"], 3) == 60
    assert np.abs(np.array(theirs["positions"]) - ours * looks).max() < TOLERANCE_M
