"""How many dancers does one core keep up with, and how fast is `bailando-generate`?

python benchmarks/throughput.py [--model BUNDLE] [--dancers 1 2 4 8] [--tokens 300] [--seconds 180] [--seed 0]
    [--json FILE]

Dancers: one analysis of the music and N dancers to it, as `bailando-live --dancers N` runs them. A token's
elapsed time must stay below its 133.3 ms with room for the tail; its processor time over them is the part of
a core that the dance takes.
Generating: the command itself, as a user runs it, on the demo song repeated to the asked length.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from measure import percentiles, show, write_json
from numpy.typing import NDArray

import bailando
from bailando.engine.dancer import Dancer, default_bundle_path
from bailando.engine.performance import Ensemble

FloatArray = NDArray[np.float64]

TOKEN_MS = 8 / 60 * 1000
DEMO = Path(bailando.__file__).parent / "assets" / "demo" / "demo.ogg"
WARM_UP_TOKENS = 20


def company_ms(dancer: Dancer, dancers: int, tokens: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return elapsed and processor time of each token of so many dancers, ms."""
    sessions = [dancer.session(seed=seed + number) for number in range(dancers)]
    ensemble, random = Ensemble(dancer, sessions), np.random.default_rng(seed)
    samples = 8 * dancer.feature_spec.hop_length
    spent = []
    for _ in range(WARM_UP_TOKENS + tokens):
        sound = random.normal(0, 0.1, samples).astype(np.float32)
        started_ns, busy_ns = time.perf_counter_ns(), time.thread_time_ns()
        ensemble.feed(sound)
        spent.append((time.perf_counter_ns() - started_ns, time.thread_time_ns() - busy_ns))
    elapsed, busy = np.array(spent[WARM_UP_TOKENS:]).T / 1e6
    return elapsed, busy


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
    parser.add_argument("--model", default=default_bundle_path(), help="bundle; default: the shipped one")
    parser.add_argument("--dancers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument(
        "--seconds", type=float, default=180.0, help="of the song to generate for; 0: leave it"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    dancer = Dancer.open(options.model, backend="cpu")
    together = "together" if dancer.manifest.graphs["gpt_step"].free_batch else "one after another"
    elapsed, cores = {}, {}
    for count in options.dancers:
        spent, busy = company_ms(dancer, count, options.tokens, options.seed)
        elapsed[str(count)] = percentiles(spent)
        cores[str(count)] = float(busy.mean()) / TOKEN_MS
    show(f"ms per token of {TOKEN_MS:.1f}, dancers {together}", elapsed)
    for count, share in cores.items():
        print(f"{count:>2} dancers: {100 * share:5.1f} % of a core, {100 * share / int(count):.1f} % each")
    record: dict[str, Any] = {
        "unit": "ms",
        "seed": options.seed,
        "token": elapsed,
        "cores_busy": cores,
        "together": together,
    }
    if options.seconds:
        record["generate"] = generating(options.seconds, options.seed)
        print("bailando-generate: {song_s:.0f} s of song in {elapsed_s:.1f} s".format(**record["generate"]))
    write_json(options.json, "throughput", record)


if __name__ == "__main__":
    main()
