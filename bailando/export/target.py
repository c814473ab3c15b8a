"""Game engines that run the step graphs themselves: what each takes, by its documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import onnx
from onnx import TensorProto

from bailando.errors import ExportError
from bailando.export.lowering import lower_opset

TARGETS = ("unity", "unreal")

_ELEMENT_TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
    TensorProto.BOOL: "bool",
}


@dataclass(frozen=True)
class Target:
    """A runtime as its documentation describes it; the files are in ``export/targets``.

    Parameters
    ----------
    name
        As given to ``--target``.
    runtime
        Its name and version.
    sources
        Pages that say so.
    opset
        Newest opset that is documented to work.
    max_rank
        Most dimensions of a tensor.
    element_types
        Of tensors.
    backends
        Where it runs graphs.
    notes
        What a developer must know.
    operators
        Per operator the attributes it lacks (``without_attributes``) and the backends that do not run it
        (``not_on``); None where every operator of the standard is run.
    """

    name: str
    runtime: str
    sources: tuple[str, ...]
    opset: int
    max_rank: int
    element_types: tuple[str, ...]
    backends: tuple[str, ...]
    notes: tuple[str, ...]
    operators: Mapping[str, Mapping[str, tuple[str, ...]]] | None

    def check(self, model: onnx.ModelProto, graph: str) -> tuple[str, ...]:
        """Return the backends that run `model`.

        Raises
        ------
        ExportError
            If an operator, one of its attributes, an element type, a rank or the opset is not supported;
            it names the node.
        """
        opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        if opset > self.opset:
            raise ExportError(f"graph {graph} has opset {opset}, {self.runtime} takes {self.opset} at most")
        backends = set(self.backends)
        for node in model.graph.node:
            backends -= self._lacking(node, graph)
        self._check_tensors(model, graph)
        return tuple(name for name in self.backends if name in backends)

    def _lacking(self, node: onnx.NodeProto, graph: str) -> set[str]:
        """Return the backends that do not run a node."""
        known = node.domain in ("", "ai.onnx") and (self.operators is None or node.op_type in self.operators)
        if not known:
            operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            raise ExportError(
                f"graph {graph}: {self.runtime} does not support the operator {operator} of node "
                f"{node.name or node.output[0]}: choose another --precision or report this"
            )
        limits = {} if self.operators is None else self.operators[node.op_type]
        given = {attribute.name for attribute in node.attribute}
        if refused := sorted(given & set(limits.get("without_attributes", ()))):
            raise ExportError(
                f"graph {graph}: {self.runtime} does not support {', '.join(refused)} of the operator "
                f"{node.op_type} of node {node.name or node.output[0]}: report this"
            )
        return set(limits.get("not_on", ()))

    def _check_tensors(self, model: onnx.ModelProto, graph: str) -> None:
        inferred = onnx.shape_inference.infer_shapes(model).graph
        types = [
            (value.name, value.type.tensor_type.elem_type, len(value.type.tensor_type.shape.dim))
            for value in (*inferred.input, *inferred.output, *inferred.value_info)
        ]
        types += [(tensor.name, tensor.data_type, len(tensor.dims)) for tensor in model.graph.initializer]
        for name, element, rank in types:
            kind = _ELEMENT_TYPES.get(element, f"type {element}")
            if kind not in self.element_types or rank > self.max_rank:
                raise ExportError(
                    f"graph {graph}: {self.runtime} does not support the tensor {name}, {kind} with {rank} "
                    f"dimensions; it takes {', '.join(self.element_types)} with at most {self.max_rank}: "
                    "choose another --precision"
                )

    def prepare(self, model: onnx.ModelProto, graph: str) -> onnx.ModelProto:
        """Return the model at an opset that the target takes, with float32 weights."""
        return lower_opset(model, graph, self.opset)


def load_target(name: str) -> Target:
    """Return the target called `name`, one of `TARGETS`."""
    if name not in TARGETS:
        raise ExportError(f"target is {name!r}, expected one of {', '.join(TARGETS)}")
    text = resources.files("bailando.export").joinpath(f"targets/{name}.json").read_text("utf-8")
    values: dict[str, Any] = json.loads(text)
    lists = ("sources", "element_types", "backends", "notes")
    return Target(**(values | {key: tuple(values[key]) for key in lists}))
