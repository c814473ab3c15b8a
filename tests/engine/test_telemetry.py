"""Percentiles, the status line and JSON lines."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bailando.engine.telemetry import LatencyHistogram, Status, StatusPrinter, TelemetryFile, status_line
from bailando.errors import OutputError

STATUS = Status(
    time_s=65.0,
    fps=59.97,
    latency_p50_ms=31.2,
    latency_p99_ms=40.4,
    compute_p50_ms=3.0,
    compute_p99_ms=5.0,
    compute_max_ms=9.0,
    bpm=128.0,
    phase=0.1,
    confidence=0.9,
    level=0.5,
    frames=3900,
    late_frames=2,
    sent_late=1,
    repeated_frames=0,
    dropped_frames=0,
    extrapolated_frames=1,
    late_tokens=1,
    rejected_codes=0,
    rejected_poses=0,
    lost_samples=0,
    replaced_samples=0,
    send_errors=0,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("percent", [1.0, 50.0, 99.0, 99.9])
def test_percentiles_lie_at_most_five_percent_above_the_true_ones(percent: float) -> None:
    durations = np.random.default_rng(0).lognormal(15, 1, 5000).astype(np.int64)
    histogram = LatencyHistogram()
    for duration_ns in durations:
        histogram.record(int(duration_ns))
    true = float(np.percentile(durations, percent, method="inverted_cdf"))
    assert true <= histogram.percentile_ns(percent) <= 1.05 * true
    assert histogram.max_ns == durations.max()
    assert histogram.count == 5000


def test_empty_histogram_says_zero_and_odd_durations_are_taken() -> None:
    histogram = LatencyHistogram()
    assert histogram.percentile_ns(99) == 0
    histogram.record(-5)
    histogram.record(1 << 60)
    assert histogram.count == 2


def test_status_line_tells_what_matters_in_a_hundred_columns() -> None:
    line = status_line(STATUS)
    assert len(line) <= 100
    for part in ("1:05", "60.0 fps", "p50 31 p99 40 ms", "128.0 bpm ●", "▮▮▮▮▯▯▯▯", "late 2"):
        assert part in line


def test_status_line_names_every_counter_that_is_not_zero() -> None:
    shaken = replace(
        STATUS,
        reconnects=1,
        backend_restarts=2,
        dropped_frames=3,
        send_errors=4,
        lost_samples=5,
        extrapolated_frames=6,
        late_tokens=7,
        skipped_songs=8,
        clock_slew_ms=-1.26,
    )
    counted = "reconnects 1  restarts 2  dropped 7  overrun 5  extrapolated 6  late tokens 7  skipped 8"
    assert status_line(shaken, width=300).endswith(f"late 2  {counted}  slew -1.3 ms")
    assert "idle" in status_line(replace(STATUS, idle=True))
    assert "no device" in status_line(replace(STATUS, connected=False))


@pytest.mark.parametrize("width", [79, 80, 100, 160])
@pytest.mark.parametrize("color", [False, True])
def test_counters_that_do_not_fit_are_left_out(width: int, color: bool) -> None:
    shaken = replace(STATUS, reconnects=12345, backend_restarts=12345, lost_samples=12345)
    line = re.sub(r"\x1b\[\d+m", "", status_line(shaken, color, width))
    assert len(line) <= width
    assert line.endswith("…") == (width < 160)


def test_terminal_line_is_rewritten_and_left_at_the_end() -> None:
    terminal = Terminal()
    printer = StatusPrinter(terminal, color=False)
    printer.show(STATUS)
    printer.show(replace(STATUS, time_s=66.0))
    printer.close()
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert text.count("\r") == 2
    assert "\x1b[3" not in text


def test_colour_appears_on_terminals_only() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        StatusPrinter(stream).show(STATUS)
    assert "\x1b[31mlate 2" in terminal.getvalue()
    assert file.getvalue() == status_line(STATUS, width=200) + "\n"


def test_reader_that_went_away_does_not_stop_the_show() -> None:
    stream = io.StringIO()
    printer = StatusPrinter(stream)
    stream.close()
    printer.show(STATUS)


def test_json_lines_hold_every_number() -> None:
    stream = io.StringIO()
    printer = StatusPrinter(stream, as_json=True)
    printer.show(STATUS)
    record = json.loads(stream.getvalue())
    assert record["bpm"] == 128.0
    assert set(record) == set(Status.__dataclass_fields__)


def test_telemetry_file_holds_one_json_line_a_status(tmp_path: Path) -> None:
    telemetry = TelemetryFile(tmp_path / "t.jsonl")
    telemetry.write(STATUS)
    telemetry.write(replace(STATUS, frames=3960))
    telemetry.close()
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    assert [json.loads(line)["frames"] for line in lines] == [3900, 3960]


def test_telemetry_file_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write telemetry"):
        TelemetryFile(tmp_path / "nowhere" / "t.jsonl")
