"""The suite names scripts that exist, options that they have, and figures that a cell can show."""

from __future__ import annotations

import tomllib
from pathlib import Path
from string import Formatter

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SUITE = tomllib.loads((FOLDER / "suite.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", SUITE["benchmark"])
def test_a_benchmark_is_a_script_with_the_options_of_the_suite(name: str) -> None:
    entry = SUITE["benchmark"][name]
    source = (FOLDER / f"{name}.py").read_text("utf-8")
    wanted = {o for extent in ("quick", "full", "long") for o in entry.get(extent, []) if o.startswith("--")}
    if not entry.get("manual"):
        wanted.add("--json")
    assert not {option for option in wanted if f'"{option}"' not in source}


@pytest.mark.parametrize("row", SUITE["row"], ids=lambda row: row["what"][:30])
def test_a_row_shows_each_of_its_figures(row: dict) -> None:
    assert row["benchmark"] in SUITE["benchmark"]
    used = {
        name
        for model in ("shipped", "paper")
        for _, name, _, _ in Formatter().parse(row.get(model, ""))
        if name
    }
    assert used == set(row["values"])
