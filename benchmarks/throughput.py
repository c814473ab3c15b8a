"""How many dancers does one core keep up with, where does a token go, and how fast is `bailando-generate`?

python benchmarks/throughput.py [--model BUNDLE] [--dancers 1 2 4 8] [--tokens 300] [--pause-ms 0]
    [--seconds 180] [--seed 0] [--json FILE]

Dancers: one analysis of the music and N dancers to it, as `bailando-live --dancers N` runs them, stage by
stage: features, both networks, the bodies (drawing codes, kinematics, feet). A token's elapsed time must stay
below its 133.3 ms with room for the tail; its processor time over them is the part of a core that the dance
takes. Packets are those of the token's eight frames, VMC for each dancer; another thread builds them. With a
pause before each token the caches are as cold as in a live run.
Generating: the command itself, as a user runs it, on the demo song repeated to the asked length.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import soundfile
from measure import percentiles, show, write_json
from numpy.typing import NDArray
from timed_backend import TimedBackend

import bailando
from bailando.engine.backends import load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer, default_bundle_path
from bailando.engine.frame_maker import make_frame
from bailando.engine.listener import Listener
from bailando.engine.performance import MusicReading
from bailando.engine.session import MotionChunk, step_together
from bailando.engine.sinks import Destination, VmcSink
from bailando.engine.timeline import Timeline

FloatArray = NDArray[np.float64]

TOKEN_MS = 8 / 60 * 1000
DEMO = Path(bailando.__file__).parent / "assets" / "demo" / "demo.ogg"
WARM_UP_TOKENS = 20
STAGES = ("features", "gpt", "decoder", "bodies", "token", "packets", "processor")


class Company:
    """One listener and so many dancers, timed.

    Parameters
    ----------
    bundle : Bundle
    dancers : int
    seed : int
        Of the first dancer; the others' follow.
    """

    def __init__(self, bundle: Bundle, dancers: int, seed: int) -> None:
        self._backend = TimedBackend(load_backend(bundle, "cpu"))
        dancer = Dancer(bundle, self._backend)
        self._listener = Listener(dancer)
        self._sessions = [dancer.session(seed=seed + number) for number in range(dancers)]
        self._timelines = [Timeline(dancer.skeleton) for _ in range(dancers)]
        offsets = dancer.skeleton.offsets.astype(np.float32)
        self._sinks = [VmcSink(Destination("127.0.0.1", 39539 + n), offsets) for n in range(dancers)]
        self._activities = [1.0] * dancers
        self.token_samples = dancer.manifest.frames_per_token * dancer.feature_spec.hop_length
        self._send(step_together(self._sessions, None, self._activities))

    def token(self, sound: NDArray[np.float32]) -> tuple[int, ...]:
        """Dance one token; nanoseconds of each of `STAGES`."""
        started_ns, busy_ns = perf_counter_ns(), time.thread_time_ns()
        self._listener.hear(sound)
        music = self._listener.next_token()
        assert music is not None
        heard_ns = perf_counter_ns()
        chunks = step_together(self._sessions, music.features, self._activities)
        danced_ns, busy_ns = perf_counter_ns(), time.thread_time_ns() - busy_ns
        self._send(chunks)
        sent_ns = perf_counter_ns()
        gpt_ns, decoder_ns = self._backend.spent_ns["gpt_step"], self._backend.spent_ns["decoder_step"]
        return (
            heard_ns - started_ns,
            gpt_ns,
            decoder_ns,
            danced_ns - heard_ns - gpt_ns - decoder_ns,
            danced_ns - started_ns,
            sent_ns - danced_ns,
            busy_ns,
        )

    def _send(self, chunks: tuple[MotionChunk, ...]) -> None:
        """Make the packets of a token's frames."""
        for timeline, chunk, sink in zip(self._timelines, chunks, self._sinks, strict=True):
            timeline.put(chunk)
            for frame in range(len(chunk.rotations)):
                sink.values(make_frame(chunk.first_frame + frame, timeline.take(), MusicReading(), False))


def company_ms(
    bundle: Bundle, dancers: int, tokens: int, seed: int, pause_ms: float = 0.0
) -> dict[str, FloatArray]:
    """Return milliseconds of each token of so many dancers, stage by stage."""
    company, random = Company(bundle, dancers, seed), np.random.default_rng(seed)
    spent = []
    for _ in range(WARM_UP_TOKENS + tokens):
        sound = random.normal(0, 0.1, company.token_samples).astype(np.float32)
        time.sleep(pause_ms / 1e3)
        spent.append(company.token(sound))
    return dict(zip(STAGES, np.array(spent[WARM_UP_TOKENS:]).T / 1e6, strict=True))


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
    parser.add_argument("--pause-ms", type=float, default=0.0, help="before each token")
    parser.add_argument(
        "--seconds", type=float, default=180.0, help="of the song to generate for; 0: leave it"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    bundle = Bundle.open(options.model)
    together = "together" if bundle.manifest.graphs["gpt_step"].free_batch else "one after another"
    stages, cores = {}, {}
    for count in options.dancers:
        spent = company_ms(bundle, count, options.tokens, options.seed, options.pause_ms)
        cores[str(count)] = float(spent.pop("processor").mean()) / TOKEN_MS
        stages[str(count)] = {stage: percentiles(values) for stage, values in spent.items()}
        show(f"ms, dancers: {count}", stages[str(count)])
    elapsed = {count: rows["token"] for count, rows in stages.items()}
    show(f"ms per token of {TOKEN_MS:.1f}, dancers {together}", elapsed)
    for count, share in cores.items():
        print(f"{count:>2} dancers: {100 * share:5.1f} % of a core, {100 * share / int(count):.1f} % each")
    record: dict[str, Any] = {
        "unit": "ms",
        "seed": options.seed,
        "pause_ms": options.pause_ms,
        "token": elapsed,
        "stages": stages,
        "cores_busy": cores,
        "together": together,
    }
    if options.seconds:
        record["generate"] = generating(options.seconds, options.seed)
        print("bailando-generate: {song_s:.0f} s of song in {elapsed_s:.1f} s".format(**record["generate"]))
    write_json(options.json, "throughput", record)


if __name__ == "__main__":
    main()
