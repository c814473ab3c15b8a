from __future__ import annotations

import json
import sys
from pathlib import Path

import gate
import pytest
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


@pytest.mark.parametrize(("times", "code"), [(1, 0), (3, 1)])
def test_the_gate_fails_when_a_real_stage_is_made_slower(
    times: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "VMC packet / python-osc"
    pairs = {name: gate.stages()[name]}
    monkeypatch.setattr(gate, "BASELINE", tmp_path / "baseline.json")
    monkeypatch.setattr(sys, "argv", ["gate", "--record"])
    monkeypatch.setattr(gate, "stages", lambda: pairs)
    assert gate.main() == 0
    slowed = {
        name: (lambda ours=ours: [ours() for _ in range(times)], reference)
        for name, (ours, reference) in pairs.items()
    }
    monkeypatch.setattr(gate, "stages", lambda: slowed)
    monkeypatch.setattr(sys, "argv", ["gate"])
    assert gate.main() == code
