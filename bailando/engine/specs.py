"""The parts of a manifest that describe files: tensors, graphs, engines, hashes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from bailando.engine.fields import Fields, read_integer, read_short_text
from bailando.errors import BundleError

REQUIRED_GRAPHS = ("gpt_step", "decoder_step")
OPTIONAL_GRAPHS = ("encoder", "features_step")
DTYPES = ("float32", "float16", "int64", "int32", "int8", "uint8", "bool")
BATCH = "batch"
"""Stands in a tensor's shape for any number of dancers."""
MAX_TENSOR_ELEMENTS = 1 << 26
MAX_DIMENSION = 1 << 24

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")
_TENSOR_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,126}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_file_name(name: str, where: str) -> str:
    """Return `name` if it is a plain file name (no folders, no leading dot).

    Raises
    ------
    BundleError
        If it is anything else: such a name could reach outside the bundle.
    """
    if not _FILE_NAME.fullmatch(name) or name.endswith("."):
        shown = repr(name[:60])
        raise BundleError(
            f"{where} names the file {shown}, outside the bundle's flat folder: do not use this bundle"
        )
    return name


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of one tensor of a graph.

    Parameters
    ----------
    name, dtype : str
    shape : tuple of int
        For one dancer where the batch is free.
    batch_axis : int or None
        The axis along which the graph takes any number of dancers, written ``"batch"`` in the manifest;
        None for a shape that is fixed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    batch_axis: int | None = None

    @property
    def declared_shape(self) -> tuple[int | str, ...]:
        """The shape with ``"batch"`` in the place of a free batch."""
        return tuple(BATCH if axis == self.batch_axis else size for axis, size in enumerate(self.shape))

    def shape_of(self, batch: int) -> tuple[int, ...]:
        """Return the shape for so many dancers; that of a fixed tensor is always the same."""
        return tuple(batch if axis == self.batch_axis else size for axis, size in enumerate(self.shape))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.declared_shape)}

    @classmethod
    def read(cls, value: object, where: str) -> TensorSpec:
        """Read the JSON form; raise BundleError on anything unexpected."""
        fields = Fields(value, where)
        name = fields.text("name", 127)
        if not _TENSOR_NAME.fullmatch(name):
            raise BundleError(f"{where}.name is {name!r}, not a tensor name: export the bundle again")
        dtype = fields.choice("dtype", DTYPES)
        declared = fields.items("shape", _dimension, most=8)
        fields.done()
        if declared.count(None) > 1:
            raise BundleError(f"{where} ({name}) has the batch on two axes: export the bundle again")
        shape = tuple(size or 1 for size in declared)
        if math.prod(shape) > MAX_TENSOR_ELEMENTS:
            raise BundleError(
                f"{where} ({name}) has {math.prod(shape)} elements, more than the {MAX_TENSOR_ELEMENTS} "
                "allowed: do not use this bundle"
            )
        return cls(name, dtype, shape, declared.index(None) if None in declared else None)


def _dimension(value: object, where: str) -> int | None:
    """Read a size; None is a free batch."""
    return None if value == BATCH else read_integer(value, where, 1, MAX_DIMENSION)


@dataclass(frozen=True)
class GraphSpec:
    """One ONNX graph: its file, opset, precision, and its inputs, outputs and state by name.

    A state tensor ``x`` is an input called ``x`` and an output called ``next_x``; it starts as zeros.
    """

    file: str
    opset: int
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    state: tuple[TensorSpec, ...]

    @classmethod
    def read(cls, value: object, where: str) -> GraphSpec:
        """Read the JSON form; raise BundleError on anything unexpected."""
        fields = Fields(value, where)
        spec = cls(
            file=check_file_name(fields.text("file"), f"{where}.file"),
            opset=fields.integer("opset", 13, 64),
            precision=fields.text("precision", 64, allow_empty=False),
            inputs=fields.items("inputs", TensorSpec.read, least=1, most=64),
            outputs=fields.items("outputs", TensorSpec.read, least=1, most=64),
            state=fields.items("state", TensorSpec.read, most=512),
        )
        fields.done()
        names = [t.name for t in (*spec.inputs, *spec.state)]
        names += [t.name for t in spec.outputs] + [f"next_{t.name}" for t in spec.state]
        if len(set(names)) != len(names):
            raise BundleError(f"{where} names a tensor twice: export the bundle again")
        tensors = (*spec.inputs, *spec.outputs, *spec.state)
        if len({tensor.batch_axis is None for tensor in tensors}) > 1:
            raise BundleError(f"{where} has a free batch in some tensors only: export the bundle again")
        return spec

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        sides = {"inputs": self.inputs, "outputs": self.outputs, "state": self.state}
        form = {"file": self.file, "opset": self.opset, "precision": self.precision}
        return form | {side: [tensor.to_dict() for tensor in tensors] for side, tensors in sides.items()}

    def tensor(self, name: str) -> TensorSpec:
        """Return the input, output or state tensor called `name`."""
        for spec in (*self.inputs, *self.outputs, *self.state):
            if spec.name == name:
                return spec
        raise BundleError(f"graph {self.file} has no tensor {name!r}: export the bundle again")

    @property
    def batch(self) -> int:
        """Dancers of one step: the first dimension of its first input, 1 where the batch is free."""
        return self.inputs[0].shape[0]

    @property
    def free_batch(self) -> bool:
        """Whether one step takes any number of dancers."""
        return self.inputs[0].batch_axis is not None


@dataclass(frozen=True)
class EngineSpec:
    """A serialised TensorRT engine of one graph; usable only by that library version and those GPUs."""

    graph: str
    file: str
    library: str
    library_version: str
    compute_capabilities: tuple[str, ...]

    @classmethod
    def read(cls, value: object, where: str) -> EngineSpec:
        """Read the JSON form; raise BundleError on anything unexpected."""
        fields = Fields(value, where)
        spec = cls(
            graph=fields.choice("graph", REQUIRED_GRAPHS + OPTIONAL_GRAPHS),
            file=check_file_name(fields.text("file"), f"{where}.file"),
            library=fields.choice("library", ("tensorrt_rtx", "tensorrt")),
            library_version=fields.text("library_version", 64),
            compute_capabilities=fields.items("compute_capabilities", read_short_text, most=32),
        )
        fields.done()
        return spec


@dataclass(frozen=True)
class FileEntry:
    """Hash and size of one file of the bundle."""

    sha256: str
    bytes: int

    @classmethod
    def read(cls, value: object, where: str) -> FileEntry:
        """Read the JSON form; raise BundleError on anything unexpected."""
        fields = Fields(value, where)
        entry = cls(fields.text("sha256", 64), fields.integer("bytes", 0, 1 << 40))
        fields.done()
        if not _SHA256.fullmatch(entry.sha256):
            raise BundleError(f"{where}.sha256 is not 64 lower-case hex digits: export the bundle again")
        return entry
