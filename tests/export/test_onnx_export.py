from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from bailando.errors import ExportError
from bailando.export.exporter import DancerExport
from bailando.export.graphs import StepGraph, decoder_step_graph, encoder_graph, round_weights
from bailando.export.onnx_export import check_model, export_onnx, graph_spec, operator_counts
from bailando.export.runners import OnnxRunner
from bailando.models.checkpoint import DancerCheckpoint
from bailando.models.vqvae import PoseVQVAE, PoseVQVAEConfig


def test_graphs_have_the_names_and_static_shapes_of_the_architecture(dancer: DancerExport) -> None:
    spec = graph_spec(
        dancer.models["gpt_step"], "gpt_step.onnx", "fp32", tuple(dancer.graphs["gpt_step"].state)
    )
    assert [(t.name, t.dtype, t.shape) for t in spec.inputs] == [
        ("music", "float32", (2, 8 * 51)),
        ("upper_code", "int64", (2,)),
        ("lower_code", "int64", (2,)),
        ("style", "int64", (2,)),
    ]
    assert [(t.name, t.shape) for t in spec.outputs] == [("upper_logits", (2, 16)), ("lower_logits", (2, 16))]
    assert [(t.name, t.dtype, t.shape) for t in spec.state] == [
        ("key_cache_0", "float32", (2, 2, 3, 7, 16)),
        ("value_cache_0", "float32", (2, 2, 3, 7, 16)),
        ("key_cache_1", "float32", (2, 2, 3, 7, 16)),
        ("value_cache_1", "float32", (2, 2, 3, 7, 16)),
        ("steps_taken", "int64", (2,)),
    ]
    assert spec.opset == 20


def test_description_from_onnx_equals_that_from_torch(dancer: DancerExport) -> None:
    for name, graph in dancer.graphs.items():
        spec = graph_spec(dancer.models[name], "x.onnx", "fp32", tuple(graph.state))
        assert (spec.inputs, spec.outputs, spec.state) == graph.specs()


def test_graphs_hold_only_plain_operators_and_no_foldable_ones(dancer: DancerExport) -> None:
    for model in dancer.models.values():
        counts = operator_counts(model)
        assert not {name for name in counts if "::" in name}
        assert not {"Identity", "Constant", "Shape", "ConstantOfShape", "If", "Loop", "Dropout"} & set(counts)


def test_exported_model_holds_no_traces_of_the_exporting_machine(dancer: DancerExport) -> None:
    for model in dancer.models.values():
        data = model.SerializeToString()
        assert b"site-packages" not in data
        assert b".py" not in data


def test_export_is_reproducible(dancer: DancerExport) -> None:
    again = export_onnx(dancer.graphs["gpt_step"])
    assert again.SerializeToString() == dancer.models["gpt_step"].SerializeToString()


def test_opset_outside_the_range_is_refused(dancer: DancerExport) -> None:
    with pytest.raises(ExportError, match="opset is 12, expected 18 to 23"):
        export_onnx(dancer.graphs["gpt_step"], 12)


class _Scaled(torch.nn.Module):
    def forward(self, x: torch.Tensor, total: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 2.0 * x, total + x


@pytest.mark.parametrize("opset", [18, 23])
def test_stated_opset_is_the_models(opset: int) -> None:
    graph = StepGraph(
        "scaled", _Scaled().eval(), {"x": torch.zeros(1, 3)}, ("y",), {"total": torch.zeros(1, 3)}
    )
    model = export_onnx(graph, opset)
    assert graph_spec(model, "scaled.onnx", "fp32", ("total",)).opset == opset
    runner = OnnxRunner(model.SerializeToString())
    x = np.array([[1.0, -2.0, 3.0]], np.float32)
    outputs, state = runner.step({"x": x}, runner.initial_state())
    outputs, state = runner.step({"x": x}, state)
    np.testing.assert_array_equal(outputs["y"], 2 * x)
    np.testing.assert_array_equal(state["total"], 2 * x)


@pytest.mark.parametrize("damage", ["type", "name", "operator"])
def test_check_refuses_a_model_that_is_not_as_asked(dancer: DancerExport, damage: str) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(dancer.models["decoder_step"])
    if damage == "type":
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    elif damage == "name":
        model.graph.input[0].name = "other"
    else:
        model.graph.node.append(onnx.helper.make_node("Own", [], ["x"], domain="own.ops"))
        model.opset_import.append(onnx.helper.make_opsetid("own.ops", 1))
    with pytest.raises(ExportError, match="decoder_step"):
        check_model(model, dancer.graphs["decoder_step"])


def test_two_sided_decoder_is_refused() -> None:
    config = PoseVQVAEConfig(
        channels=4, width=4, codebook_size=4, code_dim=4, dilations=(1,), decoder="two_sided"
    )
    with pytest.raises(ExportError, match="tokens ahead and cannot stream"):
        decoder_step_graph(PoseVQVAE(config), PoseVQVAE(config))


def test_encoder_frames_must_be_whole_codes(checkpoint: DancerCheckpoint) -> None:
    with pytest.raises(ExportError, match="expected a multiple of 8"):
        encoder_graph(checkpoint.upper_vqvae, checkpoint.lower_vqvae, 12)


def test_rounding_leaves_the_original_and_gives_float16_values(checkpoint: DancerCheckpoint) -> None:
    before = checkpoint.gpt.upper_head.weight.clone()
    rounded = round_weights(checkpoint.gpt)
    assert torch.equal(checkpoint.gpt.upper_head.weight, before)
    assert torch.equal(rounded.upper_head.weight, before.half().float())
    assert not torch.equal(rounded.upper_head.weight, before)
    assert rounded.upper_head.weight.dtype == torch.float32
