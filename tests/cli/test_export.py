from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bailando.cli.export import main
from bailando.models.checkpoint import save_checkpoint
from tests.engine.bundle_factory import make_folder
from tests.export.factory import small_checkpoint


def test_checkpoint_becomes_a_verified_zip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "dancer.pt", small_checkpoint())
    bundle = tmp_path / "bundle"
    arguments = ["--zip", "--precision", "int8-static", "--target", "unreal"]
    assert main([str(tmp_path / "dancer.pt"), "-o", str(bundle), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "greedy codes identical" in printed
    assert "int8-static" in printed
    path = str(bundle) + ".zip"
    assert main(["inspect", path]) == 0
    assert "graph gpt_step: gpt_step.onnx, opset 15, int8-static" in capsys.readouterr().out
    assert main(["inspect", "--json", path]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "small"
    assert main(["verify", path]) == 0
    assert "16 steps: 16 code pairs as recorded" in capsys.readouterr().out
    assert main([path, "--target", "unity", "-o", str(tmp_path / "unity")]) == 2
    error = capsys.readouterr().err
    assert "does not support the operator" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "unity").exists()


@pytest.mark.parametrize(
    "arguments", [["inspect", "nothing"], ["verify", "nothing"], ["nothing.pt", "-o", "bundle"]]
)
def test_missing_input_is_one_line_and_an_exit_code(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("bailando-export: error: no ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_damaged_bundle_does_not_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path / "bundle")
    data = bytearray((folder / "gpt_step.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "gpt_step.onnx").write_bytes(data)
    assert main(["verify", str(folder)]) == 2
    assert "does not match its sha256" in capsys.readouterr().err


def test_inspect_needs_no_torch(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "bundle")
    code = (
        "import sys; from bailando.cli.export import main; "
        f"assert main(['inspect', {str(folder)!r}]) == 0; "
        "assert not {'torch', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
