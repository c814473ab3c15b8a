"""How much faster is a GPT step with the cache than the published way, the window anew for each token?

python benchmarks/cache_vs_recompute.py [--size paper] [--rounds 10] [--positions 100000]
    [--paper-positions 1000] [--models FOLDER] [--seed 0] [--json FILE]

One thread; the same weights everywhere; all candidates and the memory-bandwidth probe take turns in one
run. Keys of the JSON object:

ratio_fp32   recomputed / cached, both float32 in ONNX Runtime
ratio_best   recomputed float32 / cached in the fastest precision that keeps 99 % of the greedy codes
ratio_best_same_precision   the same with the recomputation in that precision too
above_floor_fp32, above_floor_best   cached step / (bytes of its weights / read bandwidth)
ms_by_position, paper_ms_by_position   a step after so many tokens of one dance, shipped model and `--size`
flatness, paper_flatness   the last of them over the one where the window is full

Which codes a precision keeps is measured on the shipped model, dancing to the demo song: it is trained.
The weights of paper size are random ones, whose logits lie closer together.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import thread_time_ns
from typing import Any

import numpy as np
import onnx
import torch
from agreement import shipped_agreement
from measure import BANDWIDTH_BYTES, percentiles, read_bandwidth, show, take_turns, write_json
from paper_gpt import SIZES, bound, build, exported, largest_difference, recompute_graph, weight_bytes

from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import default_bundle_path
from bailando.export.graphs import StepGraph, gpt_step_graph
from bailando.export.quantise import dynamic_int8, weight_only
from bailando.models.gpt import CrossConditionalGPT

KEPT_CODES = 0.99
STEPS_AT_MARK = 100
WINDOW_FULL = 200


def torch_step(graph: StepGraph) -> Any:
    """Return a function that calls the torch module with its example inputs."""
    return lambda: graph.call(graph.inputs, graph.state)


def in_precisions(models: dict[str, onnx.ModelProto]) -> dict[str, onnx.ModelProto]:
    """Return the graphs to compare, by label."""
    cached, recomputed = models["cached"], models["recomputed"]
    made = {
        "cached int8-dynamic": dynamic_int8(cached),
        "cached weight-int8": weight_only(cached, 8),
        "recomputed int8-dynamic": dynamic_int8(recomputed),
        "recomputed weight-int8": weight_only(recomputed, 8),
    }
    present = {name: model for name, model in made.items() if model is not None}
    return {"cached fp32": cached, "recomputed fp32": recomputed, **present}


def compare(gpt: CrossConditionalGPT, folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Time all candidates in turn and return the JSON object's figures."""
    graphs = in_precisions(exported(gpt, folder))
    work = {name: bound(model, seed) for name, model in graphs.items()}
    work |= {
        "cached torch": torch_step(gpt_step_graph(gpt)),
        "recomputed torch": torch_step(recompute_graph(gpt)),
        "bandwidth": read_bandwidth(),
    }
    with torch.no_grad():
        spent = take_turns(work, rounds, inner=3)
    rows = {name: percentiles(values) for name, values in spent.items()}
    median = {name: row["p50"] for name, row in rows.items()}
    bandwidth = BANDWIDTH_BYTES / (rows.pop("bandwidth")["p50"] / 1e3)
    floor = {
        name: weight_bytes(model) / bandwidth * 1e3 for name, model in graphs.items() if "cached" in name
    }
    agreement = shipped_agreement(seed=seed)
    kept = [name for name, codes in agreement.items() if codes >= KEPT_CODES]
    best = min(kept, key=lambda name: median[f"cached {name}"])
    return {
        "ratio_fp32": median["recomputed fp32"] / median["cached fp32"],
        "ratio_best": median["recomputed fp32"] / median[f"cached {best}"],
        "ratio_best_same_precision": median[f"recomputed {best}"] / median[f"cached {best}"],
        "ratio_torch": median["recomputed torch"] / median["cached torch"],
        "best_precision": best,
        "greedy_codes_kept": agreement,
        "read_bandwidth_gb_s": bandwidth / 1e9,
        "floor_ms": floor,
        "above_floor_fp32": median["cached fp32"] / floor["cached fp32"],
        "above_floor_best": median[f"cached {best}"] / floor[f"cached {best}"],
        "largest_logit_difference": largest_difference(gpt, seed),
        "results": rows,
    }


def marks_up_to(last: int) -> list[int]:
    """Return 20, 50, 100, 200 … up to `last`."""
    decades = range(1, len(str(max(last, 1))))
    marks = [digit * 10**power for power in decades for digit in (1, 2, 5)]
    return [mark for mark in marks if 20 <= mark <= last]


def cost_by_position(step: Callable[[], object], last: int) -> dict[str, float]:
    """Take `last` steps of one dance and return the median step, ms, shortly before 20, 50, 100 … of them."""
    spent = np.zeros(last)
    for position in range(last):
        started_ns = thread_time_ns()
        step()
        spent[position] = (thread_time_ns() - started_ns) / 1e6
    return {
        str(mark): float(np.median(spent[mark - min(mark // 2, STEPS_AT_MARK) : mark]))
        for mark in marks_up_to(last)
    }


def shipped_step(seed: int) -> Callable[[], object]:
    """Return a function that takes the shipped model's next step, as the engine does."""
    bundle = Bundle.open(default_bundle_path())
    backend = load_backend(bundle, "cpu", 1)
    random = np.random.default_rng(seed)
    inputs = {t.name: np.zeros(t.shape, t.dtype) for t in bundle.manifest.graphs["gpt_step"].inputs}
    states = [backend.initial_state("gpt_step")]

    def step() -> None:
        inputs["music"] = random.standard_normal(inputs["music"].shape).astype(np.float32)
        states[0] = backend.step("gpt_step", inputs, states[0])[1]

    return step


def flatness(by_position: dict[str, float]) -> float | None:
    """Return the cost at the last mark over that at the first from 200 on, where each window is full."""
    full = [cost for mark, cost in by_position.items() if int(mark) >= WINDOW_FULL]
    return full[-1] / full[0] if full else None


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(SIZES), default="paper")
    parser.add_argument("--rounds", type=int, default=10, help="turns of three steps each")
    parser.add_argument("--positions", type=int, default=100_000, help="tokens of the long dance, or 0")
    parser.add_argument(
        "--paper-positions", type=int, default=1000, help="the same for --size; 100000 take an hour"
    )
    parser.add_argument("--models", type=Path, help="folder that keeps the exported graphs for the next run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        gpt = build(options.size, options.seed)
        figures = compare(gpt, folder, options.rounds, options.seed)
        own = bound(exported(gpt, folder)["cached"], options.seed)
    show(f"ms per token, {options.size} size, one thread", figures["results"])
    for name, value in figures.items():
        if name != "results":
            print(f"{name:28}{value}")
    shipped = cost_by_position(shipped_step(options.seed), options.positions)
    paper = cost_by_position(own, options.paper_positions)
    positions = {
        "ms_by_position": shipped,
        "paper_ms_by_position": paper,
        "flatness": flatness(shipped),
        "paper_flatness": flatness(paper),
    }
    for name, value in positions.items():
        print(f"{name:28}{value}")
    record = {"unit": "ms", "size": options.size, "seed": options.seed}
    write_json(options.json, "cache_vs_recompute", record | positions | figures)


if __name__ == "__main__":
    main()
