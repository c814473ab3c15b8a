"""A backend that notes how long each network took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any

from numpy.typing import NDArray

from bailando.engine.backends import Arrays, Backend


class TimedBackend:
    """Forwards all to another backend and times its steps.

    Attributes
    ----------
    spent_ns : dict of str to int
        How long the last step of each graph took.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.spent_ns = {"gpt_step": 0, "decoder_step": 0}

    @property
    def name(self) -> str:
        """Where the graphs run."""
        return self._backend.name

    @property
    def reason(self) -> str:
        """Why they run there."""
        return self._backend.reason

    def initial_state(self, graph: str) -> Any:
        """Return a state of zeros for one session."""
        return self._backend.initial_state(graph)

    def step(self, graph: str, inputs: Mapping[str, NDArray[Any]], state: Any) -> tuple[Arrays, Any]:
        """Run and time a step."""
        started_ns = perf_counter_ns()
        result = self._backend.step(graph, inputs, state)
        self.spent_ns[graph] = perf_counter_ns() - started_ns
        return result

    def step_many(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], states: Sequence[Any]
    ) -> tuple[Arrays, list[Any]]:
        """Run and time a step of several sessions."""
        started_ns = perf_counter_ns()
        result = self._backend.step_many(graph, inputs, states)
        self.spent_ns[graph] = perf_counter_ns() - started_ns
        return result

    def read_state(self, graph: str, state: Any) -> Arrays:
        """Copy a state to host arrays."""
        return self._backend.read_state(graph, state)

    def write_state(self, graph: str, arrays: Mapping[str, NDArray[Any]]) -> Any:
        """Make a state from host arrays."""
        return self._backend.write_state(graph, arrays)
