"""Watches over a backend: one that hangs or fails is started anew from the state before the step.

Each step runs on a worker thread of its own. If it takes too long, or raises, the worker is left
behind, the graphs are loaded again and the step is repeated with the same inputs and the same state:
the dance is the one it would have been, only later, and the frames meanwhile are extrapolated.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from numpy.typing import NDArray

from bailando.engine.backends import Arrays, Backend
from bailando.engine.scheduling import raised_priority

PATIENCE_S = 2.0
"""A step takes milliseconds; fifteen tokens without one is a backend that hangs."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0

Result = TypeVar("Result")
_Run = Callable[[Backend, list[Any]], tuple[Arrays, list[Any]]]


class BackendHungError(Exception):
    """A call did not return in time."""


class BackendGivenUpError(Exception):
    """A backend hangs or fails, and nobody waits for it any more."""


class _Worker:
    """A daemon thread that carries out one call after another."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], _Answer] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="bailando-backend", daemon=True).start()

    def call(self, work: Callable[[], Result], patience_s: float) -> Result:
        """Return what `work` gives, or raise what it raises, or BackendHungError."""
        answer = _Answer(threading.Event())
        self._calls.put((work, answer))
        if not answer.ready.wait(patience_s):
            raise BackendHungError(f"no answer for {patience_s} s")
        if answer.error is not None:
            try:
                raise answer.error
            finally:
                del answer  # which is part of the error's own traceback
        result: Result = answer.value
        return result

    def leave(self) -> None:
        """End the thread after the call it is in, if that ever ends."""
        self._calls.put(None)

    def _work(self) -> None:
        with raised_priority():
            while (entry := self._calls.get()) is not None:
                _answer(*entry)
                del entry  # or the states of this call would be kept until the next one


@dataclass
class _Answer:
    ready: threading.Event
    value: Any = None
    error: Exception | None = None


def _answer(work: Callable[[], Any], answer: _Answer) -> None:
    """Carry out a call."""
    try:
        answer.value = work()
    except Exception as error:  # whatever a provider raises goes to the caller
        answer.error = error
    answer.ready.set()


@dataclass(frozen=True)
class WatchedState:
    """A backend's state, and which start of the backend it belongs to."""

    start: int
    state: Any


class WatchedBackend:
    """A `Backend` that starts another one anew when that hangs or fails.

    For sessions that step in one thread.

    Parameters
    ----------
    backend : Backend
        The one to watch.
    load : callable
        Loads it again.
    patience_s : float
        How long a step may take.

    Attributes
    ----------
    given_up : threading.Event
        While set, a backend that hangs or fails is not started anew: BackendGivenUpError is raised.
    restarts : int
        How often the backend was started anew.
    """

    def __init__(
        self,
        backend: Backend,
        load: Callable[[], Backend],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._backend = backend
        self._load = load
        self._patience_s = patience_s
        self.given_up = threading.Event()
        self._worker = _Worker()
        self._start = 0
        self.restarts = 0

    @property
    def name(self) -> str:
        """Where the graphs run."""
        return self._backend.name

    @property
    def reason(self) -> str:
        """Why they run there."""
        return self._backend.reason

    def initial_state(self, graph: str) -> WatchedState:
        """Return a state of zeros for one session."""
        return WatchedState(self._start, self._backend.initial_state(graph))

    def step(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], state: WatchedState
    ) -> tuple[Arrays, WatchedState]:
        """Run one step, on another start of the backend if need be."""

        def run(backend: Backend, states: list[Any]) -> tuple[Arrays, list[Any]]:
            outputs, after = backend.step(graph, inputs, states[0])
            return outputs, [after]

        outputs, after = self._insist(graph, run, (state,))
        return outputs, after[0]

    def step_many(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], states: Sequence[WatchedState]
    ) -> tuple[Arrays, list[WatchedState]]:
        """Run one step of several sessions, on another start of the backend if need be."""

        def run(backend: Backend, now: list[Any]) -> tuple[Arrays, list[Any]]:
            return backend.step_many(graph, inputs, now)

        return self._insist(graph, run, states)

    def _insist(
        self, graph: str, run: _Run, states: Sequence[WatchedState]
    ) -> tuple[Arrays, list[WatchedState]]:
        """Carry out a step; where it hangs or fails, again from the same states."""
        pause_s = _FIRST_PAUSE_S
        while True:
            current = [self._current(graph, state) for state in states]
            try:
                outputs, after = self._worker.call(partial(run, self._backend, current), self._patience_s)
            except Exception as error:
                if self.given_up.wait(pause_s):
                    raise BackendGivenUpError from error
                snapshots = [self._rescue(graph, state) for state in current]
                self._restart()
                states = [self._state_of(graph, snapshot) for snapshot in snapshots]
                pause_s = min(2.0 * pause_s, _LONGEST_PAUSE_S)
            else:
                return outputs, [WatchedState(self._start, state) for state in after]

    def read_state(self, graph: str, state: WatchedState) -> Arrays:
        """Copy a state to host arrays."""
        return self._backend.read_state(graph, state.state)

    def write_state(self, graph: str, arrays: Mapping[str, NDArray[Any]]) -> WatchedState:
        """Make a state from host arrays, copying them."""
        return WatchedState(self._start, self._backend.write_state(graph, arrays))

    def _current(self, graph: str, state: WatchedState) -> Any:
        """Return a state for the backend of now; one of an earlier start is copied over."""
        if state.start == self._start:
            return state.state
        return self._state_of(graph, self._rescue(graph, state.state)).state

    def _state_of(self, graph: str, snapshot: Arrays | None) -> WatchedState:
        """Return a state of the backend of now; without a snapshot the music begins anew."""
        return self.initial_state(graph) if snapshot is None else self.write_state(graph, snapshot)

    def _rescue(self, graph: str, state: Any) -> Arrays | None:
        """Copy the state before a failed step: a step writes other buffers than it reads.

        None if the device does not even give its memory back.
        """
        backend = self._backend
        rescuer = _Worker()
        try:
            return rescuer.call(lambda: backend.read_state(graph, state), self._patience_s)
        except Exception:
            return None
        finally:
            rescuer.leave()

    def _restart(self) -> None:
        """Leave the worker behind and load the backend again."""
        self._worker.leave()
        self._worker = _Worker()
        with suppress(Exception):  # it is tried again with the one there is, after a longer pause
            self._backend = self._load()
        self._start += 1
        self.restarts += 1
