"""Which precision keeps the greedy codes of the shipped model, dancing to the demo song?

python benchmarks/agreement.py [--steps 400] [--seed 0] [--json FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from measure import write_json
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

import bailando
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import default_bundle_path
from bailando.export.quantise import dynamic_int8, weight_only
from bailando.export.runners import OnnxRunner
from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec

DEMO = Path(bailando.__file__).parent / "assets" / "demo" / "demo.ogg"
HALVES = ("upper", "lower")


def with_float_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with weights stored as float16 made float32, as ONNX Runtime does on loading."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    halves = {t.name: t for t in result.graph.initializer if t.data_type == TensorProto.FLOAT16}
    kept = []
    for node in result.graph.node:
        if node.op_type == "Cast" and node.input[0] in halves:
            value = numpy_helper.to_array(halves[node.input[0]]).astype(np.float32)
            result.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        else:
            kept.append(node)
    del result.graph.node[:]
    result.graph.node.extend(kept)
    return result


def demo_music(bundle: Bundle) -> NDArray[np.float32]:
    """Return the demo song's music tokens ``[T, 1, 8 F]``."""
    extractor = FeatureExtractor(FeatureSpec.from_dict(bundle.manifest.features))
    features = extractor.extract(load_mono(DEMO, extractor.spec.sample_rate_hz))
    frames = bundle.manifest.frames_per_token
    whole = len(features) // frames * frames
    return features[:whole].reshape(-1, 1, frames * features.shape[1]).astype(np.float32)


def shipped_agreement(steps: int = 400, seed: int = 0) -> dict[str, float]:
    """Return the fraction of greedy codes equal to float32's, by precision, given float32's past."""
    bundle = Bundle.open(default_bundle_path())
    model = with_float_weights(onnx.load_from_string(bundle.graph_bytes("gpt_step")))
    made = {"int8-dynamic": dynamic_int8(model), "weight-int8": weight_only(model, 8)}
    reference = OnnxRunner(model.SerializeToString())
    runners = {name: OnnxRunner(m.SerializeToString()) for name, m in made.items() if m is not None}
    random, state = np.random.default_rng(seed), reference.initial_state()
    states = {name: runner.initial_state() for name, runner in runners.items()}
    equal: dict[str, list[bool]] = {name: [] for name in runners}
    codes = [np.array([code], np.int64) for code in bundle.manifest.start_codes[0]]
    for music in demo_music(bundle)[:steps]:
        inputs = {"music": music, "upper_code": codes[0], "lower_code": codes[1]}
        inputs["style"] = np.zeros(1, np.int64)
        logits, state = reference.step(inputs, state)
        for name, runner in runners.items():
            answer, states[name] = runner.step(inputs, states[name])
            equal[name] += [
                bool(answer[f"{half}_logits"].argmax() == logits[f"{half}_logits"].argmax())
                for half in HALVES
            ]
        codes = [_sample(logits[f"{half}_logits"], random) for half in HALVES]
    return {name: float(np.mean(hits)) for name, hits in equal.items()}


def _sample(logits: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.int64]:
    """Draw one code per row at temperature 1."""
    return np.asarray((logits + random.gumbel(size=logits.shape)).argmax(axis=-1), dtype=np.int64)


def main() -> None:
    """Print a line a precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    kept = shipped_agreement(options.steps, options.seed)
    for name, fraction in kept.items():
        print(f"{name:16}{fraction:8.2%} of {2 * options.steps} greedy codes as float32")
    record = {"unit": "fraction", "seed": options.seed, "results": kept}
    write_json(options.json, "agreement", record)


if __name__ == "__main__":
    main()
