"""Plots of a results file: latency by stage, cost against context length, jitter, memory; PNG and HTML.

python benchmarks/plots.py bench-results/results.jsonl [--out FOLDER]

Draws what the file holds and says what it does not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bailando.cli.bench import read_results

STAGES = ("features", "gpt", "decoder", "kinematics", "packets")
Draw = Callable[[Axes, Mapping[str, Any]], None]


def waterfall(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw the medians of the stages of a token one after the other, with their p99 as whiskers."""
    begun = 0.0
    for row, stage in enumerate(STAGES):
        median, late = (record["results"][stage][key] for key in ("p50", "p99"))
        axes.barh(row, median, left=begun)
        axes.plot([begun + median, begun + late], [row, row], color="black", linewidth=1)
        begun += median
    axes.set_yticks(range(len(STAGES)), STAGES)
    axes.invert_yaxis()
    axes.set_xlabel("ms since the token's sound was complete (bar: median, line: to p99)")
    axes.set_title("One token, stage by stage")


def percentile_curves(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw each candidate's percentiles."""
    for name, row in record["results"].items():
        axes.plot(range(len(row)), list(row.values()), marker="o", label=name)
    columns = list(next(iter(record["results"].values())))
    axes.set_xticks(range(len(columns)), columns)
    axes.set_ylabel("ms per token")
    axes.set_yscale("log")
    axes.legend(fontsize="small")
    axes.set_title("GPT step: cached against recomputed")


def context_length(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw the step's cost against how long the dance has been going on."""
    tokens = record["ms_by_position"]
    axes.plot([float(count) for count in tokens], list(tokens.values()), marker="o")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tokens danced")
    axes.set_ylabel("ms per GPT step, shipped model")
    axes.set_title("Cost against context length")


def jitter(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw how far intervals at the receiver are from 1/60 s, by condition and sender."""
    rows = record["results"]
    for offset, key in enumerate(("p50", "p99", "max")):
        places = [index + 0.27 * offset for index in range(len(rows))]
        axes.bar(places, [row[key] for row in rows.values()], width=0.25, label=key)
    axes.set_xticks([index + 0.27 for index in range(len(rows))], list(rows), rotation=20, ha="right")
    axes.set_yscale("log")
    axes.set_ylabel("ms off 16.67 ms")
    axes.legend()
    axes.set_title("Frame intervals at a receiver")


def memory(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw resident memory over time."""
    axes.plot(record["resident_mb"])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("s")
    axes.set_ylabel("MB resident")
    axes.set_title("Memory of bailando-live --demo")


PLOTS: dict[str, tuple[str, Draw]] = {
    "stages": ("step_latency", waterfall),
    "cache": ("cache_vs_recompute", percentile_curves),
    "context": ("cache_vs_recompute", context_length),
    "jitter": ("jitter", jitter),
    "memory": ("memory", memory),
}


def draw_all(results: Mapping[str, Mapping[str, Any]], folder: Path) -> list[str]:
    """Write a PNG for each plot whose benchmark was run, and a page of them; return the names drawn."""
    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, (benchmark, draw) in PLOTS.items():
        if benchmark not in results:
            print(f"{name}: no {benchmark} in the results")
            continue
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        draw(figure.subplots(), results[benchmark])
        figure.savefig(folder / f"{name}.png", dpi=120)
        drawn.append(name)
    (folder / "index.html").write_text(_page(results, drawn), "utf-8")
    return drawn


def _page(results: Mapping[str, Mapping[str, Any]], drawn: list[str]) -> str:
    """Return a page of the plots, each with the machine and commit it was measured on."""
    parts = []
    for name in drawn:
        record = results[PLOTS[name][0]]
        about = ", ".join(str(record.get(key, "?")) for key in ("benchmark", "commit", "time", "cpu", "load"))
        parts.append(
            f'<figure><img src="{name}.png" alt="{name}"><figcaption>{escape(about)}</figcaption></figure>'
        )
    style = (
        "body{font:16px sans-serif;margin:2em auto;max-width:60em}img{max-width:100%}figcaption{color:#555}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>bailando benchmarks</title>'
        f"<style>{style}</style><h1>Benchmarks</h1>{''.join(parts)}</html>\n"
    )


def main() -> None:
    """Draw and name the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    for name in draw_all(read_results(options.results), options.out):
        print(options.out / f"{name}.png")
    print(options.out / "index.html")


if __name__ == "__main__":
    main()
