from __future__ import annotations

import json

from gate import ALLOWED, BASELINE, measured, slower, stages


def test_a_stage_half_as_slow_again_fails_and_one_below_passes() -> None:
    baseline = {"a": 1.0, "b": 1.0}
    assert slower({"a": ALLOWED * 1.01, "b": ALLOWED * 0.99}, baseline) == ["a"]


def test_a_stage_without_a_baseline_fails() -> None:
    assert slower({"new": 0.1}, {}) == ["new"]


def test_the_ratio_is_ours_over_the_reference() -> None:
    ratio = measured({"ten to one": (lambda: sum(range(200_000)), lambda: sum(range(20_000)))})["ten to one"]
    assert 3.0 < ratio < 30.0


def test_every_stage_has_a_recorded_baseline() -> None:
    assert set(json.loads(BASELINE.read_text())) == set(stages())
