"""The deployed path runs where torch, librosa, scipy and matplotlib are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"

BLOCKER = """
import sys
FORBIDDEN = ("torch", "librosa", "scipy", "matplotlib", "onnx", "numba", "sklearn", "pandas")
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Blocker())
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKER + code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_blocker_blocks() -> None:
    assert "torch is not installed here" in run_python("import torch").stderr


def test_every_module_of_the_deployed_path_imports_without_training_packages() -> None:
    code = """
import importlib, pkgutil, bailando.engine, bailando.music, bailando.motion
for package in (bailando.engine, bailando.music, bailando.motion):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
import bailando.cli.live, bailando.cli.generate
print("imported", [name for name in FORBIDDEN if name in sys.modules])
"""
    result = run_python(code)
    assert result.stdout.strip() == "imported []", result.stderr


def test_a_live_run_needs_no_training_package_and_no_sound_card(bundle_path: Path) -> None:
    code = """
from bailando.cli.live import main
code = main(["--input", sys.argv[1], "--model", sys.argv[2], "--duration", "0.5", "--quiet",
             "--delay", "300", "--vmc", "127.0.0.1:39539"])
print(code, [name for name in (*FORBIDDEN, "sounddevice") if name in sys.modules])
"""
    result = run_python(code, str(SONG), str(bundle_path))
    assert result.stdout.strip() == "0 []", result.stderr


def test_help_and_version_import_no_numpy() -> None:
    for command in ("live", "generate"):
        code = f"""
from bailando.cli.{command} import main
try:
    main(["--help"])
except SystemExit as end:
    print("code", end.code, [name for name in ("numpy", "onnxruntime", "soundfile") if name in sys.modules])
"""
        result = run_python(code)
        assert result.stdout.splitlines()[-1] == "code 0 []", result.stderr
