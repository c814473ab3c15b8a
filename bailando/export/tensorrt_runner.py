"""A TensorRT engine behind the runners' methods, run as the live engine runs it, and timed."""

from __future__ import annotations

import time
from types import ModuleType

import numpy as np

from bailando.engine.backend_tensorrt import TensorRTGraph
from bailando.engine.backends import Arrays
from bailando.engine.cuda_driver import CudaDriver
from bailando.engine.specs import GraphSpec

_WARM_UP_STEPS = 10


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
    driver : CudaDriver
        Of the GPU that runs it.

    Raises
    ------
    BundleError
        If the library refuses the engine on this machine.
    """

    def __init__(self, library: ModuleType, data: bytes, spec: GraphSpec, driver: CudaDriver) -> None:
        self._spec = spec
        self._graph = TensorRTGraph(library, data, spec, driver)

    def initial_state(self) -> Arrays:
        """Return zeros."""
        return {s.name: np.zeros(s.shape, s.dtype) for s in self._spec.state}

    def step(self, inputs: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
        """Return the outputs and the next state, by name."""
        outputs, after = self._graph.step(inputs, self._graph.write(state))
        return outputs, self._graph.read(after)

    def time_step_ms(self, steps: int = 200) -> float:
        """Return the median time of a step as the live engine takes it, ms: the state stays on the device."""
        inputs = {s.name: np.zeros(s.shape, s.dtype) for s in self._spec.inputs}
        state = self._graph.new_state()
        times_ns = []
        for _ in range(_WARM_UP_STEPS + steps):
            start_ns = time.perf_counter_ns()
            _, state = self._graph.step(inputs, state)
            times_ns.append(time.perf_counter_ns() - start_ns)
        return float(np.median(times_ns[_WARM_UP_STEPS:])) / 1e6
