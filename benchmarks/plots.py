"""Plots of a results file: latency, its stages, context length, jitter over time, memory; PNG and HTML.

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
TOKEN_MS = 8 / 60 * 1000
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
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_title("GPT step: cached against recomputed")


def token_distribution(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw the percentiles of a whole token in each run."""
    for name, run in record["runs"].items():
        row = run["stages"]["token"]
        axes.plot(range(len(row)), list(row.values()), marker="o", label=name)
    columns = list(record["results"]["token"])
    axes.set_xticks(range(len(columns)), columns)
    axes.set_ylim(bottom=0)
    axes.axhline(TOKEN_MS, color="black", linewidth=1, linestyle="--")
    axes.annotate("budget: one token of sound", (0, TOKEN_MS), xytext=(0, 3), textcoords="offset points")
    axes.set_ylabel("ms per token")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_title("Latency of a token: distribution")


def click_distribution(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw how many clicks had reached a receiver after how long."""
    times = sorted(record["click_ms"])
    axes.step(times, [(index + 1) / len(times) for index in range(len(times))], where="post")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    axes.set_xlabel("ms from click to the first changed packet")
    axes.set_ylabel("share of the clicks")
    axes.set_title(f"End to end, {len(times)} clicks, delay set to {record['delay_ms']:g} ms")


def beat_offsets(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw how far the nearest pause of the received motion is from each beat of the sound."""
    beat = record["beat_offset"]
    half = beat["period_ms"] / 2
    inside = [min(max(offset, -half), half) for offset in beat["offsets_ms"]]
    axes.hist(inside, bins=24, range=(-half, half))
    axes.axhline(len(inside) / 24, color="black", linewidth=1, linestyle="--", label="no relation")
    axes.axvline(0, color="black", linewidth=1)
    axes.legend()
    axes.set_xlabel("ms from a beat in the sound to the nearest pause of the motion (outer bars: or further)")
    axes.set_ylabel("beats")
    axes.set_title(f"Beats and pauses, {beat['beats']} beats")


def context_length(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw the step's cost against how long the dance has been going on."""
    for key, name in (("ms_by_position", "shipped model"), ("paper_ms_by_position", "published size")):
        tokens = record.get(key, {})
        axes.plot([float(count) for count in tokens], list(tokens.values()), marker="o", label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tokens danced")
    axes.set_ylabel("ms per GPT step")
    axes.legend()
    axes.set_title("Cost against context length")


def jitter(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw the largest deviation from 1/60 s in each second, by condition and sender."""
    colours: dict[str, Any] = {}
    for name, largest in record["largest_by_second"].items():
        condition, _, sender = name.rpartition(", ")
        style = "-" if sender == "native" else ":"
        (line,) = axes.plot(largest, style, label=name, color=colours.get(condition))
        colours[condition] = line.get_color()
    axes.set_yscale("log")
    axes.set_xlabel("s")
    axes.set_ylabel("largest ms off 16.67 ms in each second")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_title("Frame intervals at a receiver, over time")


def memory(axes: Axes, record: Mapping[str, Any]) -> None:
    """Draw resident memory over time."""
    axes.plot(record["resident_mb"])
    axes.set_ylim(0, 1.25 * max(record["resident_mb"]))
    axes.set_xlabel("s")
    axes.set_ylabel("MB resident")
    axes.set_title("Memory of bailando-live --demo")


# Name of the file: the benchmark, what its record must hold, how to draw it.
PLOTS: dict[str, tuple[str, str, Draw]] = {
    "stages": ("step_latency", "results", waterfall),
    "tokens": ("step_latency", "runs", token_distribution),
    "clicks": ("end_to_end", "click_ms", click_distribution),
    "beats": ("end_to_end", "beat_offset", beat_offsets),
    "cache": ("cache_vs_recompute", "results", percentile_curves),
    "context": ("cache_vs_recompute", "ms_by_position", context_length),
    "jitter": ("jitter", "largest_by_second", jitter),
    "memory": ("memory", "resident_mb", memory),
}


def draw_all(results: Mapping[str, Mapping[str, Any]], folder: Path) -> list[str]:
    """Write a PNG for each plot whose benchmark was run, and a page of them; return the names drawn."""
    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, (benchmark, key, draw) in PLOTS.items():
        if key not in results.get(benchmark, {}):
            print(f"{name}: no {key} of {benchmark} in the results")
            continue
        figure = Figure(figsize=(9, 4.5), layout="constrained")
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
