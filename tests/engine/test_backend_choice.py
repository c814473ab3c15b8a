"""``auto``: what is chosen, what is said about it, and what happens when the choice breaks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from stand_in_cuda import CAPABILITY, build_driver, stand_in_tensorrt

from bailando.engine import backend_choice, backend_tensorrt
from bailando.engine.backend_choice import WarmUp
from bailando.engine.backend_ort import OrtBackend
from bailando.engine.backends import Backend, load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.cuda_driver import CudaDriver
from tests.engine.engine_bundles import with_engines
from tests.engine.synthetic_bundle import gpt_step_model, write_synthetic_bundle


@pytest.fixture(scope="module")
def library_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_driver(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def gpu(library_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU."""
    monkeypatch.setattr(backend_choice, "CudaDriver", lambda: CudaDriver(library_path))


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with TensorRT."""
    monkeypatch.setattr(backend_tensorrt, "installed_library", lambda names: stand_in_tensorrt())


def assert_falls_back(bundle: Bundle, caplog: pytest.LogCaptureFixture, *words: str) -> Backend:
    """Check that one warning of one line is given, and that the CPU dances."""
    backend = load_backend(bundle)
    (warning,) = caplog.messages
    assert "\n" not in warning
    for word in words:
        assert word in warning
    assert backend.name == "cpu"
    return backend


def test_small_model_stays_on_the_cpu_and_the_reason_tells_its_time(bundle_path: Path) -> None:
    backend = load_backend(Bundle.open(bundle_path))
    assert backend.name == "cpu"
    assert backend.reason.startswith("auto: the CPU takes 0.")
    assert backend.reason.endswith("the bundle has no TensorRT engines")


def test_engines_for_this_gpu_are_taken(tmp_path: Path, gpu: None, tensorrt: None) -> None:
    backend = load_backend(with_engines(tmp_path, "8.6", CAPABILITY))
    assert backend.name == "tensorrt-native"
    assert backend.reason.startswith("auto: the bundle has engines for this GPU, on Stand-in GPU")


def test_engines_without_a_driver_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backend_choice, "CudaDriver", lambda: CudaDriver("libnosuchdriver.so"))
    backend = load_backend(with_engines(tmp_path, CAPABILITY))
    assert backend.name == "cpu"
    assert "its TensorRT engines are not used: no NVIDIA driver is here" in backend.reason
    assert not caplog.messages


def test_engines_for_other_gpus_are_left_alone(
    tmp_path: Path, gpu: None, tensorrt: None, caplog: pytest.LogCaptureFixture
) -> None:
    backend = load_backend(with_engines(tmp_path, "12.0"))
    assert backend.name == "cpu"
    assert backend.reason.endswith("none of its TensorRT engines is for this GPU's compute capability 8.9")
    assert not caplog.messages


@pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")
def test_broken_engine_is_left_out_with_what_tensorrt_says(
    tmp_path: Path, gpu: None, caplog: pytest.LogCaptureFixture
) -> None:
    broken = with_engines(tmp_path, CAPABILITY, data={"gpt_step": b"no engine" * 20})
    backend = assert_falls_back(broken, caplog, "tensorrt-native is left out", "Serialization")
    assert backend.reason.endswith("tensorrt-native failed")


def test_engine_that_gives_nan_in_the_warm_up_is_left_out(
    tmp_path: Path, gpu: None, tensorrt: None, caplog: pytest.LogCaptureFixture
) -> None:
    poisoned = with_engines(tmp_path, CAPABILITY, data={"gpt_step": gpt_step_model(poison=float("nan"))})
    assert_falls_back(poisoned, caplog, "tensorrt-native is left out", "NaN")


def test_cpu_that_gives_nan_is_kept_for_the_session_to_reject(tmp_path: Path) -> None:
    path = write_synthetic_bundle(tmp_path / "nan", gpt_step=gpt_step_model(poison=float("nan")))
    assert load_backend(Bundle.open(path)).name == "cpu"


class SlowCuda(OrtBackend):
    """ONNX Runtime's CPU where CUDA is asked for."""

    def __init__(self, bundle: Bundle, name: str, threads: int, graphs: tuple[str, ...]) -> None:
        super().__init__(bundle, "cpu", threads, graphs)
        self._name = name


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime that says that it has CUDA."""
    monkeypatch.setattr(backend_choice, "cuda_is_installed", lambda: True)


def test_model_too_slow_for_the_cpu_goes_to_cuda(
    bundle_path: Path, cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_choice, "warm_up", lambda backend, load: WarmUp(20.1, True))
    monkeypatch.setattr(backend_choice, "OrtBackend", SlowCuda)
    backend = load_backend(Bundle.open(bundle_path))
    assert backend.name == "cuda"
    assert "so CUDA takes over" in backend.reason


@pytest.mark.parametrize(("delay_ms", "limit_ms"), [(10.0, 5.0), (60.0, 20.0), (80.0, 40.0), (1000.0, 66.0)])
def test_the_longer_the_delay_the_longer_the_cpu_may_take(
    bundle_path: Path, cuda: None, monkeypatch: pytest.MonkeyPatch, delay_ms: float, limit_ms: float
) -> None:
    took = {"cpu": WarmUp(limit_ms, True), "cuda": WarmUp(1.0, True)}
    monkeypatch.setattr(backend_choice, "warm_up", lambda backend, load: took[backend.name])
    monkeypatch.setattr(backend_choice, "OrtBackend", SlowCuda)
    bundle = Bundle.open(bundle_path)
    assert load_backend(bundle, delay_ms=delay_ms).name == "cpu"
    took["cpu"] = WarmUp(limit_ms + 0.1, True)
    assert load_backend(bundle, delay_ms=delay_ms).name == "cuda"


def test_fast_model_leaves_cuda_alone(bundle_path: Path, cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_choice, "warm_up", lambda backend, load: WarmUp(19.9, True))
    monkeypatch.setattr(backend_choice, "OrtBackend", SlowCuda)
    assert load_backend(Bundle.open(bundle_path)).name == "cpu"


def test_cuda_that_does_not_load_is_left_out(
    bundle_path: Path, cuda: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backend_choice, "warm_up", lambda backend, load: WarmUp(20.1, True))
    backend = assert_falls_back(Bundle.open(bundle_path), caplog, "cuda is left out", "onnxruntime-gpu")
    assert backend.reason.endswith("CUDA failed")


def test_warm_up_counts_a_token_of_all_graphs_and_dancers(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    steps: list[str] = []

    class Counting(OrtBackend):
        def step(self, graph: str, inputs: Any, state: Any) -> Any:
            steps.append(graph)
            return super().step(graph, inputs, state)

    graphs = ("gpt_step", "decoder_step")
    warm = backend_choice.warm_up(Counting(bundle), backend_choice.Load(bundle, graphs, dancers=2))
    assert 0.0 < warm.token_ms < 1e3
    assert warm.finite
    assert steps[:8] == ["gpt_step", "gpt_step", "decoder_step", "decoder_step"] * 2
