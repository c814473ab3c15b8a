"""How long a step takes in each precision, measured in turn so that a busy machine slows all alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from bailando.engine.backends import Arrays
from bailando.export.runners import OnnxRunner

ROUNDS = 8
STEPS_PER_ROUND = 12


def time_steps_ms(
    candidates: Mapping[str, Mapping[str, onnx.ModelProto]], feeds: Mapping[str, Sequence[Arrays]]
) -> dict[str, dict[str, float]]:
    """Return the median time of one step of each graph in each precision, one CPU thread.

    Parameters
    ----------
    candidates : mapping
        Graphs by name, by precision.
    feeds : mapping
        Inputs of consecutive steps, by graph.

    Returns
    -------
    dict
        Milliseconds by precision and graph.
    """
    result: dict[str, dict[str, float]] = {precision: {} for precision in candidates}
    for graph, feed in feeds.items():
        runners = {p: OnnxRunner(models[graph].SerializeToString()) for p, models in candidates.items()}
        times_ns: dict[str, list[int]] = {precision: [] for precision in candidates}
        for _ in range(ROUNDS):
            for precision, runner in runners.items():
                times_ns[precision] += _round_ns(runner, feed[:STEPS_PER_ROUND])
        for precision, values in times_ns.items():
            result[precision][graph] = float(np.median(values)) / 1e6
    return result


def _round_ns(runner: OnnxRunner, feed: Sequence[Arrays]) -> list[int]:
    """Time consecutive steps from the initial state; the first warms up and does not count."""
    state = runner.initial_state()
    times_ns = []
    for inputs in feed:
        start_ns = time.perf_counter_ns()
        _, state = runner.step(inputs, state)
        times_ns.append(time.perf_counter_ns() - start_ns)
    return times_ns[1:]
