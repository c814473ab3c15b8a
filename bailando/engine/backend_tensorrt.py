"""TensorRT engines of a bundle, run as they are: state stays on the GPU, only codes, music and poses move.

One class for TensorRT for RTX and the enterprise TensorRT; which of them, each engine's entry in the manifest
says. The GPU is reached through the driver alone (`bailando.engine.cuda_driver`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.backends import Arrays, step_each
from bailando.engine.bundle import Bundle
from bailando.engine.cuda_driver import CudaDriver, CudaError, DeviceBuffer
from bailando.engine.specs import REQUIRED_GRAPHS, EngineSpec, GraphSpec, TensorSpec
from bailando.engine.tensorrt_library import installed_library, make_log
from bailando.errors import BundleError, ConfigError

NATIVE_BACKEND = "tensorrt-native"
DeviceState = dict[str, DeviceBuffer]


@dataclass(frozen=True)
class NativeState:
    """Recurrent state on the GPU: ``front`` is current, ``back`` receives the next step."""

    front: DeviceState
    back: DeviceState


class TensorRTGraph:
    """One engine with its buffers; steps are carried out one after another.

    Parameters
    ----------
    library : module
        ``tensorrt_rtx`` or ``tensorrt``, whichever built the engine.
    data : bytes
        The serialised engine.
    spec : GraphSpec
        Names, types and shapes of the graph it was built from.
    driver : CudaDriver

    Raises
    ------
    BundleError
        If the library refuses the engine on this machine.
    """

    def __init__(self, library: ModuleType, data: bytes, spec: GraphSpec, driver: CudaDriver) -> None:
        self._spec = spec
        self._driver = driver
        driver.make_current()
        log = make_log(library)
        # Engine and context use the runtime, so it must live as long.
        self._runtime = library.Runtime(log)
        self._engine = self._runtime.deserialize_cuda_engine(data)
        self._context: Any = self._engine and self._engine.create_execution_context()
        if self._context is None:
            raise BundleError(
                f"{library.__name__} {library.__version__} refuses the engine of {spec.file} on this machine "
                f"({log.first or 'no reason given'}); build it again with --compute-capability "
                f"{driver.gpu.compute_capability}, or use --backend cpu"
            )
        self._stream = driver.new_stream()
        self._lock = threading.Lock()
        for tensor in (*spec.inputs, *spec.state):
            if not self._context.set_input_shape(tensor.name, tensor.shape):
                raise BundleError(
                    f"the engine of {spec.file} takes another {tensor.name} than {tensor.shape}; "
                    "export the bundle again"
                )
        self._inputs = self._buffers(spec.inputs)
        self._outputs = self._buffers(spec.outputs)
        for name, buffer in (self._inputs | self._outputs).items():
            self._context.set_tensor_address(name, buffer.address)

    def new_state(self) -> NativeState:
        """Return a state of zeros."""
        return NativeState(self._buffers(self._spec.state), self._buffers(self._spec.state))

    def step(self, inputs: Mapping[str, NDArray[Any]], state: NativeState) -> tuple[Arrays, NativeState]:
        """Run one step; the state moves between its two sets of buffers."""
        driver, stream = self._driver, self._stream
        with self._lock:
            driver.make_current()
            given = [_contiguous(inputs[tensor.name], tensor) for tensor in self._spec.inputs]
            for tensor, array in zip(self._spec.inputs, given, strict=True):
                driver.upload(self._inputs[tensor.name].address, array, stream)
            for tensor in self._spec.state:
                self._context.set_tensor_address(tensor.name, state.front[tensor.name].address)
                self._context.set_tensor_address(f"next_{tensor.name}", state.back[tensor.name].address)
            if not self._context.execute_async_v3(stream):
                raise CudaError(
                    f"the engine of {self._spec.file} failed to run; check the GPU's memory and driver"
                )
            outputs = self._read(self._spec.outputs, self._outputs)
        return outputs, NativeState(front=state.back, back=state.front)

    def read(self, state: NativeState) -> Arrays:
        """Copy a state to host arrays."""
        with self._lock:
            self._driver.make_current()
            return self._read(self._spec.state, state.front)

    def write(self, arrays: Mapping[str, NDArray[Any]]) -> NativeState:
        """Make a state from host arrays, copying them."""
        state = self.new_state()
        with self._lock:
            for tensor in self._spec.state:
                array = _contiguous(arrays[tensor.name], tensor)
                self._driver.upload(state.front[tensor.name].address, array, self._stream)
                self._driver.synchronise(self._stream)  # before the array may change
        return state

    def _buffers(self, tensors: tuple[TensorSpec, ...]) -> DeviceState:
        return {tensor.name: DeviceBuffer(self._driver, _bytes(tensor)) for tensor in tensors}

    def _read(self, tensors: tuple[TensorSpec, ...], buffers: DeviceState) -> Arrays:
        """Copy buffers to fresh host arrays and wait for it."""
        arrays = {tensor.name: np.empty(tensor.shape, tensor.dtype) for tensor in tensors}
        for name, array in arrays.items():
            self._driver.download(array, buffers[name].address, self._stream)
        self._driver.synchronise(self._stream)
        return arrays


class TensorRTBackend:
    """Runs a bundle's engines; see `bailando.engine.backends.Backend`.

    Parameters
    ----------
    bundle : Bundle
        With an engine of each graph for this GPU.
    graphs : tuple of str
        Which graphs.
    driver : CudaDriver, optional
        None opens the first GPU's.

    Raises
    ------
    BundleError
        If the bundle has no engine for this GPU, or one is refused.
    ConfigError
        If there is no GPU, or TensorRT is not installed.
    """

    name = NATIVE_BACKEND

    def __init__(
        self,
        bundle: Bundle,
        graphs: tuple[str, ...] = REQUIRED_GRAPHS,
        driver: CudaDriver | None = None,
        reason: str | None = None,
    ) -> None:
        driver = driver or CudaDriver()
        engines = fitting_engines(bundle, graphs, driver.gpu.compute_capability)
        self._graphs = {
            graph: TensorRTGraph(
                _library_of(engine), bundle.file_bytes(engine.file), bundle.manifest.graphs[graph], driver
            )
            for graph, engine in engines.items()
        }
        where = f"on {driver.gpu.name}; its state stays there"
        self.reason = f"asked for {NATIVE_BACKEND}, {where}" if reason is None else f"{reason} {where}"

    def initial_state(self, graph: str) -> NativeState:
        """Return a state of zeros for one session."""
        return self._graphs[graph].new_state()

    def step(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], state: NativeState
    ) -> tuple[Arrays, NativeState]:
        """Run one step; see `Backend.step`."""
        return self._graphs[graph].step(inputs, state)

    def step_many(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], states: Sequence[NativeState]
    ) -> tuple[Arrays, list[NativeState]]:
        """Run one step of several sessions, one after another: an engine is built for one dancer."""
        return step_each(self, graph, inputs, states)

    def read_state(self, graph: str, state: NativeState) -> Arrays:
        """Copy a state to host arrays."""
        return self._graphs[graph].read(state)

    def write_state(self, graph: str, arrays: Mapping[str, NDArray[Any]]) -> NativeState:
        """Make a state from host arrays, copying them."""
        return self._graphs[graph].write(arrays)


def fitting_engines(bundle: Bundle, graphs: tuple[str, ...], capability: str) -> dict[str, EngineSpec]:
    """Return the bundle's engine of each graph for GPUs of this compute capability.

    An engine that names no capability was built for the GPU at hand, and may or may not be for this one.

    Raises
    ------
    BundleError
        If one is missing.
    """
    found: dict[str, EngineSpec] = {}
    for engine in bundle.manifest.engines:
        if not engine.compute_capabilities or capability in engine.compute_capabilities:
            found.setdefault(engine.graph, engine)
    if missing := [graph for graph in graphs if graph not in found]:
        has = {c for engine in bundle.manifest.engines for c in engine.compute_capabilities}
        holds = f"it has engines for {', '.join(sorted(has))}" if has else "it has none"
        raise BundleError(
            f"bundle {bundle.manifest.name!r} has no engine of {', '.join(missing)} for compute capability "
            f"{capability} ({holds}); export it with --compute-capability {capability}, or use --backend cpu"
        )
    return {graph: found[graph] for graph in graphs}


def _library_of(engine: EngineSpec) -> ModuleType:
    """Import what built an engine."""
    library = installed_library((engine.library,))
    if library is None:
        wanted = "'bailando[tensorrt]'" if engine.library == "tensorrt_rtx" else engine.library
        raise ConfigError(
            f"the engine {engine.file} needs {engine.library} {engine.library_version}, which is not "
            f"installed; pip install {wanted}, or use --backend cpu"
        )
    return library


def _contiguous(array: NDArray[Any], tensor: TensorSpec) -> NDArray[Any]:
    """Return an array as the engine takes it."""
    return np.ascontiguousarray(array, dtype=tensor.dtype).reshape(tensor.shape)


def _bytes(tensor: TensorSpec) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize
