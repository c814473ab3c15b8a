"""Which settings of ONNX Runtime are best for the step graphs on the CPU?

python benchmarks/ort_settings.py [--model BUNDLE] [--rounds 300] [--pause-ms 20] [--json FILE]

One setting at a time is changed against the deployed backend's (`bailando.engine.backend_ort`): threads,
spinning, memory arena and pattern, IO binding, execution mode, optimisation level. The candidates take turns,
with a pause before each token as in a live run, where caches go cold and idle threads may spin. Elapsed time
tells the latency; processor time, of all threads and of the pause too, what it costs the rest of the show.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from measure import show, write_json

from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import default_bundle_path
from bailando.engine.specs import REQUIRED_GRAPHS, GraphSpec

WARM_UP_ROUNDS = 5
BETTER = 0.95
Step = Callable[[], None]


@dataclass(frozen=True)
class Settings:
    """What is tried; the defaults are those of the deployed backend."""

    threads: int = 1
    spinning: bool = False
    arena: bool = True
    pattern: bool = True
    binding: bool = True
    kept_binding: bool = False
    parallel: bool = False
    extended_only: bool = False

    def session(self, model: bytes) -> ort.InferenceSession:
        """Open a graph with these settings."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 2 if self.parallel else 1
        modes = ort.ExecutionMode
        options.execution_mode = modes.ORT_PARALLEL if self.parallel else modes.ORT_SEQUENTIAL
        levels = ort.GraphOptimizationLevel
        options.graph_optimization_level = (
            levels.ORT_ENABLE_EXTENDED if self.extended_only else levels.ORT_ENABLE_ALL
        )
        options.enable_cpu_mem_arena = self.arena
        options.enable_mem_pattern = self.pattern
        options.log_severity_level = 3
        for pool in ("intra_op", "inter_op"):
            options.add_session_config_entry(f"session.{pool}.allow_spinning", str(int(self.spinning)))
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


CANDIDATES = {
    "as deployed": Settings(),
    "2 threads": Settings(threads=2),
    "2 threads, spinning": Settings(threads=2, spinning=True),
    "no arena": Settings(arena=False),
    "no memory pattern": Settings(pattern=False),
    "no IO binding": Settings(binding=False),
    "IO binding kept": Settings(kept_binding=True),
    "parallel execution": Settings(parallel=True),
    "fewer optimisations": Settings(extended_only=True),
}


def plain_step(session: ort.InferenceSession, spec: GraphSpec) -> Step:
    """Return a step whose state is passed as arrays in and out."""
    inputs = {t.name: np.zeros(t.shape, t.dtype) for t in spec.inputs}
    state = {t.name: np.zeros(t.shape, t.dtype) for t in spec.state}
    names = [t.name for t in spec.outputs] + [f"next_{t.name}" for t in spec.state]

    def step() -> None:
        results = session.run(names, inputs | state)
        state.update(zip(state, results[len(spec.outputs) :], strict=True))

    return step


def bound_step(session: ort.InferenceSession, spec: GraphSpec, kept: bool) -> Step:
    """Return a step whose state lies in two sets of buffers that take turns, bound anew or once for all."""
    inputs = {t.name: np.zeros(t.shape, t.dtype) for t in spec.inputs}
    sides = [
        {t.name: ort.OrtValue.ortvalue_from_numpy(np.zeros(t.shape, t.dtype)) for t in spec.state}
        for _ in range(2)
    ]

    def bound() -> Any:
        binding = session.io_binding()
        for tensor in spec.outputs:
            binding.bind_output(tensor.name, "cpu")
        for name in sides[0]:
            binding.bind_ortvalue_input(name, sides[0][name])
            binding.bind_ortvalue_output(f"next_{name}", sides[1][name])
        return binding

    first = bound()
    sides.reverse()
    bindings = [first, bound()] if kept else []

    def step() -> None:
        binding = bindings[0] if bindings else bound()
        bindings.reverse()
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        session.run_with_iobinding(binding)
        for value in binding.get_outputs()[: len(spec.outputs)]:
            np.array(value.numpy())
        sides.reverse()

    return step


def token_of(bundle: Bundle, settings: Settings) -> Step:
    """Return what computes one token, all graphs, with these settings."""
    steps = []
    for graph in REQUIRED_GRAPHS:
        session, spec = settings.session(bundle.graph_bytes(graph)), bundle.manifest.graphs[graph]
        bound = settings.binding
        steps.append(bound_step(session, spec, settings.kept_binding) if bound else plain_step(session, spec))

    def token() -> None:
        for step in steps:
            step()

    return token


def deployed_token(bundle: Bundle) -> Step:
    """Return what computes one token in the deployed backend itself."""
    backend = load_backend(bundle, "cpu")
    states = {graph: backend.initial_state(graph) for graph in REQUIRED_GRAPHS}
    inputs = {
        graph: {t.name: np.zeros(t.shape, t.dtype) for t in bundle.manifest.graphs[graph].inputs}
        for graph in REQUIRED_GRAPHS
    }

    def token() -> None:
        for graph in REQUIRED_GRAPHS:
            _, states[graph] = backend.step(graph, inputs[graph], states[graph])

    return token


def measure(tokens: dict[str, Step], rounds: int, pause_s: float) -> dict[str, dict[str, float]]:
    """Return elapsed and processor time of each candidate's token, ms."""
    elapsed: dict[str, list[float]] = {name: [] for name in tokens}
    processor: dict[str, list[float]] = {name: [] for name in tokens}
    for number in range(-WARM_UP_ROUNDS, rounds):
        for name, token in tokens.items():
            token()  # what spins or was evicted belongs to this candidate from here on
            busy_ns = time.process_time_ns()
            time.sleep(pause_s)
            started_ns = time.perf_counter_ns()
            token()
            took_ns = time.perf_counter_ns() - started_ns
            if number >= 0:
                elapsed[name].append(took_ns / 1e6)
                processor[name].append((time.process_time_ns() - busy_ns) / 1e6)
    return {
        name: {
            "p50": float(np.percentile(elapsed[name], 50)),
            "p99": float(np.percentile(elapsed[name], 99)),
            "processor p50": float(np.percentile(processor[name], 50)),
        }
        for name in tokens
    }


def better(rows: dict[str, dict[str, float]]) -> list[str]:
    """Return the candidates that cost less than the deployed settings and are not slower."""
    mine = rows["as deployed"]
    return [
        name
        for name, row in rows.items()
        if row["processor p50"] < BETTER * mine["processor p50"] and row["p50"] <= mine["p50"] / BETTER
    ]


def main() -> None:
    """Print the table, and whether the deployed settings hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=default_bundle_path(), help="bundle; default: the shipped one")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--pause-ms", type=float, default=20.0, help="before each token")
    parser.add_argument("--json", type=Path, help="write the results as one JSON object")
    options = parser.parse_args()
    bundle = Bundle.open(options.model)
    tokens = {"the backend itself": deployed_token(bundle)}
    tokens |= {name: token_of(bundle, settings) for name, settings in CANDIDATES.items()}
    rows = measure(tokens, options.rounds, options.pause_ms / 1000)
    show("ms per token", rows)
    found = better({name: row for name, row in rows.items() if name != "the backend itself"})
    print(f"better than deployed: {', '.join(found) or 'none'}")
    write_json(options.json, "ort_settings", {"unit": "ms", "results": rows, "better": found})


if __name__ == "__main__":
    main()
