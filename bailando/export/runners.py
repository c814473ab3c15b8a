"""One step of a graph, by torch or by ONNX Runtime, behind the same two methods."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import onnxruntime
import torch

from bailando.engine.backends import Arrays
from bailando.errors import ExportError
from bailando.export.graphs import StepGraph


class StepRunner(Protocol):
    """Runs one graph step by step; arrays in, arrays out, state explicit."""

    def initial_state(self) -> Arrays:
        """Return zeros."""

    def step(self, inputs: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
        """Return the outputs and the next state, by name."""


class TorchRunner:
    """Runs the torch module itself: the reference."""

    def __init__(self, graph: StepGraph) -> None:
        self._graph = graph

    def initial_state(self) -> Arrays:
        """Return zeros."""
        return {name: value.numpy().copy() for name, value in self._graph.state.items()}

    def step(self, inputs: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
        """Return the outputs and the next state, by name."""
        outputs, after = self._graph.call(_tensors(inputs), _tensors(state))
        return {n: v.numpy() for n, v in outputs.items()}, {n: v.numpy() for n, v in after.items()}


class OnnxRunner:
    """Runs ONNX bytes in ONNX Runtime on the CPU.

    Parameters
    ----------
    model : bytes
        A serialised model.
    threads : int
        Threads within an operator; one keeps timings comparable.
    batch : int
        Dancers of the initial state, where the graph leaves that free.
    """

    def __init__(self, model: bytes, threads: int = 1, batch: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise ExportError(
                f"ONNX Runtime {onnxruntime.__version__} refuses the graph: {reason}"
            ) from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._state = {
            value.name: np.zeros(
                [batch if isinstance(size, str) else size for size in value.shape], _NUMPY_DTYPES[value.type]
            )
            for value in self._session.get_inputs()
            if f"next_{value.name}" in self._outputs
        }

    def initial_state(self) -> Arrays:
        """Return zeros."""
        return {name: value.copy() for name, value in self._state.items()}

    def step(self, inputs: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
        """Return the outputs and the next state, by name."""
        results = dict(zip(self._outputs, self._session.run(None, inputs | state), strict=True))
        after = {name: results.pop(f"next_{name}") for name in self._state}
        return results, after


_NUMPY_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}
