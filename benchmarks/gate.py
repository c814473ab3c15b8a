"""Has a stage become slower relative to its reference? For CI: ratios only, no absolute times.

python benchmarks/gate.py [--record] [--json FILE]

Each stage and a reference that does not change with this project (numpy, python-osc, or the published way
with torch) take turns on one thread's processor time; the ratio of the fastest calls is compared with
``gate_baseline.json``. More than 1.5 times that fails, after two more tries: a slow machine slows both.
What a cache holds differs between processors, and with it a ratio, by more than a half: the baseline has the
largest of those recorded (on an Intel Xeon and an AMD EPYC). To begin it anew, delete the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import take_turns, write_json
from packets import build_with_python_osc, make_frame, patching, rest_offsets_m
from paper_gpt import build, recompute_graph
from threadpoolctl import threadpool_limits

from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer, default_bundle_path
from bailando.engine.sinks import Destination, VmcSink
from bailando.export.graphs import gpt_step_graph
from bailando.music.features import FeatureExtractor

BASELINE = Path(__file__).with_name("gate_baseline.json")
ALLOWED = 1.5
TRIES = 3
ROUNDS = 15
Pair = tuple[Callable[[], object], Callable[[], object]]


def stages(seed: int = 0) -> dict[str, Pair]:
    """Return each stage with its reference."""
    random = np.random.default_rng(seed)
    return {
        "cached GPT step / recomputed window, torch": _cache(seed),
        "GPT step / numpy products": (_step("gpt_step"), _products(random, 12, 768)),
        "decoder step / numpy products": (_step("decoder_step"), _products(random, 12, 768)),
        "features / numpy spectra": _features(random),
        "VMC packet / python-osc": _packet(),
    }


def _cache(seed: int) -> Pair:
    gpt = build("small", seed)
    step, window = gpt_step_graph(gpt), recompute_graph(gpt)
    return lambda: step.call(step.inputs, step.state), lambda: window.call(window.inputs, window.state)


def _step(graph: str) -> Callable[[], object]:
    """Return a function that takes one step of the shipped bundle's graph in the deployed backend."""
    bundle = Bundle.open(default_bundle_path())
    backend = load_backend(bundle, "cpu", 1)
    spec = bundle.manifest.graphs[graph]
    inputs = {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in spec.inputs}
    states = [backend.initial_state(graph)]

    def step() -> None:
        states[0] = backend.step(graph, inputs, states[0])[1]

    return step


def _products(random: np.random.Generator, layers: int, width: int) -> Callable[[], object]:
    """Return a function that multiplies three rows by a chain of square matrices."""
    matrices = random.normal(0, width**-0.5, (layers, width, width)).astype(np.float32)
    rows = random.normal(size=(3, width)).astype(np.float32)

    def multiply() -> None:
        x = rows
        for matrix in matrices:
            x = x @ matrix

    return multiply


def _features(random: np.random.Generator) -> Pair:
    extractor = FeatureExtractor(Dancer.open().feature_spec)
    spec = extractor.spec
    hops = random.normal(0, 0.1, (8, spec.hop_length)).astype(np.float32)
    states = [extractor.initial_state()]
    frames = random.normal(size=(64, spec.n_fft)).astype(np.float32)

    def extract() -> None:
        states[0] = extractor.step(hops, states[0])[1]

    return extract, lambda: np.abs(np.fft.rfft(frames)) ** 2


def _packet() -> Pair:
    frame, offsets = make_frame(0), rest_offsets_m()
    patch = patching(VmcSink(Destination("127.0.0.1", 39539), offsets))
    return lambda: [patch(frame) for _ in range(50)], lambda: build_with_python_osc(frame, offsets)


def measured(pairs: dict[str, Pair]) -> dict[str, float]:
    """Return the ratio of each stage's fastest call to its reference's."""
    ratios = {}
    for name, (ours, reference) in pairs.items():
        spent = take_turns({"ours": ours, "reference": reference}, ROUNDS, inner=2)
        ratios[name] = float(spent["ours"].min() / spent["reference"].min())
    return ratios


def slower(ratios: dict[str, float], baseline: dict[str, float]) -> list[str]:
    """Return the stages whose ratio is more than `ALLOWED` times the baseline's; unknown ones count."""
    return [name for name, ratio in ratios.items() if ratio > ALLOWED * baseline.get(name, 0.0)]


def main() -> int:
    """Print the ratios; exit with 1 if a stage became slower."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="raise the baseline to the measured ratios")
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(
        1
    )  # the references' products too: a second thread halves the time and doubles the ratio
    pairs = stages()
    ratios = measured(pairs)
    baseline = json.loads(BASELINE.read_text("utf-8")) if BASELINE.exists() else {}
    if options.record:
        baseline = {name: max(round(ratio, 3), baseline.get(name, 0.0)) for name, ratio in ratios.items()}
        BASELINE.write_text(json.dumps(baseline, indent=1) + "\n")
    for _ in range(TRIES - 1):
        again = measured({name: pairs[name] for name in slower(ratios, baseline)})
        ratios = {name: min(ratio, again.get(name, ratio)) for name, ratio in ratios.items()}
    failed = slower(ratios, baseline)
    for name, ratio in ratios.items():
        verdict = "SLOWER" if name in failed else "ok"
        print(f"{name:46}{ratio:9.3f}  baseline {baseline.get(name, float('nan')):9.3f}  {verdict}")
    write_json(options.json, "gate", {"unit": "ratio", "seed": 0, "results": ratios, "baseline": baseline})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
