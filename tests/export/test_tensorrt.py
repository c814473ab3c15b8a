from __future__ import annotations

import importlib.util

import pytest
import torch
from onnx import TensorProto, helper

from bailando.engine import tensorrt_library
from bailando.errors import ExportError
from bailando.export.exporter import DancerExport, ExportResult
from bailando.export.report import engine_lines
from bailando.export.tensorrt import build_engines, find_library

needs_tensorrt_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed"
)


@needs_tensorrt_rtx
def test_both_step_graphs_build_without_a_gpu(dancer: DancerExport, exported: ExportResult) -> None:
    engines = exported.engines
    assert [e.spec.graph for e in engines] == ["gpt_step", "decoder_step"]
    assert engines[0].file == "gpt_step.sm_86_89.engine"
    assert engines[0].spec.library == "tensorrt_rtx"
    weights = sum(len(t.raw_data) for t in dancer.models["gpt_step"].graph.initializer)
    assert len(engines[0].data) > weights
    lines = engine_lines(engines, {e.spec.graph: {"not_run": "no GPU"} for e in engines})
    assert all(line.endswith("not run: no GPU") for line in lines)


@needs_tensorrt_rtx
def test_bundle_holds_the_engines_and_says_for_which_gpus(exported: ExportResult) -> None:
    manifest = exported.bundle.manifest
    assert [e.compute_capabilities for e in manifest.engines] == [("8.6", "8.9")] * 2
    for engine, built in zip(manifest.engines, exported.engines, strict=True):
        assert exported.bundle.file_bytes(engine.file) == built.data
        assert manifest.files[engine.file].bytes == len(built.data)
        assert engine.library_version.split(".")[0].isdigit()


@needs_tensorrt_rtx
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which runs the engines")
def test_without_a_gpu_the_bundle_says_that_its_engines_were_not_run(exported: ExportResult) -> None:
    not_run = {"not_run": "no GPU"}
    engines = exported.bundle.manifest.validation["engines"]
    assert engines == {"gpt_step": not_run, "decoder_step": not_run}


@needs_tensorrt_rtx
def test_graph_with_a_free_batch_is_built_for_one_dancer() -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (engine,) = build_engines({"twice": model}, ("8.9",))
    assert engine.data


@needs_tensorrt_rtx
def test_unknown_compute_capability_names_the_known_ones(dancer: DancerExport) -> None:
    for wrong in ("9.9", "nonsense"):
        with pytest.raises(ExportError, match=r"expected some of .*8\.9"):
            build_engines({"gpt_step": dancer.models["gpt_step"]}, (wrong,))


@needs_tensorrt_rtx
def test_graph_that_cannot_be_parsed_is_an_error(dancer: DancerExport) -> None:
    broken = type(dancer.models["gpt_step"])()
    broken.CopyFrom(dancer.models["gpt_step"])
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ExportError, match="cannot parse gpt_step"):
        build_engines({"gpt_step": broken})


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_library, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match="pip install tensorrt-rtx"):
        find_library()
