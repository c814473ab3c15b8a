"""The road of ONNX Runtime's plugins, walked by the plugin for WebGPU on Vulkan in software."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bailando.engine.backend_plugin import PLUGIN_BACKEND, PLUGIN_MODULE
from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.errors import ConfigError

OTHER_PLUGIN = "onnxruntime_ep_webgpu"
SOFTWARE_VULKAN = Path("/usr/lib/chromium/vk_swiftshader_icd.json")


def install(monkeypatch: pytest.MonkeyPatch, provider: str, library: str) -> None:
    """A module with the plugin's two functions."""
    module = ModuleType(PLUGIN_MODULE)
    module.__spec__ = ModuleSpec(PLUGIN_MODULE, None)
    module.get_ep_name = lambda: provider  # type: ignore[attr-defined]
    module.get_library_path = lambda: library  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, PLUGIN_MODULE, module)


def in_its_place(script: str, bundle: Path, vulkan: Path = SOFTWARE_VULKAN) -> str:
    """Run Python in a process in which another plugin stands where NVIDIA's would; return its output."""
    if find_spec(OTHER_PLUGIN) is None:
        pytest.skip("no other plugin of ONNX Runtime is installed (pip install onnxruntime-ep-webgpu)")
    if not SOFTWARE_VULKAN.exists():
        pytest.skip("no Vulkan in software (apt install chromium libvulkan1)")
    head = f"import sys, {OTHER_PLUGIN}\nsys.modules[{PLUGIN_MODULE!r}] = {OTHER_PLUGIN}\n"
    result = subprocess.run(
        [sys.executable, "-c", head + script, str(bundle)],
        env={**os.environ, "VK_ICD_FILENAMES": str(vulkan), "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


DANCE = """
import json
import numpy as np
from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer
from bailando.engine.session import step_together

bundle = Bundle.open(sys.argv[1])
answer = {}
for name in ("cpu", "tensorrt-rtx"):
    backend = load_backend(bundle, name)
    dancer = Dancer(bundle, backend)
    noise = np.random.default_rng(0).normal(0, 0.3, (12, 8, dancer.feature_spec.frame_dim))
    music = [None, *noise.astype(np.float32)]
    alone = dancer.session(seed=4)
    steps = [alone.step(token).positions for token in music]
    snapshot = alone.snapshot()
    once = alone.step(music[1]).positions
    alone.restore(snapshot)
    both = [dancer.session(seed=seed) for seed in (9, 4)]
    together = [step_together(both, token, (1.0, 1.0))[1].positions for token in music]
    answer[name] = {
        "positions": np.stack(steps).tolist(),
        "together": np.stack(together).tolist(),
        "again": bool(np.array_equal(alone.step(music[1]).positions, once)),
        "reason": backend.reason,
        "places": [
            value.device_name()
            for graph in bundle.manifest.graphs
            if graph in ("gpt_step", "decoder_step")
            for side in backend.initial_state(graph).buffers.sides
            for value in side.values()
        ],
    }
print(json.dumps(answer))
"""


def test_a_plugin_dances_the_same_with_its_state_on_the_device(bundle_path: Path) -> None:
    answer = json.loads(in_its_place(DANCE, bundle_path).splitlines()[-1])
    host, device = answer["cpu"], answer[PLUGIN_BACKEND]
    np.testing.assert_allclose(device["positions"], host["positions"], atol=1e-4)
    np.testing.assert_allclose(device["together"], device["positions"], atol=1e-4)
    assert device["again"]
    assert set(host["places"]) == {"cpu"}
    assert set(device["places"]) == {"webgpu"}
    assert "host memory" not in device["reason"]


REFUSED = """
from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.errors import ConfigError

try:
    load_backend(Bundle.open(sys.argv[1]), "tensorrt-rtx")
except ConfigError as error:
    print(error)
"""


def test_a_plugin_without_its_driver_is_refused_and_does_not_run_on_the_cpu(
    bundle_path: Path, tmp_path: Path
) -> None:
    printed = in_its_place(REFUSED, bundle_path, tmp_path / "no-such-driver.json").splitlines()
    assert len(printed) == 1
    assert "does not take graph" in printed[0]
    assert "adapter" in printed[0]
    assert "use --backend cpu" in printed[0]


def test_state_is_in_host_memory_where_the_plugin_wants_it_there(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
