"""Weights stored as float16: half the file, the same arithmetic."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MIN_ELEMENTS = 1024


def store_as_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose large float32 weights are float16 with a Cast after each.

    Only weights that float16 holds exactly are stored so (round them before the export with
    `bailando.export.graphs.round_weights`): the graph computes the very same float32 values, and
    ONNX Runtime folds the casts when it loads.
    """
    stored = copy_model(model)
    casts = []
    for tensor in stored.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        value = numpy_helper.to_array(tensor)
        if value.size < MIN_ELEMENTS or np.abs(value).max() > np.finfo(np.float16).max:
            continue
        half = value.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), value):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_float16"))
        casts.append(
            helper.make_node("Cast", [tensor.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT)
        )
    nodes = list(stored.graph.node)
    del stored.graph.node[:]
    stored.graph.node.extend([*casts, *nodes])
    return stored


def copy_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a deep copy."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied
