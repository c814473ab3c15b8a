"""Torch modules to ONNX bytes: shapes static but for the batch, plain operators, folded, checked."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from onnxscript.optimizer import fold_constants, remove_unused_nodes

from bailando.engine.specs import BATCH, GraphSpec, TensorSpec
from bailando.errors import ExportError
from bailando.export.graphs import StepGraph

DEFAULT_OPSET = 20
OPSETS = range(18, 24)
_ONNX_DTYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.INT64: "int64",
}
_MAX_PROTOBUF_BYTES = (2 << 30) - 1


def export_onnx(graph: StepGraph, opset: int = DEFAULT_OPSET) -> onnx.ModelProto:
    """Export one graph with the dynamo exporter.

    Parameters
    ----------
    graph : StepGraph
        What to export; its example tensors fix the shapes, but for a batch that is free.
    opset : int
        ONNX operator set, 18 to 23.

    Returns
    -------
    onnx.ModelProto
        Simplified and constant-folded, weights inside, no custom operators, checked by `check_model`.

    Raises
    ------
    ExportError
        If the opset is outside the range, the exporter fails, or the result fails its checks.
    """
    if opset not in OPSETS:
        raise ExportError(f"opset is {opset}, expected {OPSETS[0]} to {OPSETS[-1]}")
    with _quiet_exporter():
        try:
            program = torch.onnx.export(
                graph.module,
                graph.examples(),
                dynamo=True,
                opset_version=opset,
                input_names=graph.input_names,
                output_names=graph.output_names,
                optimize=True,
                external_data=False,
                verbose=False,
                dynamic_shapes=_dynamic_shapes(graph),
            )
        except torch.onnx.OnnxExporterError as error:
            reason = " ".join(str(error).split())[:300]
            raise ExportError(f"{graph.name} cannot be exported at opset {opset}: {reason}") from error
    if program is None:
        raise ExportError(f"{graph.name} cannot be exported: the exporter gave no program")
    # The exporter itself leaves arithmetic on large weights to the runtime, where quantisers do not see it.
    fold_constants(program.model, input_size_limit=_MAX_PROTOBUF_BYTES, output_size_limit=_MAX_PROTOBUF_BYTES)
    remove_unused_nodes(program.model)
    model: onnx.ModelProto = program.model_proto
    _strip(model, graph.name)
    check_model(model, graph)
    return model


def _dynamic_shapes(graph: StepGraph) -> tuple[Any, ...] | None:
    """Return the free axis of each of the module's arguments, of which the state is the last."""
    if not graph.free_batch:
        return None
    first = {0: torch.export.Dim(BATCH)}
    return (*(first for _ in graph.inputs), tuple(first for _ in graph.state))


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's notes on absent optional packages and its own deprecations from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            # Of all the inputs' axes called so one gives the name.
            warnings.filterwarnings("ignore", f"# The axis name: {BATCH} will not be used", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _strip(model: onnx.ModelProto, name: str) -> None:
    """Remove traces of the machine that exported (stack traces, paths) and name the graph."""
    model.graph.name = name
    model.doc_string = model.graph.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        item.doc_string = ""
        del item.metadata_props[:]


def check_model(model: onnx.ModelProto, graph: StepGraph) -> None:
    """Check an exported model: ONNX's checker, strict shape inference, static shapes, names, operators.

    Raises
    ------
    ExportError
        If any of it fails.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"{graph.name} fails ONNX's checker: {reason}") from error
    foreign = sorted({n.domain for n in model.graph.node} - {"", "ai.onnx"})
    if foreign or model.functions:
        raise ExportError(f"{graph.name} uses operators outside ONNX ({foreign}): export with another opset")
    names = [v.name for v in model.graph.input], [v.name for v in model.graph.output]
    if names != (graph.input_names, graph.output_names):
        raise ExportError(
            f"{graph.name} has tensors {names}, expected {graph.input_names, graph.output_names}"
        )
    for value in (*model.graph.input, *model.graph.output):
        _tensor_spec(value)
    if model.ByteSize() > _MAX_PROTOBUF_BYTES:
        raise ExportError(f"{graph.name} exceeds 2 GiB: use --storage fp16 or a smaller precision")


def graph_spec(model: onnx.ModelProto, file: str, precision: str, state_names: tuple[str, ...]) -> GraphSpec:
    """Describe an ONNX model for the manifest; states are told from inputs by `state_names`."""
    inputs = [_tensor_spec(value) for value in model.graph.input]
    outputs = [_tensor_spec(value) for value in model.graph.output]
    following = {f"next_{name}" for name in state_names}
    return GraphSpec(
        file=file,
        opset=next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
        precision=precision,
        inputs=tuple(spec for spec in inputs if spec.name not in state_names),
        outputs=tuple(spec for spec in outputs if spec.name not in following),
        state=tuple(spec for spec in inputs if spec.name in state_names),
    )


def operator_counts(model: onnx.ModelProto) -> dict[str, int]:
    """Return how often each operator occurs, most frequent first."""
    counts = Counter(f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in model.graph.node)
    return dict(counts.most_common())


def _tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = [BATCH if d.dim_param == BATCH else d.dim_value for d in tensor.shape.dim]
    free = [axis for axis, size in enumerate(shape) if size == BATCH]
    sizes = tuple(1 if isinstance(size, str) else size for size in shape)
    if tensor.elem_type not in _ONNX_DTYPES or min(sizes, default=1) < 1 or len(free) > 1:
        raise ExportError(
            f"tensor {value.name} has element type {tensor.elem_type} and shape {shape}, expected float32, "
            "float16 or int64 of a shape that is static but for the batch"
        )
    return TensorSpec(value.name, _ONNX_DTYPES[tensor.elem_type], sizes, free[0] if free else None)


def fix_batch(model: onnx.ModelProto, batch: int = 1) -> onnx.ModelProto:
    """Return a copy for so many dancers; one whose batch is fixed is returned equal."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output, *fixed.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == BATCH:
                dim.dim_value = batch
    return fixed
