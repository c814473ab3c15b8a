from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest

from bailando.errors import ExportError
from bailando.export.exporter import DancerExport, ExportResult
from bailando.export.onnx_export import operator_counts
from bailando.export.precision import Agreement, Converted, choose_default, record_dance
from bailando.export.quantise import dynamic_int8
from bailando.export.report import precision_table
from bailando.export.runners import TorchRunner


@pytest.fixture(scope="module")
def converted(dancer: DancerExport) -> dict[str, Converted]:
    return {
        name: dancer.convert(name)
        for name in ("fp32", "fp16", "int8-dynamic", "int8-static", "weight-int8", "weight-int4")
    }


def test_fp32_agrees_with_torch(converted: dict[str, Converted]) -> None:
    agreement = converted["fp32"].agreement
    assert agreement.code_agreement == 1.0
    assert abs(agreement.kl_nats) < 1e-9
    assert agreement.pose_rms < 1e-6
    assert agreement.joint_mm < 1e-3
    assert agreement.speed_ratio == pytest.approx(1.0, abs=1e-4)
    assert agreement.jerk_ratio == pytest.approx(1.0, abs=1e-4)


def test_float16_storage_is_compared_with_the_weights_as_trained(exported: ExportResult) -> None:
    agreement = exported.agreements[0]
    assert agreement.precision == "fp32"
    assert agreement.code_agreement > 0.95
    assert 1e-9 < agreement.kl_nats < 1e-3
    assert agreement.bytes["gpt_step"] == exported.bundle.manifest.files["gpt_step.onnx"].bytes


@pytest.mark.parametrize(
    ("precision", "graph", "operator"),
    [
        ("int8-dynamic", "gpt_step", "MatMulInteger"),
        ("int8-dynamic", "decoder_step", "MatMulInteger"),
        ("int8-static", "gpt_step", "QuantizeLinear"),
        ("int8-static", "decoder_step", "QuantizeLinear"),
        ("weight-int8", "gpt_step", "com.microsoft::MatMulNBits"),
        ("weight-int4", "gpt_step", "com.microsoft::MatMulNBits"),
    ],
)
def test_quantised_graph_computes_with_small_numbers(
    converted: dict[str, Converted], precision: str, graph: str, operator: str
) -> None:
    assert operator in operator_counts(converted[precision].models[graph])
    assert converted[precision].agreement.graph_precisions[graph] == precision


def test_fp16_graph_keeps_float32_at_its_borders(converted: dict[str, Converted]) -> None:
    graph = converted["fp16"].models["gpt_step"].graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    assert types["music"] == types["upper_logits"] == onnx.TensorProto.FLOAT
    assert types["key_cache_0"] == types["next_key_cache_0"] == onnx.TensorProto.FLOAT16


def test_graph_with_nothing_to_quantise_stays_fp32(dancer: DancerExport) -> None:
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    assert dynamic_int8(model) is None
    assert dynamic_int8(dancer.models["decoder_step"]) is not None


def test_inputs_and_outputs_keep_their_names(converted: dict[str, Converted]) -> None:
    def names(model: onnx.ModelProto) -> list[str]:
        return [v.name for v in (*model.graph.input, *model.graph.output)]

    for one in converted.values():
        for graph, model in one.models.items():
            assert names(model) == names(converted["fp32"].models[graph])


@pytest.mark.parametrize("precision", ["fp16", "int8-dynamic", "int8-static", "weight-int8"])
def test_reduced_precision_changes_little_but_something(
    converted: dict[str, Converted], precision: str
) -> None:
    agreement = converted[precision].agreement
    assert 0.8 < agreement.code_agreement <= 1.0
    assert 0 < agreement.kl_nats < 0.05
    assert agreement.pose_rms_fraction < 0.1
    assert agreement.joint_mm < 30.0
    assert 0.5 < agreement.speed_ratio < 2.0


def test_fewer_bits_diverge_more(converted: dict[str, Converted]) -> None:
    divergence = {name: one.agreement.kl_nats for name, one in converted.items()}
    assert divergence["fp16"] < divergence["weight-int8"] < divergence["weight-int4"]


def test_too_little_agreement_is_an_error(converted: dict[str, Converted]) -> None:
    poor = dataclasses.replace(converted["fp16"].agreement, code_agreement=0.5)
    with pytest.raises(ExportError, match=r"agrees with fp32 in 50\.0% of the codes"):
        poor.require(0.8)
    broken = dataclasses.replace(converted["fp16"].agreement, kl_nats=float("nan"))
    with pytest.raises(ExportError, match="divergence nan"):
        broken.require(0.0)


def test_recorded_dance_is_the_same_for_the_same_seed(dancer: DancerExport) -> None:
    runners = [TorchRunner(dancer.graphs[name]) for name in ("gpt_step", "decoder_step")]
    first, second, other = (record_dance(*runners, dancer.run, 1.0, seed) for seed in (3, 3, 4))

    def codes(dance: object) -> np.ndarray:
        return np.array([feed["upper_code"] for feed in dance.gpt_feed])  # type: ignore[attr-defined]

    np.testing.assert_array_equal(codes(first), codes(second))
    assert (codes(first) != codes(other)).any()


def row(precision: str, codes: float, speed: float, jerk: float) -> Agreement:
    graphs = dict.fromkeys(("gpt_step", "decoder_step"), precision)
    sizes = dict.fromkeys(graphs, 1000)
    return Agreement(precision, graphs, sizes, 96, codes, 0.0, 0.0, 0.0, 0.0, speed, jerk)


@pytest.mark.parametrize(
    ("candidate", "ms", "chosen"),
    [
        (row("int8-dynamic", 1.0, 1.0, 1.01), 8.0, "int8-dynamic"),
        (row("int8-dynamic", 1.0, 1.0, 1.01), 9.5, "fp32"),
        (row("int8-static", 1.0, 1.2, 10.3), 5.0, "fp32"),
        (row("weight-int4", 0.98, 1.0, 1.0), 5.0, "fp32"),
    ],
)
def test_default_is_the_fastest_that_dances_the_same(candidate: Agreement, ms: float, chosen: str) -> None:
    times_ms = {
        "fp32": {"gpt_step": 4.0, "decoder_step": 6.0},
        candidate.precision: {"gpt_step": ms / 2, "decoder_step": ms / 2},
    }
    assert choose_default([row("fp32", 1.0, 1.0, 1.0), candidate], times_ms) == chosen


def test_table_has_a_row_for_each_precision(converted: dict[str, Converted]) -> None:
    times_ms = {name: {"gpt_step": 1.25, "decoder_step": 2.5} for name in converted}
    lines = precision_table([one.agreement for one in converted.values()], times_ms)
    assert [line.split()[0] for line in lines[1:-2]] == list(converted)
    assert lines[0].split()[-4:] == ["joints", "mm", "speed", "jerk"]
    assert lines[1].split()[-2:] == ["1.000", "1.000"]
    assert "100.0%" in lines[1]
    assert "1.25" in lines[1]
