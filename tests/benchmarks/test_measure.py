from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from measure import percentiles, take_turns, write_json


def test_candidates_take_turns_and_their_warm_up_does_not_count() -> None:
    calls: list[str] = []
    spent = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, warm_up=1)
    assert calls == ["a", "b", "a", "a", "b", "b", "a", "a", "b", "b"]
    assert {name: len(values) for name, values in spent.items()} == {"a": 2, "b": 2}


def test_waiting_for_others_costs_no_processor_time() -> None:
    spent = take_turns({"asleep": lambda: time.sleep(0.05)}, 1, warm_up=0)
    assert spent["asleep"][0] < 25.0


def test_percentiles_are_of_the_values() -> None:
    row = percentiles(np.arange(1001.0))
    assert list(row.values()) == pytest.approx([500.0, 950.0, 990.0, 999.0, 1000.0])


def test_a_record_is_one_json_object_with_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for ratio in (1.0, 2.0):
        write_json(path, "some", {"ratio": ratio})
    record = json.loads(path.read_text())
    assert (record["benchmark"], record["ratio"]) == ("some", 2.0)
    assert record["cores"] >= 1
    assert record["versions"]["numpy"] == np.__version__


def test_a_figure_cannot_hide_what_is_told_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cores"):
        write_json(tmp_path / "record.json", "some", {"cores": {"1": 0.1}})
