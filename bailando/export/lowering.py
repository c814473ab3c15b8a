"""A graph at an older opset, for runtimes that read no newer one: the same numbers by older operators.

torch exports at opset 18 and above. What came since opset 15 is rewritten: LayerNormalization and Gelu by
their definitions, axes of reductions as attributes, newer attributes dropped where they change nothing.
Weights stored as float16 become float32 again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from bailando.errors import ExportError
from bailando.export.storage import copy_model

LOWEST_OPSET = 15
# The newest IR that ONNX 1.10, the release of opset 15, knows.
_IR_VERSION = 8
_REDUCTIONS_WITH_AXES = ("ReduceMean", "ReduceMax", "ReduceMin")
# Attributes that came after opset 15, and the value that changes nothing.
_NEWER_ATTRIBUTES = {
    "Cast": {"saturate": 1},
    "ReduceMean": {"noop_with_empty_axes": 0},
    "ReduceMax": {"noop_with_empty_axes": 0},
    "ReduceMin": {"noop_with_empty_axes": 0},
}


def lower_opset(model: onnx.ModelProto, name: str, opset: int = LOWEST_OPSET) -> onnx.ModelProto:
    """Return an equal model at `opset`.

    Parameters
    ----------
    model : onnx.ModelProto
        A step graph.
    name : str
        Of the graph, for messages.
    opset : int
        15, or any above: a model that is no newer keeps its operators.

    Raises
    ------
    ExportError
        If an operator or attribute has no older form.
    """
    lowered = copy_model(model)
    _unpack_float16(lowered)
    current = next(o for o in lowered.opset_import if o.domain in ("", "ai.onnx"))
    if current.version > opset:
        _rewrite(lowered)
        current.version = opset
        lowered.ir_version = min(lowered.ir_version, _IR_VERSION)
    _check(lowered, name, opset)
    return lowered


def _unpack_float16(model: onnx.ModelProto) -> None:
    """Replace float16 weights that only a Cast to float32 reads by float32 weights."""
    graph = model.graph
    halves = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    casts = [n for n in graph.node if n.op_type == "Cast" and n.input[0] in halves]
    for cast in casts:
        if helper.get_node_attr_value(cast, "to") != TensorProto.FLOAT:
            continue
        value = numpy_helper.to_array(halves[cast.input[0]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(value, cast.output[0]))
        graph.node.remove(cast)
    used = {name for node in graph.node for name in node.input}
    for name, tensor in halves.items():
        if name not in used:
            graph.initializer.remove(tensor)


class _Lowering:
    """The nodes and constants that replace newer ones, collected in order."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.constants = {t.name: t for t in model.graph.initializer}
        self.nodes: list[NodeProto] = []

    def node(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node; return its output's name."""
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: float) -> str:
        """Add a scalar once; return its name."""
        if name not in self.constants:
            tensor = numpy_helper.from_array(np.array(value, np.float32), name)
            self.constants[name] = tensor
            self.graph.initializer.append(tensor)
        return name


def _rewrite(model: onnx.ModelProto) -> None:
    lowering = _Lowering(model)
    rules: dict[str, Callable[[_Lowering, NodeProto], None]] = {
        "LayerNormalization": _layer_normalization,
        "Gelu": _gelu,
        "Reshape": _reshape,
        "Split": _split,
        **dict.fromkeys(_REDUCTIONS_WITH_AXES, _reduction),
    }
    for node in model.graph.node:
        rules.get(node.op_type, _keep)(lowering, node)
    del model.graph.node[:]
    model.graph.node.extend(lowering.nodes)
    used = {name for node in lowering.nodes for name in node.input}
    for tensor in [t for t in model.graph.initializer if t.name not in used]:
        model.graph.initializer.remove(tensor)
    # Shapes of what has been replaced; they are inferred again where they are needed.
    del model.graph.value_info[:]


def _keep(lowering: _Lowering, node: NodeProto) -> None:
    """Keep a node, without newer attributes at the value that changes nothing."""
    kept = NodeProto()
    kept.CopyFrom(node)
    for name, neutral in _NEWER_ATTRIBUTES.get(node.op_type, {}).items():
        for attribute in [a for a in kept.attribute if a.name == name and a.i == neutral]:
            kept.attribute.remove(attribute)
    lowering.nodes.append(kept)


def _layer_normalization(lowering: _Lowering, node: NodeProto) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis."""
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if values.get("axis", -1) != -1 or len(node.output) != 1:
        raise ExportError(f"node {node.name}: LayerNormalization has an older form over the last axis only")
    x, base = node.input[0], node.output[0]
    epsilon = lowering.constant(f"{base}_epsilon", float(values.get("epsilon", 1e-5)))
    mean = lowering.node("ReduceMean", [x], f"{base}_mean", axes=[-1], keepdims=1)
    centred = lowering.node("Sub", [x, mean], f"{base}_centred")
    square = lowering.node("Mul", [centred, centred], f"{base}_square")
    variance = lowering.node("ReduceMean", [square], f"{base}_variance", axes=[-1], keepdims=1)
    shifted = lowering.node("Add", [variance, epsilon], f"{base}_shifted")
    deviation = lowering.node("Sqrt", [shifted], f"{base}_deviation")
    unit = lowering.node("Div", [centred, deviation], f"{base}_unit")
    biased = len(node.input) > 2 and bool(node.input[2])
    scaled = lowering.node("Mul", [unit, node.input[1]], f"{base}_scaled" if biased else base)
    if biased:
        lowering.node("Add", [scaled, node.input[2]], base)


def _gelu(lowering: _Lowering, node: NodeProto) -> None:
    """0.5 x (1 + erf(x / sqrt 2))."""
    if any(a.name == "approximate" and a.s != b"none" for a in node.attribute):
        raise ExportError(f"node {node.name}: only the exact Gelu has an older form here")
    x, base = node.input[0], node.output[0]
    root = lowering.constant("gelu_root_half", math.sqrt(0.5))
    one, half = lowering.constant("gelu_one", 1.0), lowering.constant("gelu_half", 0.5)
    error = lowering.node("Erf", [lowering.node("Mul", [x, root], f"{base}_scaled")], f"{base}_erf")
    share = lowering.node("Add", [error, one], f"{base}_share")
    lowering.node("Mul", [lowering.node("Mul", [x, share], f"{base}_twice"), half], base)


def _reduction(lowering: _Lowering, node: NodeProto) -> None:
    """Axes as an attribute instead of a constant input."""
    _keep(lowering, node)
    kept = lowering.nodes[-1]
    if len(kept.input) == 2:
        axes = lowering.constants.get(kept.input[1])
        if axes is None:
            raise ExportError(f"node {node.name}: {node.op_type} has axes that are no constant")
        del kept.input[1]
        kept.attribute.append(helper.make_attribute("axes", numpy_helper.to_array(axes).tolist()))


def _reshape(lowering: _Lowering, node: NodeProto) -> None:
    """Without `allowzero` where the shape holds no zero: some runtimes do not know it."""
    _keep(lowering, node)
    kept, shape = lowering.nodes[-1], lowering.constants.get(node.input[1])
    if shape is not None and numpy_helper.to_array(shape).all():
        for attribute in [a for a in kept.attribute if a.name == "allowzero"]:
            kept.attribute.remove(attribute)


def _split(lowering: _Lowering, node: NodeProto) -> None:
    """Without `num_outputs`: the outputs say it."""
    _keep(lowering, node)
    kept = lowering.nodes[-1]
    for attribute in [a for a in kept.attribute if a.name == "num_outputs"]:
        kept.attribute.remove(attribute)


def _check(model: onnx.ModelProto, name: str, opset: int) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"{name} has no form at opset {opset}: {reason}") from error
