"""Smaller arithmetic for a step graph: int8 with and without calibration, or small weights alone.

Only products with a constant operand (weights) are quantised. What attention multiplies, and the
state, stays float32: it is little work on the CPU and all of the precision.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from bailando.engine.backends import Arrays
from bailando.export.storage import copy_model

_PRODUCTS = ("MatMul", "Gemm", "Conv")
_BLOCK_SIZE = 32
# int8 accumulation in the MatMulNBits kernels: the reason why they are fast on the CPU.
_ACCURACY_LEVEL_INT8 = 4


def dynamic_int8(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return the model with int8 MatMul and Gemm weights, activations scaled at run time.

    None if it has none of them: convolutions gain nothing from run-time scales on the CPU.
    """
    nodes = _weighted_nodes(model, ("MatMul", "Gemm"))
    if not nodes:
        return None
    with _scratch(model) as (source, target):
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            # Seven bits: without VNNI, eight saturate the 16-bit sums of older processors.
            reduce_range=True,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=nodes,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(target)


def static_int8(model: onnx.ModelProto, calibration: Sequence[Arrays]) -> onnx.ModelProto | None:
    """Return the model with QDQ pairs around its weighted products, ranges from `calibration`.

    Parameters
    ----------
    model : onnx.ModelProto
        A float32 graph.
    calibration : sequence of dict
        Inputs and state of steps of real dancing, by name.

    Returns
    -------
    onnx.ModelProto or None
        None if the model has nothing to quantise.
    """
    nodes = _weighted_nodes(model, _PRODUCTS)
    if not nodes:
        return None
    with _scratch(model) as (source, target):
        quantize_static(
            source,
            target,
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_PRODUCTS),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=nodes,
        )
        return onnx.load(target)


def weight_only(model: onnx.ModelProto, bits: int) -> onnx.ModelProto | None:
    """Return the model with MatMul weights of `bits` bits in blocks of 32, or None if it has none.

    The result uses ``com.microsoft::MatMulNBits``: it runs in ONNX Runtime and nowhere else.
    """
    nodes = _weighted_nodes(model, ("MatMul",))
    if not nodes:
        return None
    with _quiet():
        # Imported here because importing it configures the root logger, which `_quiet` undoes.
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        quantizer = MatMulNBitsQuantizer(
            _copy(model),
            bits=bits,
            block_size=_BLOCK_SIZE,
            is_symmetric=True,
            accuracy_level=_ACCURACY_LEVEL_INT8,
            nodes_to_include=nodes,
        )
        quantizer.process()
    result: onnx.ModelProto = quantizer.model.model
    return result


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the recorded steps to the calibrator one by one."""

    def __init__(self, steps: Sequence[Arrays]) -> None:
        self._steps: Iterator[Arrays] = iter(steps)

    def get_next(self) -> Arrays | None:
        return next(self._steps, None)


def _weighted_nodes(model: onnx.ModelProto, op_types: tuple[str, ...]) -> list[str]:
    """Names of the nodes of these types whose second operand is an initialiser."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in op_types and len(node.input) > 1 and node.input[1] in constants
    ]


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without inferred shapes: the quantisers transpose weights and leave the old ones."""
    copied = copy_model(model)
    del copied.graph.value_info[:]
    return copied


@contextmanager
def _scratch(model: onnx.ModelProto) -> Iterator[tuple[Path, Path]]:
    """Files for the quantiser to read and write: it works on paths."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source = Path(folder) / "float32.onnx"
        onnx.save(_copy(model), source)
        yield source, Path(folder) / "quantised.onnx"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice from the user and its logging set-up from the program."""
    root = logging.getLogger()
    level, handlers, disabled = root.level, list(root.handlers), logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)
