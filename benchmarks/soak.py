"""Does a dance last the night? Hours faster than real time, then minutes in real time.

python benchmarks/soak.py [--hours 8] [--realtime-minutes 10] [--progress FILE] [--model BUNDLE]
                          [--song SONG] [--json FILE]

Looks for frames that are missing or not finite, for a root that wanders off, for memory and for time
per token that grow. A line now and then tells how far it is; the last says whether all held, and so does
the exit code. With ``--progress`` a run that was ended (Ctrl-C, SIGTERM) goes on where it was: what it had
danced counts, each part with its own memory and time per token.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bailando.cli.live import demo_song_path
from bailando.engine.dancer import Dancer
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.performance import Performance
from bailando.engine.session import FLOOR, MotionChunk
from bailando.engine.timeline import Pose, Timeline
from bailando.music.audio import AudioFile, StreamResampler

MAX_GROWTH_MB_PER_H = 1.0
_PAGES_MB = 1.0  # what a short run's memory may waver by
_ROWS_PER_H = 60
_PROGRESS_EVERY_S = 20.0
_WARM_UP_SHARE = 0.2
_MAX_DRIFT_OF_RADIUS = 0.5
_MIN_H_TO_JUDGE = 0.1  # growth in less tells nothing
_MIN_H_OF_DRIFT = 1.0  # a dancer stays in one corner of the floor for minutes
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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


class Watch:
    """What is seen of a fast dance, a row a minute of dance; and a line now and then."""

    def __init__(self, hours: float, say: Callable[[str], None]) -> None:
        self._hours = hours
        self._say = say
        self._process = psutil.Process()
        self._started_s = self._said_s = time.perf_counter()
        self._token_ms: list[float] = []
        self._place_sum, self._places = np.zeros(2), 0
        self.frames = self.missing = self.broken = 0
        self.farthest_m = 0.0
        self.rows: list[tuple[float, ...]] = []

    @property
    def hours(self) -> float:
        """Hours of dance so far."""
        return self.frames / FRAME_RATE_HZ / 3600

    def expect(self, chunk: MotionChunk) -> None:
        """Compare a token's first frame number with the one that is due."""
        self.missing += abs(chunk.first_frame - self.frames)

    def see(self, pose: Pose) -> None:
        """Look at one frame."""
        self.frames += 1
        self.broken += not (pose.danced and bool(np.isfinite(pose.positions).all()))
        place = pose.root_position[[0, 2]]
        self.farthest_m = max(self.farthest_m, float(np.hypot(*place)))
        self._place_sum += place
        self._places += 1

    def token_took(self, milliseconds: float) -> None:
        """Note the time of one token; end the row when it is full."""
        self._token_ms.append(milliseconds)
        if self.hours * _ROWS_PER_H >= len(self.rows) + 1:
            rss_mb = self._process.memory_info().rss / 2**20
            middle = self._place_sum / self._places
            self.rows.append((self.hours, rss_mb, float(np.median(self._token_ms)), *map(float, middle)))
            self._token_ms.clear()
            self._place_sum, self._places = np.zeros(2), 0
        if time.perf_counter() - self._said_s >= _PROGRESS_EVERY_S:
            self._said_s = time.perf_counter()
            rss_mb = self._process.memory_info().rss / 2**20
            self._say(f"{self.hours:.2f} of {self._hours:g} h danced, {self.speed():.0f} x, {rss_mb:.0f} MB")

    def speed(self) -> float:
        """How many times faster than real time."""
        return self.frames / FRAME_RATE_HZ / (time.perf_counter() - self._started_s)

    def results(self, timeline: Timeline) -> dict[str, Any]:
        """Return the figures; growth after the warm-up."""
        table = np.array(self.rows or [(self.hours, self._process.memory_info().rss / 2**20, 0.0, 0.0, 0.0)])
        tenth, third = max(1, len(table) // 10), max(1, len(table) // 3)
        drift = table[-third:, 3:].mean(axis=0) - table[:third, 3:].mean(axis=0)
        return {
            "hours": self.hours,
            "times_real_time": self.speed(),
            "watched_h": self.hours * (1.0 - _WARM_UP_SHARE),
            "frames": self.frames,
            "frames_missing": self.missing + abs(timeline.next_number - self.frames),
            "frames_broken": self.broken,
            "late_tokens": timeline.late_tokens,
            "root_farthest_m": self.farthest_m,
            "root_drift_m": float(np.hypot(*drift)),
            "rss_mb": float(table[-1, 1]),
            "rss_growth_mb_per_h": slope_per_hour(table[:, 0], table[:, 1]),
            "token_ms_median_first_tenth": float(np.median(table[:tenth, 2])),
            "token_ms_median_last_tenth": float(np.median(table[-tenth:, 2])),
        }


def dance_fast(
    dancer: Dancer, song: Path, hours: float, ended: Callable[[], bool], say: Callable[[str], None]
) -> dict[str, Any]:
    """Dance as fast as the machine can, until it is enough or ended, and watch what grows."""
    performance, timeline = Performance(dancer, dancer.session(seed=1)), Timeline(dancer.skeleton)
    watch = Watch(hours, say)
    for block in itertools.chain([np.empty(0, np.float32)], endless_blocks(song, performance.sample_rate_hz)):
        begun_s = time.perf_counter()
        chunks = performance.feed(block)
        took_ms = 1e3 * (time.perf_counter() - begun_s)
        for chunk in chunks:
            watch.expect(chunk)
            timeline.put(chunk)
            for _ in range(len(chunk.rotations)):
                watch.see(timeline.take())
            watch.token_took(took_ms / len(chunks))
        if watch.hours >= hours or ended():
            break
    return watch.results(timeline)


def dance_live(model: str | None, song: Path, minutes: float, say: Callable[[str], None]) -> dict[str, Any]:
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
                if len(rss) % 12 == 0:
                    say(f"{60 * rss[-1][0]:.1f} of {minutes:g} min in real time, {rss[-1][1]:.0f} MB")
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


def fast_failures(part: dict[str, Any]) -> list[str]:
    """Return what did not hold in a fast dance."""
    found = [f"fast: {part[key]} {key}" for key in ("frames_missing", "frames_broken") if part[key]]
    if part["root_farthest_m"] > FLOOR.radius_m + 1e-3:
        found.append(f"fast: the root got {part['root_farthest_m']:.2f} m away")
    if part["hours"] < _MIN_H_TO_JUDGE:
        return found
    if part["hours"] >= _MIN_H_OF_DRIFT and part["root_drift_m"] > _MAX_DRIFT_OF_RADIUS * FLOOR.radius_m:
        found.append(f"fast: the root drifted {part['root_drift_m']:.2f} m")
    if part["token_ms_median_last_tenth"] > 1.5 * part["token_ms_median_first_tenth"]:
        found.append("fast: tokens take ever longer")
    return found


def live_failures(live: dict[str, Any]) -> list[str]:
    """Return what did not hold in real time."""
    found = []
    if live["frames"] != live["frames_wanted"] or live["exit_code"]:
        found.append(f"live: {live['frames']} of {live['frames_wanted']} frames, code {live['exit_code']}")
    if live["latency_p50_ms_at_the_end"] > 1.2 * live["latency_p50_ms_first_third"]:
        found.append("live: the latency grows")
    return found


def failures(parts: list[dict[str, Any]], live: dict[str, Any] | None, hours: float) -> list[str]:
    """Return what did not hold, one line each."""
    found = [line for part in parts for line in fast_failures(part)]
    danced_h = sum(part["hours"] for part in parts)
    if danced_h < hours - 1e-3:
        found.append(f"fast: {danced_h:.2f} of {hours:g} h danced; go on with --progress FILE")
    found += live_failures(live) if live is not None else []
    for name, part in [("fast", part) for part in parts] + ([("live", live)] if live is not None else []):
        watched_h, growth = part["watched_h"], part["rss_growth_mb_per_h"]
        if watched_h >= _MIN_H_TO_JUDGE and growth * watched_h > MAX_GROWTH_MB_PER_H * watched_h + _PAGES_MB:
            found.append(f"{name}: memory grows by {growth:.2f} MB an hour")
    return found


def say(line: str) -> None:
    """Show how far it is, on a line of its own outside the results."""
    print(f"soak: {line}", file=sys.stderr, flush=True)


def read_parts(progress: Path | None) -> list[dict[str, Any]]:
    """Return the parts that were danced before."""
    if progress is None or not progress.is_file():
        return []
    return [json.loads(line) for line in progress.read_text().splitlines()]


def dance_parts(options: argparse.Namespace, song: Path) -> list[dict[str, Any]]:
    """Return the fast dance: what was danced before and what is left of it."""
    parts = read_parts(options.progress)
    left_h = options.hours - sum(part["hours"] for part in parts)
    if left_h > 1e-3:
        ended: list[int] = []
        before = {number: signal.signal(number, lambda *_: ended.append(1)) for number in _SIGNALS}
        parts.append(dance_fast(Dancer.open(options.model), song, left_h, lambda: bool(ended), say))
        for number, handler in before.items():
            signal.signal(number, handler)
        if options.progress is not None:
            with options.progress.open("a") as file:
                file.write(json.dumps(parts[-1]) + "\n")
    return parts


def main() -> None:
    """Print the figures as JSON and the verdict; the exit code tells whether all held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=8.0, help="of dance, fast; 0 leaves it out")
    parser.add_argument("--realtime-minutes", type=float, default=10.0, help="0 leaves it out")
    parser.add_argument("--progress", type=Path, help="keeps what was danced, so that it can go on")
    parser.add_argument("--model", help="bundle; default: the shipped one")
    parser.add_argument("--song", type=Path, help="default: the shipped one")
    parser.add_argument("--json", type=Path, help="append the results as one JSON line")
    options = parser.parse_args()
    song = options.song or demo_song_path()
    parts = dance_parts(options, song)
    enough = sum(part["hours"] for part in parts) >= options.hours - 1e-3
    minutes = options.realtime_minutes if enough else 0.0
    live = dance_live(options.model, song, minutes, say) if minutes > 0 else None
    found = failures(parts, live, options.hours)
    results = {"fast": parts, "live": live, "load": psutil.getloadavg()[0], "failures": found}
    print(json.dumps(results, indent=2))
    print("FAIL: " + "; ".join(found) if found else "PASS: all held")
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps({"benchmark": "soak", "results": results}) + "\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
