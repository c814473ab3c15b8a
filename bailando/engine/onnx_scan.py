"""A look into ONNX bytes without the onnx package: what a bundle's graph may not contain.

Only the protobuf wire format is read (field numbers from onnx.proto3), so that a graph is judged
before any runtime parses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bailando.engine.specs import MAX_TENSOR_ELEMENTS
from bailando.errors import BundleError

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
MAX_FIELDS = 1_000_000
MAX_RANK = 32

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# ModelProto, GraphProto, NodeProto, AttributeProto and TensorProto field numbers.
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES = 22, 23
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_INT64, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 7, 8, 9
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_INT64 = 7
# Operators that make a tensor as large as a constant says.
_SHAPE_INPUT = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}


@dataclass(frozen=True)
class _Tensor:
    name: str
    integers: tuple[int, ...]


@dataclass(frozen=True)
class _Node:
    op_type: str
    inputs: tuple[str, ...]


def check_graph(model: bytes, file: str) -> None:
    """Refuse ONNX bytes that point outside themselves or ask for a huge tensor.

    Parameters
    ----------
    model : bytes
        A serialised ``ModelProto``.
    file : str
        Name for the messages.

    Raises
    ------
    BundleError
        If the bytes are no ONNX model, or hold external data, control flow, model functions,
        operators of a foreign domain, a constant shape above `MAX_TENSOR_ELEMENTS`, or more than
        `MAX_FIELDS` parts.
    """
    try:
        _Scan(file).model(memoryview(model))
    except (ValueError, IndexError) as error:
        raise BundleError(f"{file} is no ONNX model ({error}): export the bundle again") from None


class _Scan:
    """One reading of one file: the constants and nodes met, and how many fields may still come."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._fields_left = MAX_FIELDS
        self._constants: dict[str, _Tensor] = {}
        self._nodes: list[_Node] = []

    def model(self, message: memoryview) -> None:
        """Check a ``ModelProto``."""
        graphs = []
        for number, value in self._fields(message):
            if number == _MODEL_GRAPH:
                graphs.append(_message(value))
            elif number == _MODEL_FUNCTIONS:
                raise self._refusal("defines functions of its own")
        if len(graphs) != 1:
            raise ValueError(f"it has {len(graphs)} graphs")
        self._graph(graphs[0])
        for node in self._nodes:
            self._check_shape(node)

    def _refusal(self, what: str) -> BundleError:
        return BundleError(
            f"{self._file} {what}, a bundle's graphs are plain and whole: do not use this bundle"
        )

    def _fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        for field in _parse(message):
            self._fields_left -= 1
            if self._fields_left < 0:
                raise self._refusal(f"has more than {MAX_FIELDS} parts")
            yield field

    def _graph(self, message: memoryview) -> None:
        for number, value in self._fields(message):
            if number == _GRAPH_INITIALIZER:
                tensor = self._tensor(_message(value))
                self._constants[tensor.name] = tensor
            elif number == _GRAPH_SPARSE:
                raise self._refusal("holds sparse tensors")
            elif number == _GRAPH_NODE:
                self._nodes.append(self._node(_message(value)))

    def _check_shape(self, node: _Node) -> None:
        position = _SHAPE_INPUT.get(node.op_type)
        if position is None or position >= len(node.inputs):
            return
        shape = self._constants.get(node.inputs[position])
        if shape is not None and math.prod(shape.integers) > MAX_TENSOR_ELEMENTS:
            raise self._refusal(f"asks for a tensor of {math.prod(shape.integers)} elements")

    def _node(self, message: memoryview) -> _Node:
        op_type, domain = "", ""
        inputs: list[str] = []
        outputs: list[str] = []
        tensors: list[_Tensor] = []
        for number, value in self._fields(message):
            if number == _NODE_INPUT:
                inputs.append(_text(value))
            elif number == _NODE_OUTPUT:
                outputs.append(_text(value))
            elif number == _NODE_OP:
                op_type = _text(value)
            elif number == _NODE_DOMAIN:
                domain = _text(value)
            elif number == _NODE_ATTRIBUTE:
                tensors += self._attribute_tensors(_message(value))
        if domain not in STANDARD_DOMAINS:
            raise self._refusal(f"uses the operator {op_type!r} of domain {domain!r}")
        if op_type == "Constant" and tensors and outputs:
            self._constants[outputs[0]] = tensors[0]
        return _Node(op_type, tuple(inputs))

    def _attribute_tensors(self, message: memoryview) -> list[_Tensor]:
        tensors = []
        for number, value in self._fields(message):
            if number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                raise self._refusal("has control flow")
            if number in (_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES):
                raise self._refusal("holds sparse tensors")
            if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                tensors.append(self._tensor(_message(value)))
        return tensors

    def _tensor(self, message: memoryview) -> _Tensor:
        name, kind = "", 0
        dims: list[int] = []
        integers: list[int] = []
        raw = b""
        for number, value in self._fields(message):
            if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
                raise self._refusal("keeps weights in another file (external data)")
            if number == _TENSOR_DIMS:
                dims += _first_integers(value)
            elif number == _TENSOR_TYPE and isinstance(value, int):
                kind = value
            elif number == _TENSOR_NAME:
                name = _text(value)
            elif number == _TENSOR_INT64 and len(integers) < MAX_RANK:
                integers += _first_integers(value)
            elif number == _TENSOR_RAW:
                raw = bytes(_message(value)[: 8 * MAX_RANK])
        if len(dims) >= MAX_RANK or math.prod(dims) > MAX_TENSOR_ELEMENTS * 8:
            raise self._refusal(f"declares a weight of {math.prod(dims[:MAX_RANK])} elements")
        if kind == _INT64 and raw:
            integers = list(memoryview(raw[: len(raw) // 8 * 8]).cast("q"))
        return _Tensor(name, tuple(integers) if len(integers) < MAX_RANK else ())


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a message was expected")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode("utf-8", errors="replace")


def _first_integers(value: int | memoryview) -> list[int]:
    """One int64, or the first `MAX_RANK` int64s of a packed field: no shape has more."""
    if isinstance(value, int):
        return [_signed(value)]
    integers: list[int] = []
    position = 0
    while position < len(value) and len(integers) < MAX_RANK:
        integer, position = _varint(value, position)
        integers.append(_signed(integer))
    return integers


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise ValueError("a number is too long")


def _parse(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value) of each field of a protobuf message."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if number == 0 or position + size > end:
            raise ValueError("it is cut short")
        yield number, data[position : position + size]
        position += size
