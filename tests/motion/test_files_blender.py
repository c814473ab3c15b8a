"""Files opened by Blender; runs where its Python module bpy is installed (Python 3.11, 370 MB)."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from asymmetric_dance import FRAMES, asymmetric_dance

from bailando.motion.files import write_motion

READER = Path(__file__).parent / "readers" / "read_blender.py"


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="Blender's bpy is not installed")
@pytest.mark.parametrize("suffix", [".bvh", ".glb", ".fbx"])
def test_blender_computes_our_joint_positions_at_sixty_frames(tmp_path: Path, suffix: str) -> None:
    dance = asymmetric_dance()
    path = tmp_path / f"dance{suffix}"
    write_motion(path, dance)
    command = [sys.executable, str(READER), str(path), str(FRAMES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.strip().splitlines()[-1])
    assert round(theirs["fps"], 3) == 60
    assert theirs["keys"] == FRAMES
    assert theirs["skinned"] == ([] if suffix == ".bvh" else ["dancer"])
    ours = dance.positions[:, [dance.skeleton.joint_names.index(name) for name in theirs["names"]]]
    assert len(theirs["names"]) == 24
    assert np.abs(np.array(theirs["positions"]) - ours).max() < 1e-3
