"""Does an exported graph do what torch does? Compared step by step, each side on its own state."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.backends import Arrays
from bailando.errors import ExportError

if TYPE_CHECKING:
    from bailando.export.runners import StepRunner

TOLERANCE = 1e-4
STEPS_PAST_CAPACITY = 64


@dataclass(frozen=True)
class Comparison:
    """Largest differences over a run and whether the greedy codes were the same.

    `max_abs_output` and `max_abs_state` are absolute; `greedy_codes_identical` is None for graphs
    without codes.
    """

    steps: int
    max_abs_output: float
    max_abs_state: float
    greedy_codes_identical: bool | None

    def require(self, name: str, tolerance: float = TOLERANCE) -> None:
        """Raise ExportError unless all is within `tolerance` and the codes are identical."""
        worst = max(self.max_abs_output, self.max_abs_state)
        if not worst <= tolerance:
            raise ExportError(
                f"{name} failed validation: outputs differ by {self.max_abs_output:.2e} and state by "
                f"{self.max_abs_state:.2e} over {self.steps} steps, at most {tolerance:.0e} is allowed: "
                "try another opset or report this model"
            )
        if self.greedy_codes_identical is False:
            raise ExportError(
                f"{name} failed validation: greedy codes differ from torch's within {self.steps} steps: "
                "try another opset or report this model"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for the manifest, differences to three digits."""
        form = asdict(self)
        for key in ("max_abs_output", "max_abs_state"):
            form[key] = float(f"{form[key]:.3g}")
        return form


@dataclass(frozen=True)
class GPTRun:
    """What a GPT step is fed: music ``[N, B, M]``, the start codes and styles ``[B]``."""

    music: NDArray[np.float32]
    upper_start: NDArray[np.int64]
    lower_start: NDArray[np.int64]
    style: NDArray[np.int64]


def compare_gpt(reference: StepRunner, candidate: StepRunner, run: GPTRun) -> Comparison:
    """Let both dance greedily, each fed its own codes and its own state, and compare every step."""
    sides = [_GreedySide(reference, run), _GreedySide(candidate, run)]
    output = state = 0.0
    identical = True
    for music in run.music:
        first, second = (side.step(music, run.style) for side in sides)
        output = max(output, _difference(first, second))
        state = max(state, _difference(sides[0].state, sides[1].state))
        identical = identical and all(
            np.array_equal(a, b) for a, b in zip(sides[0].codes, sides[1].codes, strict=True)
        )
    return Comparison(len(run.music), output, state, identical)


class _GreedySide:
    """One runner with its state and the codes it last chose."""

    def __init__(self, runner: StepRunner, run: GPTRun) -> None:
        self._runner = runner
        self.state = runner.initial_state()
        self.codes = (run.upper_start, run.lower_start)

    def step(self, music: NDArray[np.float32], style: NDArray[np.int64]) -> Arrays:
        inputs: Arrays = {
            "music": music,
            "upper_code": self.codes[0],
            "lower_code": self.codes[1],
            "style": style,
        }
        outputs, self.state = self._runner.step(inputs, self.state)
        self.codes = greedy_codes(outputs)
        return outputs


def greedy_codes(outputs: Arrays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the most likely codes ``[B]`` of both halves."""
    return outputs["upper_logits"].argmax(axis=-1), outputs["lower_logits"].argmax(axis=-1)


def compare_steps(reference: StepRunner, candidate: StepRunner, feed: list[Arrays]) -> Comparison:
    """Feed both the same inputs, each keeping its own state, and compare every step."""
    output = state = 0.0
    first_state, second_state = reference.initial_state(), candidate.initial_state()
    for inputs in feed:
        first, first_state = reference.step(inputs, first_state)
        second, second_state = candidate.step(inputs, second_state)
        output = max(output, _difference(first, second))
        state = max(state, _difference(first_state, second_state))
    return Comparison(len(feed), output, state, None)


def _difference(first: Arrays, second: Arrays) -> float:
    """Largest absolute difference; infinite where a value is not finite or a name or shape differs."""
    if first.keys() != second.keys():
        return float("inf")
    worst = 0.0
    for name, value in first.items():
        other = second[name]
        if value.shape != other.shape or not np.isfinite(other).all():
            return float("inf")
        if value.size:
            delta = np.abs(value.astype(np.float64) - other.astype(np.float64))
            worst = max(worst, float(delta.max()))
    return worst if np.isfinite(worst) else float("inf")
