"""Does a dance last the night? Hours faster than real time, then minutes in real time.

python benchmarks/soak.py [--hours 8] [--minutes 10] [--model BUNDLE] [--song SONG] [--json FILE]

Looks for frames that are missing or not finite, for a root that wanders off, for memory and for time
per token that grow. The exit code says whether all held.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bailando.cli.live import demo_song_path
from bailando.engine.dancer import Dancer
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.performance import Performance
from bailando.engine.session import FLOOR
from bailando.engine.timeline import Timeline
from bailando.music.audio import AudioFile, StreamResampler

MAX_GROWTH_MB_PER_H = 1.0
_PAGES_MB = 1.0  # what a short run's memory may waver by
_SAMPLES_PER_REPORT = 100
_WARM_UP_SHARE = 0.2


def endless_blocks(song: Path, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Yield the song over and over, as the live source would, at the rate of the features."""
    while True:
        with AudioFile(song) as audio:
            resampler = StreamResampler(audio.sample_rate_hz, sample_rate_hz)
            for block in audio.blocks(audio.sample_rate_hz // 10):
                yield resampler.process(block)


def slope_per_hour(hours: np.ndarray, values: np.ndarray) -> float:
    """Return the growth of values per hour by a straight line, after the warm-up."""
    warm = hours >= _WARM_UP_SHARE * hours[-1]
    return float(np.polyfit(hours[warm], values[warm], 1)[0]) if warm.sum() > 2 else 0.0


def dance_fast(dancer: Dancer, song: Path, hours: float) -> dict[str, Any]:
    """Dance as fast as the machine can and watch what grows."""
    performance, timeline = Performance(dancer, dancer.session(seed=1)), Timeline(dancer.skeleton)
    process, frames_wanted = psutil.Process(), int(hours * 3600 * FRAME_RATE_HZ)
    frames, broken, farthest_m, rows = 0, 0, 0.0, []
    report_every = max(1, frames_wanted // _SAMPLES_PER_REPORT)
    token_ms: list[float] = []
    started_s = time.perf_counter()
    for block in itertools.chain([np.empty(0, np.float32)], endless_blocks(song, performance.sample_rate_hz)):
        begun_s = time.perf_counter()
        chunks = performance.feed(block)
        if chunks:
            token_ms.append(1e3 * (time.perf_counter() - begun_s) / len(chunks))
        for chunk in chunks:
            timeline.put(chunk)
            for _ in range(len(chunk.rotations)):
                pose = timeline.take()
                broken += not (pose.danced and np.isfinite(pose.positions).all())
                farthest_m = max(farthest_m, float(np.hypot(*pose.root_position[[0, 2]])))
                frames += 1
        if frames >= report_every * (len(rows) + 1):
            rss_mb = process.memory_info().rss / 2**20
            rows.append((frames / FRAME_RATE_HZ / 3600, rss_mb, float(np.median(token_ms))))
            token_ms.clear()
        if frames >= frames_wanted:
            break
    wall_s = time.perf_counter() - started_s
    table = np.array(rows)
    return {
        "hours": frames / FRAME_RATE_HZ / 3600,
        "times_real_time": frames / FRAME_RATE_HZ / wall_s,
        "watched_h": frames / FRAME_RATE_HZ / 3600 * (1.0 - _WARM_UP_SHARE),
        "frames": frames,
        "frames_missing": timeline.next_number - frames,
        "frames_broken": broken,
        "late_tokens": timeline.late_tokens,
        "root_farthest_m": farthest_m,
        "rss_mb": float(table[-1, 1]),
        "rss_growth_mb_per_h": slope_per_hour(table[:, 0], table[:, 1]),
        "token_ms_median_first_tenth": float(np.median(table[: max(1, len(table) // 10), 2])),
        "token_ms_median_last_tenth": float(np.median(table[-max(1, len(table) // 10) :, 2])),
    }


def dance_live(model: str | None, song: Path, minutes: float) -> dict[str, Any]:
    """Run the command in real time and watch its own figures and the system's."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "telemetry.jsonl"
        command = [sys.executable, "-m", "bailando.cli.live", "--input", str(song), "--loop", "--quiet"]
        command += ["--duration", str(60 * minutes), "--telemetry", str(record)]
        command += ["--model", model] if model else []
        rss: list[tuple[float, float]] = []
        started_s = time.monotonic()
        with subprocess.Popen(command) as live:
            process = psutil.Process(live.pid)
            while live.poll() is None:
                rss.append(((time.monotonic() - started_s) / 3600, process.memory_info().rss / 2**20))
                time.sleep(min(5.0, minutes))
        lines = [json.loads(line) for line in record.read_text().splitlines()]
    last, table = lines[-1], np.array(rss[1:] or rss)
    third = max(1, len(lines) // 3)
    return {
        "exit_code": live.returncode,
        "minutes": last["time_s"] / 60,
        "watched_h": last["time_s"] / 3600 * (1.0 - _WARM_UP_SHARE),
        "frames": last["frames"],
        "frames_wanted": round(60 * minutes * FRAME_RATE_HZ),
        "late_frames": last["late_frames"],
        "late_tokens": last["late_tokens"],
        "latency_p50_ms_first_third": lines[third - 1]["latency_p50_ms"],
        "latency_p50_ms_at_the_end": last["latency_p50_ms"],
        "latency_p99_ms": last["latency_p99_ms"],
        "rss_mb": float(table[-1, 1]),
        "rss_growth_mb_per_h": slope_per_hour(table[:, 0], table[:, 1]),
    }


def failures(fast: dict[str, Any] | None, live: dict[str, Any] | None) -> list[str]:
    """Return what did not hold, one line each."""
    found = []
    if fast is not None:
        found += [f"fast: {fast[key]} {key}" for key in ("frames_missing", "frames_broken") if fast[key]]
        if fast["root_farthest_m"] > FLOOR.radius_m + 1e-3:
            found.append(f"fast: the root got {fast['root_farthest_m']:.2f} m away")
        if fast["token_ms_median_last_tenth"] > 1.5 * fast["token_ms_median_first_tenth"]:
            found.append("fast: tokens take ever longer")
    if live is not None:
        if live["frames"] != live["frames_wanted"] or live["exit_code"]:
            found.append(
                f"live: {live['frames']} of {live['frames_wanted']} frames, code {live['exit_code']}"
            )
        if live["latency_p50_ms_at_the_end"] > 1.2 * live["latency_p50_ms_first_third"]:
            found.append("live: the latency grows")
    for name, part in (("fast", fast), ("live", live)):
        hours = 0.0 if part is None else part["watched_h"]
        if part is not None and part["rss_growth_mb_per_h"] * hours > MAX_GROWTH_MB_PER_H * hours + _PAGES_MB:
            found.append(f"{name}: memory grows by {part['rss_growth_mb_per_h']:.2f} MB an hour")
    return found


def main() -> None:
    """Print the figures as JSON; the exit code tells whether all held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=8.0, help="of dance, fast; 0 leaves it out")
    parser.add_argument("--minutes", type=float, default=10.0, help="in real time; 0 leaves it out")
    parser.add_argument("--model", help="bundle; default: the shipped one")
    parser.add_argument("--song", type=Path, help="default: the shipped one")
    parser.add_argument("--json", type=Path, help="append the results as one JSON line")
    options = parser.parse_args()
    song = options.song or demo_song_path()
    fast = dance_fast(Dancer.open(options.model), song, options.hours) if options.hours > 0 else None
    live = dance_live(options.model, song, options.minutes) if options.minutes > 0 else None
    found = failures(fast, live)
    results = {"fast": fast, "live": live, "load": psutil.getloadavg()[0], "failures": found}
    print(json.dumps(results, indent=2))
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps({"benchmark": "soak", "results": results}) + "\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
