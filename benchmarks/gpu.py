"""The GPT step of paper size on a GPU: CUDA graphs, and how far above the floor of its memory it is.

python benchmarks/gpu.py [--rounds 200] [--seed 0] [--json FILE]

The floor is the bytes of the weights over the measured read bandwidth of the device's memory. The step runs
in torch as one CUDA graph in float32 and float16; where TensorRT for RTX is installed,
``bailando-export --tensorrt --compare`` times its engines. Without a GPU this says so and gives no figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import percentiles, show, write_json
from paper_gpt import build

from bailando.export.graphs import StepGraph, gpt_step_graph

PROBE_BYTES = 1 << 30


def as_cuda_graph(graph: StepGraph) -> Callable[[], object]:
    """Capture one step on fixed buffers, the caches written back in place, and return its replay."""
    module = graph.module.cuda()
    values = [value.cuda() for value in (*graph.inputs.values(), *graph.state.values())]
    states = values[len(graph.inputs) :]

    def step() -> None:
        results = module(*values)
        for state, after in zip(states, results[len(graph.outputs) :], strict=True):
            state.copy_(after)

    side = torch.cuda.Stream()
    with torch.no_grad(), torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    captured = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(captured):
        step()
    return captured.replay


def device_ms(work: Callable[[], object], rounds: int) -> np.ndarray:
    """Return the time of each call on the device, ms."""
    spent = []
    for _ in range(rounds + 10):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        work()
        ended.record()
        torch.cuda.synchronize()
        spent.append(begun.elapsed_time(ended))
    return np.array(spent[10:])


def main() -> None:
    """Print the table, or that there is no GPU."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"no GPU here: torch {torch.__version__} finds no CUDA device; nothing was measured")
        write_json(options.json, "gpu", {"device": None, "results": {}})
        return
    gpt = build("paper", options.seed)
    probe = torch.ones(PROBE_BYTES // 4, device="cuda")
    bandwidth = PROBE_BYTES / (float(np.median(device_ms(probe.sum, options.rounds))) / 1e3)
    weights = sum(p.numel() for block in gpt.blocks for p in block.parameters())
    rows, above = {}, {}
    for name, half in (("float32", False), ("float16", True)):
        rows[name] = percentiles(device_ms(as_cuda_graph(gpt_step_graph(gpt, half=half)), options.rounds))
        floor_ms = weights * (2 if half else 4) / bandwidth * 1e3
        above[name] = rows[name]["p50"] / floor_ms
    device = torch.cuda.get_device_name()
    show(f"ms per token, {device}", rows)
    print(f"read bandwidth {bandwidth / 1e9:.0f} GB/s; times above the floor: {above}")
    record = {"device": device, "seed": options.seed, "read_bandwidth_gb_s": bandwidth / 1e9}
    write_json(options.json, "gpu", record | {"unit": "ms", "above_floor": above, "results": rows})


if __name__ == "__main__":
    main()
