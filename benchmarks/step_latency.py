"""What does a token cost, stage by stage: features, GPT, decoder, kinematics, packets?

python benchmarks/step_latency.py [--model BUNDLE] [--tokens 2000] [--threads 1 2] [--pause-ms 0]
    [--realtime] [--json FILE]

With a pause each token is computed as in a live run, on caches that went cold meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from measure import environment
from numpy.typing import NDArray

from bailando.engine.backends import Backend, load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer, default_bundle_path
from bailando.engine.performance import MusicReading
from bailando.engine.runner import make_frame
from bailando.engine.scheduling import raised_priority
from bailando.engine.sinks import Destination, OscSink, VmcSink
from bailando.engine.timeline import Timeline
from bailando.music.features import FeatureExtractor

PERCENTS = (50.0, 95.0, 99.0, 99.9)
WARM_UP_TOKENS = 20
STAGES = ("features", "gpt", "decoder", "kinematics", "packets", "token")


class TimedBackend:
    """A backend that notes how long each step took."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.spent_ns = {"gpt_step": 0, "decoder_step": 0}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def step(self, graph: str, inputs: Any, state: Any) -> Any:
        """Run and time a step."""
        started_ns = perf_counter_ns()
        result = self._backend.step(graph, inputs, state)
        self.spent_ns[graph] = perf_counter_ns() - started_ns
        return result


def measure(bundle: Bundle, threads: int, tokens: int, pause_s: float) -> dict[str, NDArray[np.float64]]:
    """Return milliseconds of each stage, (tokens,)."""
    backend = TimedBackend(load_backend(bundle, "cpu", threads))
    dancer = Dancer(bundle, backend)  # type: ignore[arg-type]  # forwards all of the protocol
    session, extractor = dancer.session(), FeatureExtractor(dancer.feature_spec)
    state, timeline = extractor.initial_state(), Timeline(dancer.skeleton)
    destinations = Destination("127.0.0.1", 39539), Destination("127.0.0.1", 9000)
    sinks = VmcSink(destinations[0], dancer.skeleton.offsets.astype(np.float32)), OscSink(destinations[1])
    rng, spent = np.random.default_rng(0), {stage: np.zeros(tokens) for stage in STAGES}
    session.step(None)
    for token in range(-WARM_UP_TOKENS, tokens):
        hops = rng.normal(0, 0.1, (8, dancer.feature_spec.hop_length)).astype(np.float32)
        if pause_s:
            time.sleep(pause_s)
        started_ns = perf_counter_ns()
        features, state = extractor.step(hops, state)
        heard_ns = perf_counter_ns()
        chunk = session.step(features)
        danced_ns = perf_counter_ns()
        timeline.put(chunk)
        for frame in range(8):
            made = make_frame(chunk.first_frame + frame, timeline.take(), MusicReading(), False)
            for sink in sinks:
                sink.values(made)
        ended_ns = perf_counter_ns()
        if token >= 0:
            networks_ns = sum(backend.spent_ns.values())
            row = (
                heard_ns - started_ns,
                backend.spent_ns["gpt_step"],
                backend.spent_ns["decoder_step"],
                danced_ns - heard_ns - networks_ns,
                ended_ns - danced_ns,
                ended_ns - started_ns,
            )
            for stage, duration_ns in zip(STAGES, row, strict=True):
                spent[stage][token] = duration_ns / 1e6
    return spent


def summary(milliseconds: NDArray[np.float64]) -> dict[str, float]:
    """Return percentiles and the maximum, ms."""
    row = {f"p{percent:g}": float(np.percentile(milliseconds, percent)) for percent in PERCENTS}
    return row | {"max": float(milliseconds.max())}


def main() -> None:
    """Print a table for each thread count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=default_bundle_path(), help="bundle; default: the shipped one")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pause-ms", type=float, default=0.0, help="sleep before each token")
    parser.add_argument("--realtime", action="store_true", help="at the priority of a live run")
    parser.add_argument("--json", type=Path, help="append the results as JSON lines")
    options = parser.parse_args()
    bundle = Bundle.open(options.model)
    for threads in options.threads:
        with raised_priority() if options.realtime else nullcontext():
            spent = measure(bundle, threads, options.tokens, options.pause_ms / 1000)
        rows = {stage: summary(values) for stage, values in spent.items()}
        columns = list(rows["token"])
        print(f"{bundle.manifest.name}, {threads} thread(s), load {os.getloadavg()[0]:.1f}")
        print(f"{'ms per token':14}" + "".join(f"{column:>9}" for column in columns))
        for stage, row in rows.items():
            print(f"{stage:14}" + "".join(f"{row[column]:9.2f}" for column in columns))
        if options.json:
            record = {"benchmark": "step_latency", "unit": "ms", "threads": threads, "results": rows}
            with options.json.open("a") as file:
                file.write(json.dumps(record | environment()) + "\n")


if __name__ == "__main__":
    main()
