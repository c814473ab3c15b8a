from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bailando.errors import ExportError
from bailando.export.exporter import DancerExport
from bailando.export.lowering import LOWEST_OPSET, lower_opset
from bailando.export.onnx_export import operator_counts
from bailando.export.runners import OnnxRunner
from bailando.export.storage import store_as_float16
from bailando.export.validation import compare_gpt, compare_steps

X = np.random.default_rng(0).standard_normal((2, 3, 8)).astype(np.float32)


def model_of(
    node: onnx.NodeProto, shape: tuple[int, ...] = X.shape, **constants: np.ndarray
) -> onnx.ModelProto:
    """One node from x (2, 3, 8) to y of `shape`."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto) -> np.ndarray:
    outputs, _ = OnnxRunner(model.SerializeToString()).step({"x": X}, {})
    return outputs["y"]


def test_whole_graphs_give_the_same_numbers_at_the_older_opset(dancer: DancerExport) -> None:
    lowered = {name: lower_opset(model, name) for name, model in dancer.models.items()}
    for model in lowered.values():
        assert model.opset_import[0].version == LOWEST_OPSET
        assert not {"Gelu", "LayerNormalization"} & set(operator_counts(model))
    pairs = {
        name: [OnnxRunner(m.SerializeToString()) for m in (dancer.models[name], lowered[name])]
        for name in lowered
    }
    gpt = compare_gpt(*pairs["gpt_step"], dancer.run)
    decoder = compare_steps(*pairs["decoder_step"], dancer.code_feed(20))
    for found in (gpt, decoder):
        assert max(found.max_abs_output, found.max_abs_state) < 1e-4
    assert gpt.greedy_codes_identical


@pytest.mark.parametrize("biased", [True, False])
def test_layer_normalisation_is_written_out(biased: bool) -> None:
    constants = {"scale": np.linspace(0.5, 2, 8, dtype=np.float32)}
    if biased:
        constants["bias"] = np.linspace(-1, 1, 8, dtype=np.float32)
    node = helper.make_node("LayerNormalization", ["x", *constants], ["y"], axis=-1, epsilon=1e-3)
    model = model_of(node, **constants)
    np.testing.assert_allclose(run(lower_opset(model, "one")), run(model), atol=2e-6)


def test_gelu_is_written_out() -> None:
    model = model_of(helper.make_node("Gelu", ["x"], ["y"]))
    expected = [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in X.ravel().tolist()]
    np.testing.assert_allclose(run(lower_opset(model, "one")).ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMax"])
def test_axes_of_reductions_become_attributes(operator: str) -> None:
    node = helper.make_node(operator, ["x", "axes"], ["y"], keepdims=0)
    model = model_of(node, (2, 8), axes=np.array([1], np.int64))
    lowered = lower_opset(model, "one")
    assert len(lowered.graph.node[0].input) == 1
    np.testing.assert_array_equal(run(lowered), run(model))


def test_float16_weights_become_float32_again() -> None:
    model = model_of(
        helper.make_node("MatMul", ["x", "w"], ["y"]), (2, 3, 256), w=np.eye(8, 256, dtype=np.float32)
    )
    stored = store_as_float16(model)
    assert stored.graph.initializer[0].data_type == TensorProto.FLOAT16
    lowered = lower_opset(stored, "one")
    assert [t.data_type for t in lowered.graph.initializer] == [TensorProto.FLOAT]
    assert list(operator_counts(lowered)) == ["MatMul"]
    np.testing.assert_array_equal(run(lowered), run(model))


def test_model_that_is_old_enough_keeps_its_operators() -> None:
    model = model_of(helper.make_node("Gelu", ["x"], ["y"]))
    assert list(operator_counts(lower_opset(model, "one", 20))) == ["Gelu"]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("Gelu", ["x"], ["y"], name="wave", approximate="tanh"), "node wave"),
        (helper.make_node("GroupNormalization", ["x", "s", "s"], ["y"], num_groups=1), "GroupNormalization"),
        (helper.make_node("LayerNormalization", ["x", "s"], ["y"], name="norm", axis=1), "node norm"),
    ],
)
def test_operator_without_an_older_form_is_an_error(node: onnx.NodeProto, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        lower_opset(model_of(node, s=np.ones(3, np.float32)), "one")
