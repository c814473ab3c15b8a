"""``--backend``: which model goes with which, and what is said when they do not fit."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bailando.cli import backend_options
from bailando.cli.backend_options import open_dancer
from bailando.cli.generate import main
from bailando.errors import BailandoError, ConfigError
from bailando.models.checkpoint import save_checkpoint
from tests.export.factory import small_checkpoint


def options(backend: str, model: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(backend=backend, model=model)


def test_checkpoint_is_danced_by_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "dancer.pt", small_checkpoint())
    soundfile.write(tmp_path / "song.wav", np.zeros(24000, np.float32), 24000)
    arguments = [str(tmp_path / "song.wav"), "-o", str(tmp_path / "dance.npz"), "--backend", "torch"]
    assert main([*arguments, "--model", str(tmp_path / "dancer.pt")]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("backend torch: asked for torch, the reference\n")
    assert "60 frames" in said.out
    with np.load(tmp_path / "dance.npz") as dance:
        assert np.isfinite(dance["root_position"]).all()


@pytest.mark.parametrize("model", [None, "bundle.zip"])
def test_torch_refuses_what_is_no_checkpoint(model: str | None) -> None:
    with pytest.raises(ConfigError, match=r"dances a checkpoint, got .*--model RUN/dancer\.pt"):
        open_dancer(options("torch", model))


def test_checkpoint_without_torch_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"bailando-export RUN/dancer\.pt -o BUNDLE.*--backend torch"):
        open_dancer(options("auto", "RUN/dancer.pt"))


def test_unknown_backend_lists_all_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'abacus'; choose one of auto, cpu, .*tensorrt-native, torch"):
        open_dancer(options("abacus"))


def test_torch_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_options, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'bailando\[export\]'"):
        open_dancer(options("torch", "dancer.pt"))


@pytest.mark.parametrize("backend", ["cuda", "tensorrt", "tensorrt-rtx", "tensorrt-native"])
def test_backend_that_is_absent_is_an_error_of_one_line(bundle_path: Path, backend: str) -> None:
    if find_spec("onnxruntime_ep_nv_tensorrt_rtx") is not None or Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU, or a plugin for one")
    with pytest.raises(BailandoError, match="use --backend cpu") as caught:
        open_dancer(options(backend, str(bundle_path)))
    assert "\n" not in str(caught.value)
