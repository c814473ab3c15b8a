"""The runner on a stand-in for TensorRT, whose engines are ONNX models; the way to the GPU is real."""

from __future__ import annotations

import numpy as np
import pytest
from stand_in_cuda import CAPABILITY, build_driver, stand_in_tensorrt

from bailando.engine.cuda_driver import CudaDriver
from bailando.engine.specs import EngineSpec
from bailando.errors import BundleError
from bailando.export import tensorrt_check
from bailando.export.exporter import DancerExport, ExportResult
from bailando.export.onnx_export import graph_spec
from bailando.export.runners import OnnxRunner
from bailando.export.tensorrt import BuiltEngine
from bailando.export.tensorrt_check import run_engines, why_not_run
from bailando.export.tensorrt_runner import TensorRTRunner
from bailando.export.validation import GPTRun, compare_steps


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> CudaDriver:
    return CudaDriver(build_driver(tmp_path_factory.mktemp("cuda")))


def engine(data: bytes = b"plan", graph: str = "gpt_step", capabilities: tuple[str, ...] = ()) -> BuiltEngine:
    return BuiltEngine(EngineSpec(graph, f"{graph}.engine", "stand_in", "1", capabilities), data, 0.1)


def test_engine_steps_as_its_graph_with_explicit_state(driver: CudaDriver, exported: ExportResult) -> None:
    data, spec = exported.bundle.graph_bytes("decoder_step"), exported.bundle.manifest.graphs["decoder_step"]
    runner = TensorRTRunner(stand_in_tensorrt(), data, spec, driver)
    feed = [{"upper_code": np.array([i]), "lower_code": np.array([15 - i])} for i in range(5)]
    found = compare_steps(OnnxRunner(data), runner, feed)
    assert (found.steps, found.max_abs_output, found.max_abs_state) == (5, 0.0, 0.0)


def test_step_is_timed(driver: CudaDriver, exported: ExportResult) -> None:
    data, spec = exported.bundle.graph_bytes("decoder_step"), exported.bundle.manifest.graphs["decoder_step"]
    assert 0.0 < TensorRTRunner(stand_in_tensorrt(), data, spec, driver).time_step_ms(steps=3) < 1e3


def test_engine_that_is_refused_says_what_to_do(driver: CudaDriver, exported: ExportResult) -> None:
    with pytest.raises(BundleError, match="build it again with --compute-capability"):
        TensorRTRunner(stand_in_tensorrt(), b"junk", exported.bundle.manifest.graphs["gpt_step"], driver)


def test_engines_are_compared_with_torch_on_the_gpu_at_hand(
    driver: CudaDriver, dancer: DancerExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_check, "CudaDriver", lambda: driver)
    monkeypatch.setattr(tensorrt_check.importlib, "import_module", lambda name: stand_in_tensorrt())
    spec = graph_spec(
        dancer.models["decoder_step"], "decoder_step.onnx", "fp32", tuple(dancer.graphs["decoder_step"].state)
    )
    built = engine(dancer.models["decoder_step"].SerializeToString(), "decoder_step")
    feed = dancer.code_feed(4)
    found = run_engines([built], {"decoder_step": spec}, dancer.graphs, dancer.run, feed)
    assert found["decoder_step"]["steps"] == 4
    assert 0.0 < found["decoder_step"]["ms_per_step"] < 1e3


def test_without_a_gpu_the_reason_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_check, "CudaDriver", lambda: CudaDriver("libnosuchdriver.so"))
    nothing = np.zeros(0)
    run = GPTRun(nothing, nothing, nothing, nothing)
    assert run_engines([engine()], {}, {}, run, []) == {"gpt_step": {"not_run": "no GPU"}}


def test_engine_for_other_gpus_is_not_run(driver: CudaDriver) -> None:
    reason = why_not_run(engine(capabilities=("8.6", "12.0")), driver)
    assert reason == "this GPU has compute capability 8.9, the engine is for 8.6, 12.0"
    assert why_not_run(engine(capabilities=(CAPABILITY,)), driver) is None
    assert why_not_run(engine(), driver) is None
