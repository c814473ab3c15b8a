"""What a run measures of itself: latency percentiles, counters, and how they are told."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from bailando.errors import OutputError

_BUCKETS_PER_OCTAVE = 16
_OCTAVES = 40
_NO_LIMIT = 1000
_SLEW_WORTH_A_WORD_MS = 0.1
_COLOR = re.compile(r"\x1b\[\d+m")


class LatencyHistogram:
    """Counts of durations in buckets 4.4 % wide, so that percentiles cost no memory over hours.

    One thread records; others may read, and see at worst a few records less.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS_PER_OCTAVE * _OCTAVES, np.int64)
        self.max_ns = 0

    @property
    def count(self) -> int:
        """Number of durations recorded."""
        return int(self._counts.sum())

    def record(self, duration_ns: int) -> None:
        """Add one duration; negative ones count as zero."""
        duration_ns = max(int(duration_ns), 1)
        self.max_ns = max(self.max_ns, duration_ns)
        bucket = int(np.log2(duration_ns) * _BUCKETS_PER_OCTAVE)
        self._counts[min(bucket, len(self._counts) - 1)] += 1

    def percentile_ns(self, percent: float) -> int:
        """Return an upper bound, at most 4.4 % above the true percentile; 0 when empty."""
        cumulated = np.cumsum(self._counts)
        if cumulated[-1] == 0:
            return 0
        bucket = int(np.searchsorted(cumulated, np.ceil(percent / 100 * cumulated[-1])))
        return min(int(2.0 ** ((bucket + 1) / _BUCKETS_PER_OCTAVE)), self.max_ns)


@dataclass(frozen=True)
class Status:
    """One look at a run.

    Attributes
    ----------
    time_s : float
        Media time of the newest frame.
    fps : float
        Frames that left in the last interval, per second.
    latency_p50_ms, latency_p99_ms : float
        From the last sound a token hears to its motion being ready.
    compute_p50_ms, compute_p99_ms, compute_max_ms : float
        Features, networks and kinematics of one token.
    bpm, phase, confidence, level : float
        The music now (`MusicReading`).
    frames : int
        Frames that left.
    late_frames : int
        Frames that left late, were repeated, dropped or extrapolated: the sum of the next four.
    sent_late, repeated_frames, dropped_frames, extrapolated_frames : int
    late_tokens, rejected_codes, rejected_poses : int
    lost_samples, replaced_samples : int
        Audio lost by the device; NaN and infinite samples that became silence.
    send_errors : int
        Datagrams that the system did not take.
    sink_dropped_frames : int
        Frames that a slow receiver other than of datagrams, such as a browser, was spared.
    title : str
        What sounds.
    connected, idle : bool
        Whether the device is there; whether the dancers idle for want of music.
    reconnects, skipped_songs, backend_restarts : int
        Devices that came back, songs that could not be played, backends started anew.
    clock_drift_ppm, clock_slew_ms : float
        The card's clock against the host's, and how far the frames have followed it.
    delay_ms : float
        From a moment of the sound to the motion of that moment, the device's own latency included.
    """

    time_s: float
    fps: float
    latency_p50_ms: float
    latency_p99_ms: float
    compute_p50_ms: float
    compute_p99_ms: float
    compute_max_ms: float
    bpm: float
    phase: float
    confidence: float
    level: float
    frames: int
    late_frames: int
    sent_late: int
    repeated_frames: int
    dropped_frames: int
    extrapolated_frames: int
    late_tokens: int
    rejected_codes: int
    rejected_poses: int
    lost_samples: int
    replaced_samples: int
    send_errors: int
    sink_dropped_frames: int = 0
    title: str = ""
    connected: bool = True
    idle: bool = False
    reconnects: int = 0
    skipped_songs: int = 0
    backend_restarts: int = 0
    clock_drift_ppm: float = 0.0
    clock_slew_ms: float = 0.0
    delay_ms: float = 0.0

    def to_json(self) -> str:
        """Return one JSON line, numbers rounded to what they are good for."""
        form = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return json.dumps(form)


class StatusPrinter:
    """Tells a run's status: one line rewritten on a terminal, a line now and then elsewhere.

    Parameters
    ----------
    stream : TextIO
        Where to print.
    color : bool
        Whether to use colours; only on a terminal.
    as_json : bool
        Print JSON lines instead.
    """

    def __init__(self, stream: TextIO, color: bool = True, as_json: bool = False) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty() and not as_json
        self._color = color and self._is_terminal
        self._as_json = as_json
        self._open_line = False

    @property
    def interval_s(self) -> float:
        """How often it is worth calling `show`."""
        if self._as_json:
            return 1.0
        return 0.25 if self._is_terminal else 5.0

    def show(self, status: Status) -> None:
        """Print the status."""
        if self._as_json:
            self._write(status.to_json() + "\n")
        elif self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[2K{status_line(status, self._color, width)}")
            self._open_line = True
        else:
            self._write(status_line(status, width=_NO_LIMIT) + "\n")

    def close(self) -> None:
        """Leave the rewritten line as it is and begin a new one."""
        if self._open_line:
            self._write("\n")
            self._open_line = False

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._open_line = False  # nobody reads any more; the show goes on


def status_line(status: Status, color: bool = False, width: int = 100) -> str:
    """Return the status as one line; of the counters that are not zero as many as `width` columns hold."""
    beat = "●" if status.phase < 0.25 else "○"
    bars = round(min(max(status.level, 0.0), 1.0) * 8)
    level = "▮" * bars + "▯" * (8 - bars)
    late = f"late {status.late_frames}"
    if color:
        beat = f"\x1b[35m{beat}\x1b[0m"
        level = f"\x1b[32m{level}\x1b[0m"
        late = f"\x1b[31m{late}\x1b[0m" if status.late_frames else late
    minutes, seconds = divmod(int(status.time_s), 60)
    line = (
        f"{minutes}:{seconds:02d}  {status.fps:4.1f} fps  "
        f"latency p50 {status.latency_p50_ms:.0f} p99 {status.latency_p99_ms:.0f} ms  "
        f"{status.bpm:5.1f} bpm {beat}  level {level}  {late}"
    )
    used = len(_COLOR.sub("", line))
    for word in _counter_words(status):
        if used + 2 + len(word) > width:
            return line + " …"[: max(0, width - used)]
        line, used = f"{line}  {word}", used + 2 + len(word)
    return line


def _counter_words(status: Status) -> list[str]:
    """Return state and counters that are worth a word, the gravest first."""
    words = ["no device"] if not status.connected else ["idle"] if status.idle else []
    counters = {
        "reconnects": status.reconnects,
        "restarts": status.backend_restarts,
        "dropped": status.dropped_frames + status.send_errors,
        "overrun": status.lost_samples,
        "extrapolated": status.extrapolated_frames,
        "late tokens": status.late_tokens,
        "skipped": status.skipped_songs,
    }
    words += [f"{name} {count}" for name, count in counters.items() if count]
    if abs(status.clock_slew_ms) >= _SLEW_WORTH_A_WORD_MS:
        words.append(f"slew {status.clock_slew_ms:+.1f} ms")
    return words


class TelemetryFile:
    """JSON lines, one a second, in a file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            self._file = io.TextIOWrapper(io.FileIO(path, "w"), encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"cannot write telemetry to {path} ({error.strerror}); check the path"
            ) from None
        self.failures = 0

    def write(self, status: Status) -> None:
        """Add a line; a full disk is counted, not raised."""
        try:
            self._file.write(status.to_json() + "\n")
            self._file.flush()
        except OSError:
            self.failures += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()
