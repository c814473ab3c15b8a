"""How many dancers does one core keep up with, what does a batch save, how fast is `bailando-generate`?

python benchmarks/throughput.py [--seconds 180] [--tokens 300] [--batches 1 2 4 8] [--seed 0] [--json FILE]

Dancers per core: 133.3 ms over the processor time of one dancer's token, music features included once per
dancer. Batches: the GPT step of the live size with random weights, exported for so many dancers.
Generating: the command itself, as a user runs it, on the demo song repeated to the asked length.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from time import thread_time_ns

import numpy as np
import soundfile
import torch
from measure import open_session, percentiles, show, take_turns, write_json

import bailando
from bailando.engine.dancer import Dancer
from bailando.export.graphs import gpt_step_graph
from bailando.export.onnx_export import export_onnx
from bailando.models.gpt import CrossConditionalGPT
from bailando.models.presets import preset
from bailando.music.features import FeatureExtractor

TOKEN_MS = 8 / 60 * 1000
DEMO = Path(bailando.__file__).parent / "assets" / "demo" / "demo.ogg"
WARM_UP_TOKENS = 20


def token_ms(tokens: int, seed: int) -> np.ndarray:
    """Return the processor time of each token of one dancer, ms: features, networks, kinematics."""
    dancer = Dancer.open()
    session, extractor = dancer.session(seed=seed), FeatureExtractor(dancer.feature_spec)
    state, random = extractor.initial_state(), np.random.default_rng(seed)
    session.step(None)
    spent = []
    for _ in range(WARM_UP_TOKENS + tokens):
        hops = random.normal(0, 0.1, (8, extractor.spec.hop_length)).astype(np.float32)
        started_ns = thread_time_ns()
        features, state = extractor.step(hops, state)
        session.step(features)
        spent.append((thread_time_ns() - started_ns) / 1e6)
    return np.array(spent[WARM_UP_TOKENS:])


def batch_ms(batches: list[int], seed: int) -> dict[str, float]:
    """Return the median GPT step per dancer, ms, by batch size."""
    torch.manual_seed(seed)
    gpt = CrossConditionalGPT(preset("live", features=51).gpt).eval()
    work = {}
    for batch in batches:
        graph = gpt_step_graph(gpt, batch)
        session = open_session(export_onnx(graph).SerializeToString())
        feed = {name: value.numpy() for name, value in {**graph.inputs, **graph.state}.items()}
        work[str(batch)] = lambda session=session, feed=feed: session.run(None, feed)
    spent = take_turns(work, 20, inner=3)
    return {name: float(np.median(values)) / int(name) for name, values in spent.items()}


def generating(seconds: float, seed: int) -> dict[str, float]:
    """Run `bailando-generate` on a song of so many seconds; how long it took, and its real-time factor."""
    samples, rate_hz = soundfile.read(DEMO, dtype="float32")
    wanted = round(seconds * rate_hz)
    song = np.concatenate([samples] * -(-wanted // len(samples)))[:wanted]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"
        soundfile.write(path, song, rate_hz)
        command = [sys.executable, "-m", "bailando.cli.generate", str(path), "-o", f"{folder}/dance.npz"]
        started_s = time.perf_counter()
        subprocess.run([*command, "--seed", str(seed), "--quiet"], check=True)
        elapsed_s = time.perf_counter() - started_s
    return {"song_s": seconds, "elapsed_s": elapsed_s, "times_real_time": seconds / elapsed_s}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180.0, help="of the song to generate for")
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    row = percentiles(token_ms(options.tokens, options.seed))
    show("ms per token, one thread", {"one dancer": row})
    dancers = TOKEN_MS / row["p50"]
    print(f"{dancers:.1f} dancers per core (half of them leave the tail of the distribution room)")
    batches = batch_ms(options.batches, options.seed)
    for size, value in batches.items():
        print(f"GPT step, batch {size:>2}: {value:.3f} ms per dancer")
    generated = generating(options.seconds, options.seed)
    print("bailando-generate: {song_s:.0f} s of song in {elapsed_s:.1f} s".format(**generated))
    record = {"unit": "ms", "seed": options.seed, "token": row, "dancers_per_core": dancers}
    record |= {"gpt_ms_per_dancer": batches, "generate": generated}
    write_json(options.json, "throughput", record)


if __name__ == "__main__":
    main()
