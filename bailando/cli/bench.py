"""``bailando-bench``: run the scripts of ``benchmarks/``, keep their figures, print the table of them."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

import bailando
from bailando.cli.common import new_parser, run_command
from bailando.errors import BailandoError, ConfigError

SUITE = "suite.toml"
NOTHING = "-"
EXAMPLES = """examples:
  bailando-bench list
  bailando-bench run --quick                     all of them, minutes instead of half an hour
  bailando-bench run jitter packets --out figures
  bailando-bench cache_vs_recompute --json FILE  one of them, with its own options
  bailando-bench table figures/results.jsonl     README's table, with the command of each row
"""


def find_benchmarks() -> Path:
    """Return the folder of the scripts: of the working directory, else of the source tree.

    Raises
    ------
    ConfigError
        If there is none: an installed wheel does not hold them.
    """
    candidates = Path.cwd() / "benchmarks", Path(bailando.__file__).parent.parent / "benchmarks"
    for folder in candidates:
        if (folder / SUITE).is_file():
            return folder
    raise ConfigError(
        f"found no benchmarks/{SUITE} in {candidates[0].parent}; run bailando-bench in a source checkout"
    )


def read_suite(folder: Path) -> dict[str, Any]:
    """Return the suite: ``benchmark`` by name and the ``row`` list of the table."""
    suite: dict[str, Any] = tomllib.loads((folder / SUITE).read_text("utf-8"))
    return suite


def read_results(path: Path) -> dict[str, dict[str, Any]]:
    """Return the last record of each benchmark of a file of JSON lines.

    Raises
    ------
    ConfigError
        If there is no such file or a line of it is no JSON object.
    """
    try:
        records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        return {record["benchmark"]: record for record in records}
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); make it by bailando-bench run"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} holds something else than results; make it by bailando-bench run"
        ) from error


def look_up(record: Mapping[str, Any], key: str) -> float | None:
    """Return the number at a path like ``results/gpt/p50``, None if the record has none there."""
    value: Any = record
    for part in key.split("/"):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return float(value) if isinstance(value, int | float) else None


def cell(text: str | None, values: Mapping[str, float | None]) -> str:
    """Return a cell of the table; a dash if there is none or a figure of it was not measured."""
    if text is None:
        return NOTHING
    used = {name for _, name, _, _ in Formatter().parse(text) if name}
    if any(values[name] is None for name in used):
        return NOTHING
    return text.format(**values)


def table(suite: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return README's table in Markdown; a row without any of its figures is left out."""
    lines = ["| what | shipped model | published size | command |", "|---|---|---|---|"]
    for row in suite["row"]:
        record = results.get(row["benchmark"], {})
        values = {name: look_up(record, key) for name, key in row["values"].items()}
        cells = [cell(row.get(model), values) for model in ("shipped", "paper")]
        if any(value is not None for value in values.values()) and cells != [NOTHING, NOTHING]:
            command = f"`bailando-bench run {row['benchmark']}`"
            lines.append(f"| {row['what']} | {cells[0]} | {cells[1]} | {command} |")
    return lines


def chosen(suite: Mapping[str, Any], names: Sequence[str], extent: str) -> dict[str, list[str]]:
    """Return the benchmarks to run with their options for ``quick``, ``full`` or ``long``.

    Without names those of a long run are the ones that have a long form.

    Raises
    ------
    ConfigError
        If a name is no benchmark's.
    """
    for name in names:
        if name not in suite:
            raise ConfigError(f"there is no benchmark {name!r}; bailando-bench list names them")
    wanted = names or [
        name
        for name, entry in suite.items()
        if not entry.get("manual", False) and (extent != "long" or "long" in entry)
    ]
    return {name: suite[name].get(extent, suite[name].get("full", [])) for name in wanted}


def run_suite(folder: Path, names: Sequence[str], extent: str, out: Path) -> list[str]:
    """Run benchmarks one after the other, append their records to ``out/results.jsonl``; return failures."""
    suite = read_suite(folder)["benchmark"]
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name, options in chosen(suite, names, extent).items():
        with tempfile.TemporaryDirectory() as scratch:
            record = Path(scratch) / "record.json"
            print(f"\n=== {name}: {suite[name]['question']}", flush=True)
            code = run_script(folder, name, [*options, "--json", str(record)])
            # A benchmark may tell by its exit code that what it measured is bad: the figures count.
            if record.is_file():
                with (out / "results.jsonl").open("a", encoding="utf-8") as file:
                    file.write(record.read_text("utf-8"))
            if code or not record.is_file():
                failed.append(name)
    return failed


def run_script(folder: Path, name: str, options: Sequence[str]) -> int:
    """Run one script as a process of its own and return its exit code."""
    command = [sys.executable, str(folder / f"{name}.py"), *options]
    print(f"$ python benchmarks/{name}.py {shlex.join(options)}", flush=True)
    # The scripts import each other, also where Python leaves a script's folder out of its path.
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": path}).returncode


def bench(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code."""
    parser = bench_parser()
    if not arguments or arguments[0].startswith("-"):
        parser.parse_args(arguments)
    folder = find_benchmarks()
    suite = read_suite(folder)
    if arguments[0] in suite["benchmark"]:
        return run_script(folder, arguments[0], arguments[1:])
    options = parser.parse_args(arguments)
    if options.command == "list":
        for name, entry in suite["benchmark"].items():
            print(f"{name:20}{entry['question']}")
    elif options.command == "table":
        print("\n".join(table(suite, read_results(options.results))))
    else:
        failed = run_suite(folder, options.names, options.extent or "full", options.out)
        if (options.out / "results.jsonl").is_file():
            print("\n" + "\n".join(table(suite, read_results(options.out / "results.jsonl"))))
        if failed:
            raise BailandoError(f"{', '.join(failed)} failed; their own messages are above")
    return 0


def bench_parser() -> argparse.ArgumentParser:
    """Return the parser of the commands that are no benchmark."""
    parser = new_parser(
        "bailando-bench", "Measure speed, latency, size and accuracy; see docs/benchmarks.md.", EXAMPLES
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|run|table|NAME")
    commands.add_parser("list", help="name the benchmarks and what each answers")
    run = commands.add_parser("run", help="run benchmarks and print the table")
    run.add_argument("names", nargs="*", metavar="NAME", help="which; default: all that need nothing else")
    extent = run.add_mutually_exclusive_group()
    for name, meaning in (("quick", "minutes, noisier figures"), ("long", "hours; those that gain by it")):
        extent.add_argument(f"--{name}", dest="extent", action="store_const", const=name, help=meaning)
    run.add_argument("--out", type=Path, default=Path("bench-results"), metavar="FOLDER")
    shown = commands.add_parser("table", help="print README's table from results")
    shown.add_argument("results", type=Path, metavar="FILE")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run_command("bailando-bench", bench, arguments)


if __name__ == "__main__":
    sys.exit(main())
