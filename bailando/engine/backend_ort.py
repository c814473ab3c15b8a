"""ONNX Runtime behind the `Backend` seam, with preallocated ping-pong state buffers.

Settings follow measurement (``benchmarks/ort_settings.py``): the graphs are small, so one thread
without spinning costs the least processor time and the tail of the latency stays flat; state is bound
by IO binding, once for each set of buffers, so that a step neither allocates nor copies a cache in Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bailando.engine.backend_plugin import PLUGIN_BACKEND, plugin_device, provider_name
from bailando.engine.backends import Arrays, step_each
from bailando.engine.bundle import Bundle
from bailando.engine.huge_pages import in_huge_pages
from bailando.engine.ort_state import HOST, Buffers, OrtState, Place, side_by_side
from bailando.engine.specs import REQUIRED_GRAPHS, GraphSpec, TensorSpec
from bailando.errors import BundleError, ConfigError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
# Their scales are of all rows of a product: in one run dancers would change each other's numbers.
_SHARED_SCALES = ("int8-dynamic",)
_ORT_TYPES = {
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "int64": "tensor(int64)",
    "int32": "tensor(int32)",
    "int8": "tensor(int8)",
    "uint8": "tensor(uint8)",
    "bool": "tensor(bool)",
}


def choose_provider(name: str, available: list[str]) -> tuple[str, str]:
    """Return ``(backend name, reason)`` for a requested backend.

    Raises
    ------
    ConfigError
        If the requested provider is not part of the installed ONNX Runtime.
    """
    if name == PLUGIN_BACKEND:
        return name, f"asked for {name}"
    if PROVIDERS[name] not in available:
        raise ConfigError(
            f"backend {name!r} needs ONNX Runtime's {PROVIDERS[name]}, which is not installed; "
            "pip install onnxruntime-gpu, or use --backend cpu"
        )
    return name, f"asked for {name}"


class OrtBackend:
    """Runs step graphs with ONNX Runtime; see `bailando.engine.backends.Backend`.

    Attributes
    ----------
    reason : str
        Why the graphs run there; whoever chose may say it better.
    """

    def __init__(
        self,
        bundle: Bundle,
        name: str = "cpu",
        threads: int = 1,
        graphs: tuple[str, ...] = REQUIRED_GRAPHS,
    ) -> None:
        self._name, self.reason = choose_provider(name, ort.get_available_providers())
        self._specs = {graph: bundle.manifest.graphs[graph] for graph in graphs}
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._places: dict[str, Place] = {}
        for graph, spec in self._specs.items():
            session = _open_session(graph, bundle.graph_bytes(graph), self._name, threads)
            _check_tensors(graph, session, spec)
            self._sessions[graph] = session
            self._places[graph] = _state_place(self._name, session, spec)
        if self._name == PLUGIN_BACKEND and any(place.is_host for place in self._places.values()):
            self.reason += ", which keeps the state in host memory"

    @property
    def name(self) -> str:
        """Where the graphs run."""
        return self._name

    def initial_state(self, graph: str) -> OrtState:
        """Return a state of zeros for one session."""
        return self.write_state(
            graph, {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self._specs[graph].state}
        )

    def step(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], state: OrtState
    ) -> tuple[Arrays, OrtState]:
        """Run one step; the passed state's buffers become the spare ones of the returned state."""
        outputs, states = self._run(graph, inputs, (state,))
        return outputs, states[0]

    def step_many(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], states: Sequence[OrtState]
    ) -> tuple[Arrays, list[OrtState]]:
        """Run one step of several sessions: one run of a graph with a free batch, else one after another."""
        spec = self._specs[graph]
        if spec.free_batch and spec.precision not in _SHARED_SCALES:
            return self._run(graph, inputs, states)
        return step_each(self, graph, inputs, states)

    def _run(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], states: Sequence[OrtState]
    ) -> tuple[Arrays, list[OrtState]]:
        """Run a graph on states that lie, or are put, side by side."""
        spec, session = self._specs[graph], self._sessions[graph]
        buffers, side = side_by_side(states)
        if side not in buffers.bound:
            buffers.bound[side] = session, _bind(session, spec, buffers, side)
        _, binding = buffers.bound[side]
        for tensor in spec.inputs:
            shape = tensor.shape_of(len(states))
            value = np.ascontiguousarray(inputs[tensor.name], dtype=tensor.dtype).reshape(shape)
            binding.bind_cpu_input(tensor.name, value)
        session.run_with_iobinding(binding)
        values = binding.get_outputs()[: len(spec.outputs)]
        outputs = {
            tensor.name: np.array(value.numpy()) for tensor, value in zip(spec.outputs, values, strict=True)
        }
        return outputs, [OrtState(buffers, 1 - side, row) for row in range(len(states))]

    def read_state(self, graph: str, state: OrtState) -> Arrays:
        """Copy a state to host arrays."""
        return state.read()

    def write_state(self, graph: str, arrays: Mapping[str, NDArray[Any]]) -> OrtState:
        """Make a state from host arrays, copying them."""
        return OrtState(Buffers(self._specs[graph].state, arrays, self._places[graph]))


def _bind(session: ort.InferenceSession, spec: GraphSpec, buffers: Buffers, side: int) -> ort.IOBinding:
    """Bind a graph to buffers once; making a binding costs a twentieth of a step."""
    binding = session.io_binding()
    for tensor in spec.outputs:
        binding.bind_output(tensor.name, "cpu")
    for tensor in spec.state:
        binding.bind_ortvalue_input(tensor.name, buffers.sides[side][tensor.name])
        binding.bind_ortvalue_output(f"next_{tensor.name}", buffers.sides[1 - side][tensor.name])
    return binding


def _providers(name: str) -> list[str]:
    """Return the provider list, the CPU last for operators the others lack."""
    return list(dict.fromkeys([PROVIDERS[name], PROVIDERS["cpu"]]))


def _open_session(graph: str, data: bytes, backend: str, threads: int) -> ort.InferenceSession:
    """Create the ONNX Runtime session of one graph, with settings for small steps."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if backend == PLUGIN_BACKEND:
        options.add_provider_for_devices([plugin_device()], {})
        providers, expected = None, provider_name()  # its device is part of the options
    else:
        providers, expected = _providers(backend), PROVIDERS[backend]
    try:
        with in_huge_pages():
            session = ort.InferenceSession(data, options, providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes for a bad model
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        if backend == "cpu":
            raise BundleError(
                f"graph {graph!r} does not load: {first_line[:200]}; export the bundle again"
            ) from error
        raise ConfigError(  # after the path of its source ONNX Runtime says the reason last
            f"{expected} does not take graph {graph!r}: {first_line[-200:]}; check the driver, or use "
            "--backend cpu"
        ) from error
    if expected not in session.get_providers():
        # Where a library is missing ONNX Runtime goes on with the CPU and says so only in its log.
        raise ConfigError(
            f"{expected} does not load on this machine; check that CUDA and cuDNN are those that "
            "onnxruntime-gpu needs, or use --backend cpu"
        )
    return session


def _state_place(backend: str, session: ort.InferenceSession, spec: GraphSpec) -> Place:
    """Return where a graph wants its state."""
    if backend != PLUGIN_BACKEND:
        return HOST if backend == "cpu" else Place("cuda")
    inputs = zip(session.get_inputs(), session.get_input_memory_infos(), strict=True)
    state = {tensor.name for tensor in spec.state}
    places = {
        HOST if info.name == "Cpu" else Place("gpu", info.device_id, info.device_vendor_id)
        for tensor, info in inputs
        if tensor.name in state
    }
    # A graph of which some part runs on the CPU may want some of it there.
    place = next((place for place in places if not place.is_host), HOST)
    try:
        place.put(np.zeros(1, np.float32))
    except Exception:  # ONNX Runtime's own classes: a plugin need not let others allocate its memory
        return HOST
    return place


def _check_tensors(graph: str, session: ort.InferenceSession, spec: GraphSpec) -> None:
    """Raise BundleError unless the graph has exactly the tensors its manifest declares."""
    after = tuple(replace(state, name=f"next_{state.name}") for state in spec.state)
    _compare(graph, "input", session.get_inputs(), spec.inputs + spec.state)
    _compare(graph, "output", session.get_outputs(), spec.outputs + after)


def _compare(graph: str, kind: str, actual: list[Any], declared: tuple[TensorSpec, ...]) -> None:
    """Compare the tensors of one side of a graph with their declaration."""
    found = {tensor.name: (str(tensor.type), tuple(tensor.shape)) for tensor in actual}
    expected = {spec.name: (_ORT_TYPES[spec.dtype], spec.declared_shape) for spec in declared}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise BundleError(
                f"graph {graph}: {kind} {name} is {found.get(name, 'absent')} in the graph but "
                f"{expected.get(name, 'absent')} in the manifest; export the bundle again"
            )
