"""What does a token cost, stage by stage: features, GPT, decoder, kinematics, packets?

python benchmarks/step_latency.py [--model shipped|paper|BUNDLE ...] [--backends cpu ...]
    [--precisions fp32 ...] [--tokens 2000] [--threads 1 2] [--cold] [--pause-ms 0] [--realtime]
    [--models FOLDER] [--groove 1] [--json FILE]

Elapsed time. Warm: tokens one after the other. `--cold` measures each again with the processor's caches swept
before every token, as other programs leave them. The first token after loading is told apart. With a pause
each token is computed as in a live run. Precisions other than fp32 are made of the bundle's graphs; a backend
that this machine does not have is named and left out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from bundles import PRECISIONS, in_precision, published_size
from measure import percentiles, show, write_json
from numpy.typing import NDArray
from timed_backend import TimedBackend

from bailando.engine.backends import BACKEND_NAMES, load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer, default_bundle_path
from bailando.engine.frame_maker import make_frame
from bailando.engine.performance import MusicReading
from bailando.engine.scheduling import raised_priority
from bailando.engine.sinks import Destination, OscSink, VmcSink
from bailando.engine.timeline import Timeline
from bailando.errors import BailandoError
from bailando.music.features import FeatureExtractor

WARM_UP_TOKENS = 20
SWEPT_BYTES = 128 << 20  # more than any cache here
STAGES = ("features", "gpt", "decoder", "kinematics", "packets", "token")


def measure(
    bundle: Bundle,
    backend_name: str,
    threads: int,
    tokens: int,
    before: Callable[[], object],
    groove: float = 1.0,
) -> dict[str, NDArray[np.float64]]:
    """Return milliseconds of each stage, (tokens + 1,), the first token after loading at the beginning.

    `before` is called before each token and does not count.
    """
    backend = TimedBackend(load_backend(bundle, backend_name, threads))
    dancer = Dancer(bundle, backend)
    session, extractor = dancer.session(groove=groove), FeatureExtractor(dancer.feature_spec)
    state, timeline = extractor.initial_state(), Timeline(dancer.skeleton)
    destinations = Destination("127.0.0.1", 39539), Destination("127.0.0.1", 9000)
    sinks = VmcSink(destinations[0], dancer.skeleton.offsets.astype(np.float32)), OscSink(destinations[1])
    rng, rows = np.random.default_rng(0), []
    session.step(None)
    for _ in range(1 + WARM_UP_TOKENS + tokens):
        hops = rng.normal(0, 0.1, (8, dancer.feature_spec.hop_length)).astype(np.float32)
        before()
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
        networks_ns = sum(backend.spent_ns.values())
        rows.append(
            (
                heard_ns - started_ns,
                backend.spent_ns["gpt_step"],
                backend.spent_ns["decoder_step"],
                danced_ns - heard_ns - networks_ns,
                ended_ns - danced_ns,
                ended_ns - started_ns,
            )
        )
    table = np.array([rows[0], *rows[1 + WARM_UP_TOKENS :]]) / 1e6
    return dict(zip(STAGES, table.T, strict=True))


def bundles(wanted: list[str], precisions: list[str], folder: Path) -> Iterator[tuple[str, str, Bundle]]:
    """Yield each model's name, precision and bundle."""
    for model in wanted:
        named = {
            "shipped": lambda: Bundle.open(default_bundle_path()),
            "paper": lambda: published_size(folder),
        }
        bundle = named[model]() if model in named else Bundle.open(model)
        for precision in precisions:
            yield model, precision, in_precision(bundle, precision, folder) if precision != "fp32" else bundle


def conditions(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Return what to do before each token, by name."""
    pause_s, swept = options.pause_ms / 1e3, np.zeros(SWEPT_BYTES // 4, np.float32)
    warm = {"warm" if not pause_s else f"pause {options.pause_ms:g} ms": lambda: time.sleep(pause_s)}
    return warm | ({"cold": swept.sum} if options.cold else {})


def measure_all(options: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the figures of each run by name, and why a backend gave none."""
    runs: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for model, precision, bundle in bundles(options.model, options.precisions, folder):
        for backend in (name for name in options.backends if name not in missing):
            for threads in options.threads:
                for condition, before in conditions(options).items():
                    name = f"{model}, {backend}, {precision}, {threads} thread(s), {condition}"
                    try:
                        spent = measure(bundle, backend, threads, options.tokens, before, options.groove)
                    except BailandoError as error:
                        missing[backend] = str(error)
                        print(f"{backend}: {error}")
                        break
                    rows = {stage: percentiles(values[1:]) for stage, values in spent.items()}
                    show(f"ms, {name}", rows)
                    first = {stage: float(values[0]) for stage, values in spent.items()}
                    runs[name] = {"stages": rows, "first_token": first}
    return runs, missing


def main() -> None:
    """Print a table for each model, backend, precision and condition."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=["shipped"], help="shipped, paper or bundles")
    parser.add_argument("--backends", nargs="+", default=["cpu"], choices=BACKEND_NAMES)
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=PRECISIONS)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--groove", type=float, default=1.0, help="how much the beat counts, 0 to 2")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cold", action="store_true", help="measure with swept caches too")
    parser.add_argument("--pause-ms", type=float, default=0.0, help="sleep before each token")
    parser.add_argument("--realtime", action="store_true", help="at the priority of a live run")
    parser.add_argument("--models", type=Path, help="folder that keeps the made bundles for the next run")
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, raised_priority() if options.realtime else nullcontext():
        folder = options.models or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        runs, missing = measure_all(options, folder)
    record = {"unit": "ms", "seed": 0, "load_after": os.getloadavg()[0], "missing_backends": missing}
    first_run = next(iter(runs.values()), {"stages": {}})
    write_json(options.json, "step_latency", record | {"runs": runs, "results": first_run["stages"]})


if __name__ == "__main__":
    main()
