from __future__ import annotations

from pathlib import Path

import pytest
from plots import STAGES, draw_all

ROW = {"p50": 1.0, "p95": 1.5, "p99": 2.0, "p99.9": 3.0, "max": 4.0}


def test_what_was_measured_is_drawn_and_the_rest_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = {
        "step_latency": {"results": dict.fromkeys(STAGES, ROW), "cpu": "A <fast> one"},
        "cache_vs_recompute": {"results": {"cached": ROW}, "ms_by_position": {"100": 1.0, "1000": 1.1}},
    }
    assert draw_all(results, tmp_path) == ["stages", "cache", "context"]
    assert all((tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG" for name in ("stages", "context"))
    page = (tmp_path / "index.html").read_text()
    assert page.count("<img") == 3
    assert "A &lt;fast&gt; one" in page
    assert "jitter: no largest_by_second of jitter in the results" in capsys.readouterr().out
