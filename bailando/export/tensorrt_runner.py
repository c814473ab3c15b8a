"""Running a TensorRT engine: for validation behind the runners' methods, and timed on the device.

Tensors live in torch storage, whose addresses the engine is given; torch and TensorRT share a stream.
"""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import numpy as np
import torch

from bailando.engine.backends import Arrays
from bailando.engine.specs import GraphSpec, TensorSpec
from bailando.errors import ExportError

_TORCH_DTYPES = {"float32": torch.float32, "float16": torch.float16, "int64": torch.int64}
_WARM_UP_STEPS = 3


class TensorRTRunner:
    """Runs one engine step by step; arrays in, arrays out, state explicit.

    Parameters
    ----------
    library : module
        ``tensorrt_rtx`` or ``tensorrt``, whichever built the engine.
    data : bytes
        The serialised engine.
    spec : GraphSpec
        Names, types and shapes of the graph it was built from.
    device : str
        Where its tensors lie.

    Raises
    ------
    ExportError
        If the library refuses the engine on this machine.
    """

    def __init__(self, library: ModuleType, data: bytes, spec: GraphSpec, device: str = "cuda") -> None:
        self._device = torch.device(device)
        self._spec = spec
        # Engine and context use the runtime, so it must live as long.
        self._runtime = library.Runtime(library.Logger(library.Logger.ERROR))
        engine = self._runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise ExportError(
                f"{library.__name__} refuses the engine {spec.file} on this machine: build it for this GPU's "
                "compute capability with --compute-capability"
            )
        self._engine = engine
        self._context: Any = engine.create_execution_context()
        self._inputs = self._allocate(spec.inputs)
        self._outputs = self._allocate(spec.outputs)
        self._states = self._allocate(spec.state), self._allocate(spec.state)
        for name, tensor in (self._inputs | self._outputs).items():
            self._context.set_tensor_address(name, tensor.data_ptr())

    def _allocate(self, specs: tuple[TensorSpec, ...]) -> dict[str, torch.Tensor]:
        return {
            s.name: torch.zeros(s.shape, dtype=_TORCH_DTYPES[s.dtype], device=self._device) for s in specs
        }

    def initial_state(self) -> Arrays:
        """Return zeros."""
        return {s.name: np.zeros(s.shape, s.dtype) for s in self._spec.state}

    def step(self, inputs: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
        """Return the outputs and the next state, by name."""
        for tensors, arrays in ((self._inputs, inputs), (self._states[0], state)):
            for name, tensor in tensors.items():
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))
        self._execute(0)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        outputs = {name: tensor.cpu().numpy().copy() for name, tensor in self._outputs.items()}
        return outputs, {name: tensor.cpu().numpy().copy() for name, tensor in self._states[1].items()}

    def _execute(self, front: int) -> None:
        """Enqueue one step that reads state buffers `front` and writes the others."""
        for name, tensor in self._states[front].items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        for name, tensor in self._states[1 - front].items():
            self._context.set_tensor_address(f"next_{name}", tensor.data_ptr())
        on_gpu = self._device.type == "cuda"
        stream = torch.cuda.current_stream(self._device).cuda_stream if on_gpu else 0
        if not self._context.execute_async_v3(stream):
            raise ExportError(
                f"the engine {self._spec.file} failed to run: check the GPU's memory and driver"
            )

    def time_step_ms(self, steps: int = 200) -> float:
        """Return the median time of a step whose state never leaves the device, as CUDA graphs.

        Two graphs are captured, one for each direction of the state buffers, and replayed in turn.
        """
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            for index in range(_WARM_UP_STEPS):
                self._execute(index % 2)
            stream.synchronize()
            graphs = [torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()]
            for front, graph in enumerate(graphs):
                with torch.cuda.graph(graph, stream=stream):
                    self._execute(front)
            times_ns = []
            for index in range(steps):
                start_ns = time.perf_counter_ns()
                graphs[index % 2].replay()
                stream.synchronize()
                times_ns.append(time.perf_counter_ns() - start_ns)
        return float(np.median(times_ns)) / 1e6
