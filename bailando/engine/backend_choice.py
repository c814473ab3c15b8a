"""``--backend auto``: where a bundle's graphs run best on this machine, tried before it is believed.

A bundle's own TensorRT engines come first where a GPU fits them. Else the CPU is measured: only a model
that is too large for it goes to CUDA, because a small one is launch-bound there and leaves the GPU to the
renderer. What fails to load or to run a few steps is left out with a warning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import onnxruntime

from bailando.engine.backend_ort import PROVIDERS, OrtBackend
from bailando.engine.backend_tensorrt import NATIVE_BACKEND, TensorRTBackend, fitting_engines
from bailando.engine.backends import Backend
from bailando.engine.bundle import Bundle
from bailando.engine.cuda_driver import CudaDriver, CudaError
from bailando.engine.scheduling import raised_priority
from bailando.errors import BundleError

ChosenBackend = TypeVar("ChosenBackend", bound=Backend)

_OVERHEAD_MS = 40.0
"""Of the delay, sound blocks (10 ms), the resampler (21 ms), the features (2 ms) and the hand-over of frames
(6 ms) take this; the graphs of one token may take the rest."""
_LEAST_LIMIT_MS, _LARGEST_LIMIT_MS = 5.0, 66.0
"""However short the delay, and however long: half of the 133 ms between two tokens."""
_WARM_UP_STEPS = 8

_LOG = logging.getLogger(__name__)


class WarmUp(NamedTuple):
    """Median time of a token, ms, and whether all outputs were finite."""

    token_ms: float
    finite: bool


@dataclass(frozen=True)
class Load:
    """What a backend is to run: graphs of a bundle, for so many dancers who step together, at that delay."""

    bundle: Bundle
    graphs: tuple[str, ...]
    dancers: int = 1
    delay_ms: float = 60.0

    @property
    def limit_ms(self) -> float:
        """What the graphs of one token may take."""
        return min(max(self.delay_ms - _OVERHEAD_MS, _LEAST_LIMIT_MS), _LARGEST_LIMIT_MS)


def warm_up(backend: Backend, load: Load) -> WarmUp:
    """Run a few steps of zeros, at the priority of a live run; the first half does not count for the time.

    Raises
    ------
    Exception
        Whatever the backend raises.
    """
    specs = {graph: load.bundle.manifest.graphs[graph] for graph in load.graphs}
    states = {graph: [backend.initial_state(graph) for _ in range(load.dancers)] for graph in load.graphs}
    times_ms, finite = [], True
    with raised_priority():
        for _ in range(_WARM_UP_STEPS):
            started_ns = time.perf_counter_ns()
            for graph, spec in specs.items():
                inputs = {t.name: np.zeros((load.dancers, *t.shape[1:]), t.dtype) for t in spec.inputs}
                outputs, states[graph] = backend.step_many(graph, inputs, states[graph])
                finite &= all(bool(np.isfinite(value).all()) for value in outputs.values())
            times_ms.append((time.perf_counter_ns() - started_ns) / 1e6)
    return WarmUp(float(np.median(times_ms[_WARM_UP_STEPS // 2 :])), finite)


def choose_backend(load: Load, threads: int) -> Backend:
    """Return the best backend that runs; its `reason` says why, and warnings what was left out.

    Raises
    ------
    BailandoError
        If not even the CPU runs the bundle.
    """
    native, why_not_native = _native(load)
    if native is not None:
        return native
    cpu = OrtBackend(load.bundle, "cpu", threads, load.graphs)
    cpu_ms = warm_up(cpu, load).token_ms
    measured = f"auto: the CPU takes {cpu_ms:.1f} of the {load.limit_ms:g} ms a token that it may"
    cpu.reason = f"{measured}; {why_not_native}"
    if cpu_ms <= load.limit_ms:
        return cpu
    if not cuda_is_installed():
        cpu.reason += "; this ONNX Runtime has no CUDA"
        return cpu
    cuda = _tried("cuda", lambda: OrtBackend(load.bundle, "cuda", threads, load.graphs), load)
    if cuda is None:
        cpu.reason += "; CUDA failed"
        return cpu
    cuda.reason = f"{measured}, so CUDA takes over; {why_not_native}"
    return cuda


def cuda_is_installed() -> bool:
    """Tell whether this ONNX Runtime has a CUDA provider; whether it loads is another question."""
    return PROVIDERS["cuda"] in onnxruntime.get_available_providers()


def _native(load: Load) -> tuple[Backend | None, str]:
    """Return the backend of the bundle's own engines, or None and why not."""
    bundle, graphs = load.bundle, load.graphs
    if not bundle.manifest.engines:
        return None, "the bundle has no TensorRT engines"
    try:
        driver = CudaDriver()
    except CudaError as error:
        return None, f"its TensorRT engines are not used: {str(error).split(';')[0]}"
    capability = driver.gpu.compute_capability
    try:
        fitting_engines(bundle, graphs, capability)
    except BundleError:
        return None, f"none of its TensorRT engines is for this GPU's compute capability {capability}"
    reason = "auto: the bundle has engines for this GPU,"
    made = _tried(NATIVE_BACKEND, lambda: TensorRTBackend(bundle, graphs, driver, reason), load)
    return made, f"{NATIVE_BACKEND} failed"


def _tried(name: str, open_backend: Callable[[], ChosenBackend], load: Load) -> ChosenBackend | None:
    """Load a backend and run a few steps on it; None, and a warning, if it fails."""
    try:
        backend = open_backend()
        if not warm_up(backend, load).finite:
            raise BundleError("its graphs give NaN or infinite numbers")
    except Exception as error:  # providers raise a dozen unrelated classes
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        _LOG.warning("warning: backend %s is left out: %s", name, reason)
        return None
    return backend
