"""Engines run natively: every call to the driver is made, on a driver that keeps its memory on the host."""

from __future__ import annotations

import ctypes
import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in_cuda import CAPABILITY, build_driver, stand_in_tensorrt

from bailando.engine import backend_tensorrt
from bailando.engine.backend_tensorrt import TensorRTBackend, TensorRTGraph
from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.cuda_driver import CudaDriver, CudaError
from bailando.engine.dancer import Dancer
from bailando.engine.generate import generate_samples
from bailando.errors import BundleError, ConfigError
from tests.engine.engine_bundles import with_engines
from tests.engine.synthetic_bundle import CODES, gpt_step_model


@pytest.fixture(scope="module")
def library_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_driver(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="module")
def driver(library_path: str) -> CudaDriver:
    return CudaDriver(library_path)


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.open(bundle_path)


@pytest.fixture
def graph(driver: CudaDriver, bundle: Bundle) -> TensorRTGraph:
    spec = bundle.manifest.graphs["gpt_step"]
    return TensorRTGraph(stand_in_tensorrt(), gpt_step_model(), spec, driver)


def inputs(bundle: Bundle, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    specs = bundle.manifest.graphs["gpt_step"].inputs
    return {t.name: rng.integers(0, 2, t.shape).astype(t.dtype) for t in specs}


def test_driver_tells_the_gpu(driver: CudaDriver) -> None:
    assert (driver.gpu.name, driver.gpu.compute_capability) == ("Stand-in GPU", CAPABILITY)


def test_driver_that_is_absent_is_one_line() -> None:
    with pytest.raises(CudaError, match=r"no NVIDIA driver is here .*use --backend cpu") as caught:
        CudaDriver("libnosuchdriver.so.1")
    assert "\n" not in str(caught.value)


def test_driver_without_a_gpu_says_what_it_says(tmp_path: Path) -> None:
    with pytest.raises(CudaError, match=r"cuInit \(no CUDA-capable device is detected, 100\)"):
        CudaDriver(build_driver(tmp_path, gpus=0))


def test_steps_equal_those_on_the_cpu_and_their_state_stays_on_the_device(
    graph: TensorRTGraph, bundle: Bundle
) -> None:
    cpu = load_backend(bundle, "cpu")
    state, expected_state = graph.new_state(), cpu.initial_state("gpt_step")
    places = {state.front["memory"].address, state.back["memory"].address}
    for step in range(5):
        outputs, state = graph.step(inputs(bundle, step), state)
        expected, expected_state = cpu.step("gpt_step", inputs(bundle, step), expected_state)
        np.testing.assert_array_equal(outputs["upper_logits"], expected["upper_logits"])
    memory = cpu.read_state("gpt_step", expected_state)["memory"]
    assert memory.any()
    np.testing.assert_array_equal(graph.read(state)["memory"], memory)
    assert {state.front["memory"].address, state.back["memory"].address} == places


def test_two_states_of_one_engine_do_not_disturb_each_other(graph: TensorRTGraph, bundle: Bundle) -> None:
    first, second = graph.new_state(), graph.new_state()
    for step in range(3):
        _, first = graph.step(inputs(bundle, step), first)
    alone = graph.read(first)["memory"]
    _, second = graph.step(inputs(bundle, 9), second)
    np.testing.assert_array_equal(graph.read(first)["memory"], alone)
    assert not np.array_equal(graph.read(second)["memory"], alone)


def test_step_can_be_taken_back(graph: TensorRTGraph, bundle: Bundle) -> None:
    state = graph.write({"memory": np.full((1, CODES), 7.0, np.float32)})
    first, _ = graph.step(inputs(bundle), state)
    again, _ = graph.step(inputs(bundle), state)
    np.testing.assert_array_equal(first["upper_logits"], again["upper_logits"])


def test_written_state_does_not_keep_the_caller_s_array(graph: TensorRTGraph) -> None:
    memory = np.ones((1, CODES), np.float32)
    state = graph.write({"memory": memory})
    memory[:] = 9.0
    np.testing.assert_array_equal(graph.read(state)["memory"], np.ones((1, CODES)))


def test_state_may_be_stepped_in_another_thread(graph: TensorRTGraph, bundle: Bundle) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(graph.step(inputs(bundle), graph.new_state())))
    thread.start()
    thread.join()
    assert np.isfinite(found[0][0]["upper_logits"]).all()


def test_memory_is_given_back(graph: TensorRTGraph, library_path: str) -> None:
    allocations = ctypes.CDLL(library_path).allocations
    gc.collect()
    before = allocations()
    states = [graph.new_state() for _ in range(10)]
    assert allocations() == before + 20
    del states
    gc.collect()
    assert allocations() == before


def test_engine_that_is_refused_says_what_to_do(driver: CudaDriver, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no magic in it.*--compute-capability 8\.9"):
        TensorRTGraph(stand_in_tensorrt(), b"other", bundle.manifest.graphs["gpt_step"], driver)


def test_engine_of_other_shapes_is_refused(driver: CudaDriver, bundle: Bundle) -> None:
    spec = bundle.manifest.graphs["gpt_step"]
    wider = replace(spec, state=(replace(spec.state[0], shape=(1, CODES + 1)),))
    with pytest.raises(BundleError, match="takes another memory"):
        TensorRTGraph(stand_in_tensorrt(), gpt_step_model(), wider, driver)


def test_step_that_fails_is_an_error(driver: CudaDriver, bundle: Bundle) -> None:
    spec = bundle.manifest.graphs["gpt_step"]
    broken = TensorRTGraph(stand_in_tensorrt(works=False), gpt_step_model(), spec, driver)
    with pytest.raises(CudaError, match=r"gpt_step\.onnx failed to run"):
        broken.step(inputs(bundle), broken.new_state())


def test_dance_on_engines_is_the_dance_of_the_cpu(
    driver: CudaDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_tensorrt, "installed_library", lambda names: stand_in_tensorrt())
    made = with_engines(tmp_path, CAPABILITY)
    native = TensorRTBackend(made, driver=driver)
    assert native.reason == "asked for tensorrt-native, on Stand-in GPU; its state stays there"
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 24000).astype(np.float32)
    dances = [generate_samples(Dancer(made, b), samples) for b in (native, load_backend(made, "cpu"))]
    np.testing.assert_array_equal(dances[0].upper_codes, dances[1].upper_codes)
    np.testing.assert_array_equal(dances[0].rotations, dances[1].rotations)


@pytest.mark.parametrize(("capabilities", "holds"), [(("8.6", "12.0"), "12.0, 8.6"), ((), "it has none")])
def test_bundle_without_an_engine_for_this_gpu_says_what_to_do(
    driver: CudaDriver, tmp_path: Path, capabilities: tuple[str, ...], holds: str
) -> None:
    bundle = with_engines(tmp_path, *capabilities) if capabilities else with_engines(tmp_path, graphs=())
    with pytest.raises(BundleError, match=f"{holds}.*--compute-capability 8.9"):
        TensorRTBackend(bundle, driver=driver)


def test_library_that_is_missing_says_what_to_install(
    driver: CudaDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_tensorrt, "installed_library", lambda names: None)
    with pytest.raises(ConfigError, match=r"pip install 'bailando\[tensorrt\]'"):
        TensorRTBackend(with_engines(tmp_path, CAPABILITY), driver=driver)
