"""Our step decoder against decoding the exact published receptive field for each token.

python benchmarks/streaming_decode.py [--rounds 10] [--seed 0] [--json FILE]

One thread, random weights of the published sizes (width 512, two half bodies), in ONNX Runtime and in torch.
The published decoder looks 25 tokens ahead and behind: exact frames of one token need 51 tokens decoded, and
come 3.3 s late. The step decoder is causal, keeps its convolutions' past, and comes at once; it has three
more residual blocks at token rate. Its steps are written for runtimes that pack weights when they load; torch
lays them out anew at each step. The shipped step takes turns with them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import percentiles, show, take_turns, write_json
from paper_gpt import bound
from torch import Tensor, nn

from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import default_bundle_path
from bailando.export.graphs import StepGraph, decoder_step_graph
from bailando.export.onnx_export import export_onnx
from bailando.models.dancer_decoder import DancerDecoder
from bailando.models.presets import LOWER_CHANNELS, UPPER_CHANNELS
from bailando.models.vqvae import PoseVQVAE, PoseVQVAEConfig

FRAMES_PER_TOKEN = 8
FIELD_TOKENS = 51  # receptive field of the published decoder
CONTEXT_DILATIONS = (1, 3, 9)  # as in the live preset


def halves(**changes: Any) -> list[PoseVQVAE]:
    """Return the VQ-VAEs of both half bodies, of published width, with random weights."""
    return [
        PoseVQVAE(PoseVQVAEConfig(channels=channels, **changes)).eval()
        for channels in (UPPER_CHANNELS, LOWER_CHANNELS)
    ]


class Field(nn.Module):
    """Both half bodies decoded over the published receptive field; the frames of its middle token count."""

    def __init__(self, decoder: DancerDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, upper: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
        """Return the eight frames of each half body for codes ``[1, 51]``."""
        middle = slice(FIELD_TOKENS // 2 * FRAMES_PER_TOKEN, (FIELD_TOKENS // 2 + 1) * FRAMES_PER_TOKEN)
        upper_pose, lower_pose = self.decoder(upper, lower)
        return upper_pose[:, middle], lower_pose[:, middle]


def field_graph() -> StepGraph:
    """Return `Field` as a graph without state."""
    codes = torch.zeros(1, FIELD_TOKENS, dtype=torch.int64)
    return StepGraph(
        name="published_field",
        module=Field(DancerDecoder(*halves(decoder="two_sided"))).eval(),
        inputs={"upper_codes": codes, "lower_codes": codes.clone()},
        outputs=("upper_pose", "lower_pose"),
        state={},
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="turns of three tokens each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    step = decoder_step_graph(*halves(context_dilations=CONTEXT_DILATIONS))
    whole = field_graph()
    bundle = Bundle.open(default_bundle_path())
    backend, states = load_backend(bundle, "cpu", 1), []
    states.append(backend.initial_state("decoder_step"))
    inputs = {name: np.zeros(1, np.int64) for name in ("upper_code", "lower_code")}

    def shipped() -> None:
        states[0] = backend.step("decoder_step", inputs, states[0])[1]

    work = {
        "published field, ONNX Runtime": bound(export_onnx(whole), options.seed),
        "step of published width, ONNX Runtime": bound(export_onnx(step), options.seed),
        "shipped step, ONNX Runtime": shipped,
        "published field, torch": lambda: whole.call(whole.inputs, whole.state),
        "step of published width, torch": lambda: step.call(step.inputs, step.state),
    }
    spent = take_turns(work, options.rounds, inner=3)
    rows = {name: percentiles(values) for name, values in spent.items()}
    ratios = {
        where: rows[f"published field, {where}"]["p50"] / rows[f"step of published width, {where}"]["p50"]
        for where in ("ONNX Runtime", "torch")
    }
    show("ms per token, one thread", rows)
    print(", ".join(f"{where}: the step is {ratio:.1f} times as fast" for where, ratio in ratios.items()))
    record = {"unit": "ms", "seed": options.seed, "ratio": ratios["ONNX Runtime"]}
    write_json(options.json, "streaming_decode", record | {"ratio_torch": ratios["torch"], "results": rows})


if __name__ == "__main__":
    main()
