"""The live run as a benchmark, and the dancers' token by stages."""

from __future__ import annotations

import numpy as np
import pytest
from live_demo import Lost, medians, run, show, theft
from throughput import STAGES, company_ms

from bailando.engine.bundle import Bundle
from bailando.engine.dancer import default_bundle_path


def test_of_several_runs_the_median_of_each_figure_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        {"exit_code": 0, "frames": 100, "compute_p50_ms": 9.0},
        {"exit_code": 1, "frames": 300, "compute_p50_ms": 20.0},
        {"exit_code": 0, "frames": 200, "compute_p50_ms": 10.0},
    ]
    assert medians(runs) == {"exit_code": 1, "frames": 200, "compute_p50_ms": 10.0}
    show(runs)
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["median", "run", "1", "run", "2", "run", "3"]
    assert rows[1].split() == ["frames", "200", "100", "300", "200"]


def test_one_run_is_its_own_median(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"exit_code": 0, "frames": 100}])
    assert capsys.readouterr().out.split() == ["exit_code", "0", "frames", "100"]


def test_theft_is_told_of_seconds_with_a_missed_deadline_and_of_the_others() -> None:
    lost = [Lost(0, 5.0), Lost(0, 5.0), Lost(2, 45.0), Lost(2, 55.0), Lost(3, 115.0), Lost(3, 115.0)]
    assert theft(lost) == {"seconds_missed": 2, "stolen_ms_when_missed": 50.0, "stolen_ms_when_kept": 0.0}
    assert theft(lost[:1])["seconds_missed"] == 0


def test_a_run_of_two_dancers_tells_of_their_deadlines() -> None:
    figures = run(1.0, 2, None)
    assert figures["exit_code"] == 0
    assert figures["frames"] + figures["dropped_frames"] == 60
    kinds = ("sent_late", "repeated_frames", "dropped_frames", "extrapolated_frames")
    assert figures["deadlines_missed"] == sum(figures[kind] for kind in kinds)
    assert figures["compute_max_ms"] >= figures["compute_p50_ms"] > 0.0
    assert figures["stolen_ms"] >= 0.0


def test_a_token_of_two_dancers_is_its_stages() -> None:
    spent = company_ms(Bundle.open(default_bundle_path()), 2, 3, 0)
    assert [len(spent[stage]) for stage in STAGES] == [3] * len(STAGES)
    parts = sum(spent[stage] for stage in ("features", "gpt", "decoder", "bodies"))
    np.testing.assert_allclose(parts, spent["token"], rtol=1e-9)
    assert min(spent[stage].min() for stage in STAGES) > 0.0
