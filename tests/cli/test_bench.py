from __future__ import annotations

import json
from pathlib import Path

import pytest

from bailando.cli.bench import main, table

SUITE = """
[benchmark.answer]
question = "what is the answer"
quick = ["--number", "42"]
full = ["--number", "43"]
long = ["--number", "44"]

[benchmark.broken]
question = "what if a script fails"
manual = true

[[row]]
what = "answer"
benchmark = "answer"
shipped = "{value:.0f}"
paper = "{absent:.0f} of something that was not measured"
values = { value = "results/value", absent = "results/absent" }
"""
SCRIPT = """
import json, sys
from helper import NAME
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
record = {"benchmark": NAME, "results": {"value": float(options["--number"])}}
open(options["--json"], "w").write(json.dumps(record) + chr(10))
"""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "suite.toml").write_text(SUITE)
    (folder / "helper.py").write_text("NAME = 'answer'\n")
    (folder / "answer.py").write_text(SCRIPT)
    (folder / "broken.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_keeps_the_records_and_prints_the_table(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["run", "--quick", "--out", "out"]) == 0
    records = [json.loads(line) for line in (checkout / "out" / "results.jsonl").read_text().splitlines()]
    assert [record["results"]["value"] for record in records] == [42.0, 42.0]
    assert "| answer | 42 | - | `bailando-bench run answer` |" in capsys.readouterr().out
    assert main(["table", "out/results.jsonl"]) == 0
    assert "| answer | 42 |" in capsys.readouterr().out


def test_a_benchmark_takes_its_own_options(checkout: Path) -> None:
    assert main(["answer", "--number", "7", "--json", "one.json"]) == 0
    assert json.loads((checkout / "one.json").read_text())["results"] == {"value": 7.0}


def test_the_list_names_each_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["answer", "broken"]


def test_a_failing_script_is_named_and_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "broken"]) != 0
    assert "broken failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "there is no benchmark 'nothing'"),
        (["table", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["table", "benchmarks/suite.toml"], "something else than results"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_row_without_its_figures_is_left_out() -> None:
    rows = [{"what": "x", "benchmark": "b", "shipped": "{v}", "values": {"v": "results/v"}}]
    assert len(table({"row": rows}, {"b": {"results": {}}})) == 2
    assert len(table({"row": rows}, {"b": {"results": {"v": 1}}})) == 3


@pytest.mark.parametrize(("flags", "number"), [(["--quick"], 42.0), ([], 43.0), (["--long"], 44.0)])
def test_how_long_a_run_takes_is_chosen_by_a_flag(checkout: Path, flags: list[str], number: float) -> None:
    assert main(["run", *flags, "--out", "out"]) == 0
    assert json.loads((checkout / "out" / "results.jsonl").read_text())["results"]["value"] == number
