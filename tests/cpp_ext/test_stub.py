"""The stub and the compiled module say the same."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from bailando import _native

# The package's __init__ names the engine for type checkers; only the native module is in question here.
MYPY_CONFIG = """
[mypy]
[mypy-bailando.engine.*,bailando.motion.*]
follow_imports = skip
ignore_missing_imports = True
"""
# pybind11's classes have a metaclass of its own, which a stub cannot name. This covers the classes
# themselves, not their members; `test_stub_names_the_same_classes` makes up for it.
ALLOWED = r"bailando\._native\.[A-Z][A-Za-z]*"


def test_stub_and_module_agree(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    config = tmp_path / "mypy.ini"
    config.write_text(MYPY_CONFIG)
    allowlist = tmp_path / "allowed.txt"
    allowlist.write_text(ALLOWED)
    environment = dict(os.environ)
    package_root = Path(_native.__file__).parents[1]
    if package_root.name not in ("site-packages", "dist-packages"):  # not installed: built in place
        environment |= {"PYTHONPATH": str(package_root), "MYPYPATH": str(package_root)}
    options = ["--mypy-config-file", str(config), "--allowlist", str(allowlist)]
    check = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", *options, "bailando._native"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_stub_names_the_same_classes() -> None:
    stub = ast.parse(Path(_native.__file__).with_name("_native.pyi").read_text())
    named = {node.name for node in stub.body if isinstance(node, ast.ClassDef)}
    assert named == {name for name, value in vars(_native).items() if isinstance(value, type)}


def test_module_was_built_for_this_version() -> None:
    try:
        installed = metadata.version("bailando")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")
    assert _native.__version__ == installed
