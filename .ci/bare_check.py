"""Run in an environment that holds only the wheel: no torch, no librosa, and the demo still dances."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

for absent in ("torch", "librosa", "scipy", "matplotlib", "onnx"):
    if importlib.util.find_spec(absent):
        sys.exit(f"{absent} is installed in the bare environment: a runtime dependency pulls it in")

scripts = Path(sys.executable).parent
with tempfile.TemporaryDirectory() as elsewhere:
    os.chdir(elsewhere)  # not in the repository, whose source folder would hide the installed package
    subprocess.run([scripts / "bailando-live", "--demo", "--duration", "3"], check=True)
    import bailando

    demo = Path(bailando.__file__).parent / "assets" / "demo" / "demo.ogg"
    subprocess.run([scripts / "bailando-generate", demo, "-o", "dance.npz"], check=True)
    if Path("dance.npz").stat().st_size < 100_000:
        sys.exit("bailando-generate wrote next to nothing")
print("the bare environment dances")
