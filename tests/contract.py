"""The contract of every streaming unit, as checks that any test can run.

A unit is described by a `StreamUnit`: plain callables over tuples of arrays (numpy or torch) with batch
first and time second. Each check raises `AssertionError` with what differed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Arrays = tuple[Any, ...]
State = dict[str, Any]


@dataclass(frozen=True)
class StreamUnit:
    """A streaming unit and an input to test it with.

    `forward` maps whole inputs ``[B, T, ...]`` to whole outputs; `step` maps inputs of some calls
    ``[B, n * input_steps, ...]`` and a state to ``(outputs, state)``. `calls_at_once` says whether n may
    exceed 1. `ignored_state` names state whose initial content must not matter.
    """

    forward: Callable[..., Arrays]
    step: Callable[[Arrays, State], tuple[Arrays, State]]
    initial_state: Callable[[], State]
    inputs: Arrays
    input_steps: int = 1
    output_steps: int = 1
    lookahead: int = 0
    calls_at_once: bool = True
    ignored_state: tuple[str, ...] = ()
    tolerance: float = 2e-5

    @property
    def calls(self) -> int:
        """Calls of `step` that the inputs are enough for."""
        return int(self.inputs[0].shape[1] // self.input_steps)


def as_numpy(array: Any) -> np.ndarray:
    return array.detach().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)


def module_unit(module: Any, inputs: torch.Tensor, **options: Any) -> StreamUnit:
    """Describe a `StreamingModule` of one input and one output."""

    def step(arrays: Arrays, state: State) -> tuple[Arrays, State]:
        output, state = module.step(arrays[0], state)
        return (output,), state

    timing = module.timing
    return StreamUnit(
        forward=lambda x: (module(x),),
        step=step,
        initial_state=lambda: module.initial_state(inputs.shape[0]),
        inputs=(inputs,),
        input_steps=timing.input_steps,
        output_steps=timing.output_steps,
        lookahead=timing.lookahead,
        **options,
    )


def run(
    unit: StreamUnit, state: State, first: int, last: int, chunk: Callable[[], int]
) -> tuple[list, State]:
    """Step from call `first` to call `last`; return the outputs joined in time and the state."""
    collected: list[list[np.ndarray]] = []
    call = first
    while call < last:
        count = min(chunk(), last - call)
        span = slice(call * unit.input_steps, (call + count) * unit.input_steps)
        outputs, state = unit.step(tuple(x[:, span] for x in unit.inputs), state)
        collected.append([as_numpy(output).copy() for output in outputs])
        call += count
    return [np.concatenate(parts, axis=1) for parts in zip(*collected, strict=True)], state


def one() -> int:
    return 1


def assert_close(unit: StreamUnit, got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for got_array, expected_array in zip(got, expected, strict=True):
        assert got_array.shape == expected_array.shape, (got_array.shape, expected_array.shape)
        np.testing.assert_allclose(got_array, expected_array, rtol=0, atol=unit.tolerance)


def check_steps_equal_offline(unit: StreamUnit) -> None:
    """Any cutting of the input into calls gives what the offline pass gives."""
    offline = [as_numpy(output) for output in unit.forward(*unit.inputs)]
    assert offline[0].shape[1] == unit.calls * unit.output_steps
    rng = np.random.default_rng(0)
    chunkings: list[Callable[[], int]] = [one]
    if unit.calls_at_once:
        chunkings += [lambda: int(rng.integers(1, 6)), lambda: unit.calls]
    for chunk in chunkings:
        streamed, _ = run(unit, unit.initial_state(), 0, unit.calls, chunk)
        assert_close(unit, streamed, offline)


def check_interleaved_sessions(unit: StreamUnit) -> None:
    """A second session on other input, interleaved with the first, does not change the first."""
    alone, _ = run(unit, unit.initial_state(), 0, unit.calls, one)
    first, second = unit.initial_state(), unit.initial_state()
    parts = []
    for call in range(unit.calls):
        outputs, first = run(unit, first, call, call + 1, one)
        _, second = run(unit, second, unit.calls - 1 - call, unit.calls - call, one)
        parts.append(outputs)
    for index, expected in enumerate(alone):
        np.testing.assert_array_equal(np.concatenate([part[index] for part in parts], axis=1), expected)


def check_snapshot_and_restore(unit: StreamUnit) -> None:
    """A copy of the state continues bit for bit as the original did, and steps leave it alone."""
    middle = unit.calls // 2
    _, state = run(unit, unit.initial_state(), 0, middle, one)
    snapshot = copy.deepcopy(state)
    first, _ = run(unit, state, middle, unit.calls, one)
    for name, value in state.items():
        np.testing.assert_array_equal(as_numpy(value), as_numpy(snapshot[name]), err_msg=name)
    again, _ = run(unit, snapshot, middle, unit.calls, one)
    for got, expected in zip(again, first, strict=True):
        np.testing.assert_array_equal(got, expected)


def check_state_keeps_its_shapes(unit: StreamUnit) -> None:
    """Names, shapes and types of the state never change; numeric state starts as zeros."""
    state = unit.initial_state()
    layout = {name: (as_numpy(v).shape, as_numpy(v).dtype) for name, v in state.items()}
    assert all(not as_numpy(value).any() for value in state.values())
    for call in range(min(unit.calls, 4)):
        _, state = run(unit, state, call, call + 1, one)
        assert {name: (as_numpy(v).shape, as_numpy(v).dtype) for name, v in state.items()} == layout


def measured_lookahead(unit: StreamUnit) -> int:
    """Return how many input steps past its call's input an output depends on, by perturbation."""
    reference = [as_numpy(output) for output in unit.forward(*unit.inputs)]
    lookahead = 0
    for changed in range(unit.inputs[0].shape[1]):
        outputs = unit.forward(*(_perturbed(x, changed) for x in unit.inputs))
        for output, expected in zip(outputs, reference, strict=True):
            difference = np.abs(as_numpy(output) - expected).max(axis=(0, *range(2, expected.ndim)))
            first = int(np.flatnonzero(difference > 1e-7)[:1].sum()) if difference.any() else None
            if first is not None:
                last_input = (first // unit.output_steps + 1) * unit.input_steps - 1
                lookahead = max(lookahead, changed - last_input)
    return lookahead


def _perturbed(x: Any, step: int) -> Any:
    x = copy.deepcopy(x)
    floating = x.is_floating_point() if isinstance(x, torch.Tensor) else np.issubdtype(x.dtype, np.floating)
    x[:, step] = x[:, step] + 10.0 if floating else (x[:, step] + 1) % (int(x.max()) + 1)
    return x


def check_declared_lookahead(unit: StreamUnit) -> None:
    """The declared look-ahead is the measured one."""
    assert measured_lookahead(unit) == unit.lookahead


def check_nothing_leaks(unit: StreamUnit) -> None:
    """NaN in one stream of the batch, or in state that is not valid yet, stays there."""
    expected, _ = run(unit, unit.initial_state(), 0, unit.calls, one)
    state = unit.initial_state()
    for name in unit.ignored_state:
        state[name] = state[name] + float("nan")
    outputs, _ = run(unit, state, 0, unit.calls, one)
    assert_close(unit, outputs, expected)
    if unit.inputs[0].shape[0] > 1 and any(x.dtype in (torch.float32, np.float32) for x in unit.inputs):
        poisoned = tuple(_poisoned(x) for x in unit.inputs)
        poisoned_unit = StreamUnit(**{**vars(unit), "inputs": poisoned})
        outputs, _ = run(poisoned_unit, unit.initial_state(), 0, unit.calls, one)
        assert any(np.isnan(output[-1]).any() for output in outputs)
        assert_close(unit, [output[:1] for output in outputs], [output[:1] for output in expected])


def _poisoned(x: Any) -> Any:
    x = copy.deepcopy(x)
    if x.dtype in (torch.float32, np.float32):
        x[-1] = float("nan")
    return x


CHECKS: dict[str, Callable[[StreamUnit], None]] = {
    "steps equal offline": check_steps_equal_offline,
    "interleaved sessions": check_interleaved_sessions,
    "snapshot and restore": check_snapshot_and_restore,
    "state keeps its shapes": check_state_keeps_its_shapes,
    "declared look-ahead": check_declared_lookahead,
    "nothing leaks": check_nothing_leaks,
}
