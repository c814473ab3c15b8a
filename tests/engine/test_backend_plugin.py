"""The road of ONNX Runtime's plugins, walked with the CPU's own device where the plugin's would be."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bailando.engine.backend_plugin import PLUGIN_BACKEND, PLUGIN_MODULE
from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.errors import ConfigError


def install(monkeypatch: pytest.MonkeyPatch, provider: str, library: str) -> None:
    """A module with the plugin's two functions."""
    module = ModuleType(PLUGIN_MODULE)
    module.__spec__ = ModuleSpec(PLUGIN_MODULE, None)
    module.get_ep_name = lambda: provider  # type: ignore[attr-defined]
    module.get_library_path = lambda: library  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, PLUGIN_MODULE, module)


def test_devices_of_a_plugin_run_the_graphs(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "CPUExecutionProvider", "is-registered-already")
    bundle = Bundle.open(bundle_path)
    plugin, plain = load_backend(bundle, PLUGIN_BACKEND), load_backend(bundle, "cpu")
    assert plugin.name == PLUGIN_BACKEND
    assert "host memory" in plugin.reason
    inputs = {t.name: np.zeros(t.shape, t.dtype) for t in bundle.manifest.graphs["gpt_step"].inputs}
    answers = []
    for backend in (plugin, plain):
        state = backend.initial_state("gpt_step")
        for _ in range(3):
            outputs, state = backend.step("gpt_step", inputs, state)
        answers.append(outputs | backend.read_state("gpt_step", state))
    for name, value in answers[0].items():
        np.testing.assert_array_equal(value, answers[1][name])


def test_absent_plugin_says_what_to_install(bundle_path: Path) -> None:
    if PLUGIN_MODULE in sys.modules:
        pytest.skip("the plugin is installed")
    with pytest.raises(ConfigError, match=r"pip install 'bailando\[gpu-rtx\]'"):
        load_backend(Bundle.open(bundle_path), PLUGIN_BACKEND)


def test_plugin_that_does_not_load_says_why(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "NoSuchExecutionProvider", str(tmp_path / "missing.so"))
    with pytest.raises(ConfigError, match="plugin does not load"):
        load_backend(Bundle.open(bundle_path), PLUGIN_BACKEND)
