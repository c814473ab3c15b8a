"""Our step decoder against decoding the exact published receptive field for each token.

python benchmarks/streaming_decode.py [--rounds 10] [--seed 0] [--json FILE]

Both in torch on one thread, with random weights of the published sizes (width 512, two half bodies). The
published decoder looks 25 tokens ahead and behind: exact frames of one token need 51 tokens decoded, and
come 3.3 s late. The step decoder is causal, keeps its convolutions' past, and comes at once; it has three
more residual blocks at token rate. The shipped step in ONNX Runtime takes turns with them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import percentiles, show, take_turns, write_json

from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import default_bundle_path
from bailando.export.graphs import decoder_step_graph
from bailando.models.presets import LOWER_CHANNELS, UPPER_CHANNELS
from bailando.models.vqvae import DancerDecoder, PoseVQVAE, PoseVQVAEConfig

FIELD_TOKENS = 51  # receptive field of the published decoder
CONTEXT_DILATIONS = (1, 3, 9)  # as in the live preset


def halves(**changes: Any) -> list[PoseVQVAE]:
    """Return the VQ-VAEs of both half bodies, of published width, with random weights."""
    return [
        PoseVQVAE(PoseVQVAEConfig(channels=channels, **changes)).eval()
        for channels in (UPPER_CHANNELS, LOWER_CHANNELS)
    ]


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
    whole = DancerDecoder(*halves(decoder="two_sided"))
    codes = torch.randint(0, 512, (1, FIELD_TOKENS))
    bundle = Bundle.open(default_bundle_path())
    backend, states = load_backend(bundle, "cpu", 1), []
    states.append(backend.initial_state("decoder_step"))
    inputs = {name: np.zeros(1, np.int64) for name in ("upper_code", "lower_code")}

    def shipped() -> None:
        states[0] = backend.step("decoder_step", inputs, states[0])[1]

    work = {
        "published field, torch": lambda: whole(codes, codes),
        "step of published width, torch": lambda: step.call(step.inputs, step.state),
        "shipped step, ONNX Runtime": shipped,
    }
    with torch.no_grad():
        spent = take_turns(work, options.rounds, inner=3)
    rows = {name: percentiles(values) for name, values in spent.items()}
    ratio = rows["published field, torch"]["p50"] / rows["step of published width, torch"]["p50"]
    show("ms per token, one thread", rows)
    print(f"the step is {ratio:.1f} times as fast as the published field")
    record = {"unit": "ms", "seed": options.seed, "ratio": ratio, "results": rows}
    write_json(options.json, "streaming_decode", record)


if __name__ == "__main__":
    main()
