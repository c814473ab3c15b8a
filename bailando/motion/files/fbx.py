"""FBX, for programs that read nothing else: our .glb, converted by Blender in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bailando.errors import OutputError
from bailando.motion.files.gltf_body import write_glb
from bailando.motion.motion import Motion

_CONVERTER = Path(__file__).with_name("blender_fbx.py")
_START_S, _SECONDS_PER_FRAME = 120.0, 0.5


def write_fbx(path: str | os.PathLike[str], motion: Motion) -> None:
    """Write the skinned person with its animation, a key each frame; Y up, centimetres as FBX has them.

    Needs the package ``bpy`` (extra ``fbx``, Python 3.11).

    Raises
    ------
    OutputError
        If Blender cannot convert the dance.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "dance.glb", Path(folder) / "dance.fbx"
        write_glb(source, motion)
        command = [sys.executable, str(_CONVERTER), str(source), str(target), repr(float(motion.fps))]
        limit_s = _START_S + _SECONDS_PER_FRAME * motion.frame_count
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise OutputError(f"cannot write {path}: Blender took more than {limit_s:.0f} s") from None
        if done.returncode or not target.is_file():
            said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise OutputError(f"cannot write {path}: Blender says {said[-1][:200]!r}; try .glb instead")
        Path(path).write_bytes(target.read_bytes())
