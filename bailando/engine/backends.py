"""The seam between the dance and whatever runs its graphs.

A backend is immutable after loading and may be shared by sessions; the recurrent state is made by the
backend (it may live on a device) but belongs to one session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bailando.engine.bundle import Bundle
from bailando.engine.specs import REQUIRED_GRAPHS
from bailando.errors import ConfigError

Arrays = dict[str, NDArray[Any]]

BACKEND_NAMES = ("auto", "cpu", "cuda", "tensorrt", "tensorrt-rtx", "tensorrt-native")
"""``tensorrt-native`` runs the bundle's own engines, the others are providers of ONNX Runtime."""


class Backend(Protocol):
    """Runs the step graphs of one bundle."""

    @property
    def name(self) -> str:
        """Where the graphs run: one of `BACKEND_NAMES` but ``auto``, or ``torch``."""

    @property
    def reason(self) -> str:
        """One line saying why this place was chosen."""

    def initial_state(self, graph: str) -> Any:
        """Return a state of zeros for one session."""

    def step(self, graph: str, inputs: Mapping[str, NDArray[Any]], state: Any) -> tuple[Arrays, Any]:
        """Run ``graph`` once and return ``(outputs, next_state)``.

        Both states share two sets of buffers, so only one of them may be used from here on: the
        returned one to go on, or the passed one to take the step back. The outputs are fresh arrays.
        """

    def step_many(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], states: Sequence[Any]
    ) -> tuple[Arrays, list[Any]]:
        """Run ``graph`` for N sessions at once: inputs and outputs (N, ...), a state for each.

        Each session gets what `step` would give it, and may go on from its old or its new state whatever
        the others do; `step_each` is the answer of a backend that takes one at a time.
        """

    def read_state(self, graph: str, state: Any) -> Arrays:
        """Copy a state to host arrays, by name of the state input."""

    def write_state(self, graph: str, arrays: Mapping[str, NDArray[Any]]) -> Any:
        """Make a state from host arrays, copying them."""


def step_each(
    backend: Backend, graph: str, inputs: Mapping[str, NDArray[Any]], states: Sequence[Any]
) -> tuple[Arrays, list[Any]]:
    """Do what `Backend.step_many` does by one step after another."""
    outputs, after = [], []
    for row, state in enumerate(states):
        given = {name: values[row : row + 1] for name, values in inputs.items()}
        output, next_state = backend.step(graph, given, state)
        outputs.append(output)
        after.append(next_state)
    return {name: np.concatenate([row[name] for row in outputs]) for name in outputs[0]}, after


def load_backend(
    bundle: Bundle,
    name: str = "auto",
    threads: int = 1,
    graphs: tuple[str, ...] = REQUIRED_GRAPHS,
    dancers: int = 1,
    delay_ms: float = 60.0,
) -> Backend:
    """Load the step graphs of a bundle where ``name`` says.

    Parameters
    ----------
    bundle : Bundle
        Checked bundle with the graphs ``gpt_step`` and ``decoder_step``.
    name : {"auto", "cpu", "cuda", "tensorrt", "tensorrt-rtx", "tensorrt-native"}
        ``auto``: see `bailando.engine.backend_choice`.
    threads : int
        Threads inside one operator on the CPU, 1 to 64.
    graphs : tuple of str
        Which graphs; by default those that the engine dances with.
    dancers : int
        How many step together, for the choice of ``auto``.
    delay_ms : float
        How much later than its sound motion is to be, for the choice of ``auto``.

    Raises
    ------
    ConfigError
        If ``name`` is unknown, or that provider, its driver or its GPU is missing.
    BundleError
        If a graph does not load or does not have the tensors its manifest declares, or there is no
        engine for this GPU.
    """
    if name not in BACKEND_NAMES:
        raise ConfigError(f"unknown backend {name!r}; choose one of {', '.join(BACKEND_NAMES)}")
    if not 1 <= threads <= 64:
        raise ConfigError(f"backend threads is {threads}; give a number from 1 to 64")
    if name == "auto":
        from bailando.engine.backend_choice import Load, choose_backend

        return choose_backend(Load(bundle, graphs, dancers, delay_ms), threads)
    if name == "tensorrt-native":
        from bailando.engine.backend_tensorrt import TensorRTBackend

        return TensorRTBackend(bundle, graphs)
    from bailando.engine.backend_ort import OrtBackend

    return OrtBackend(bundle, name, threads, graphs)
