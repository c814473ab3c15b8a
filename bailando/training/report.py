"""`bailando-train report`: one HTML page about a run that needs no other file and no network."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from bailando.engine.dancer import Dancer
from bailando.engine.generate import generate_samples
from bailando.errors import ConfigError, InputError, OutputError
from bailando.motion.motion import load_npz
from bailando.motion.skeleton import Skeleton
from bailando.music.audio import load_mono
from bailando.training.songs import analyse_song, beat_times

Json = dict[str, Any]
_AUDIO_RATE_HZ = 24000


@dataclass(frozen=True)
class ReportOptions:
    """What goes into a report.

    Parameters
    ----------
    run : Path
        Folder of a run: every ``<stage>.jsonl`` in it gives curves; ``dancer.pt`` and ``evaluation.json`` are
        used if they are there.
    output : Path, optional
        The page; ``report.html`` in the run's folder if not given.
    checkpoint, evaluation : Path, optional
        Instead of those in the folder.
    bundle : Path, optional
        Lets it dance to `song`.
    dance : Path, optional
        An .npz dance of `song` instead.
    song : Path, optional
        Audio file: its beats are shown, its sound is in the page.
    seconds : float
        Of the dance that is shown.
    seed : int
        Of the dancer.
    """

    run: Path
    output: Path | None = None
    checkpoint: Path | None = None
    evaluation: Path | None = None
    bundle: Path | None = None
    dance: Path | None = None
    song: Path | None = None
    seconds: float = 40.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.bundle is not None and self.dance is not None:
            raise ConfigError("both --bundle and --dance are given; choose one")
        if self.bundle is not None and self.song is None:
            raise ConfigError("no music for the bundle: give --song FILE")
        if not 1 <= self.seconds <= 600:
            raise ConfigError(f"{self.seconds} s of dance; expected 1 to 600")


def run_report(options: ReportOptions) -> Path:
    """Write the page and return its path.

    Raises
    ------
    InputError
        If the folder is no run, or a file cannot be read.
    OutputError
        If the page cannot be written.
    """
    page = render(gather(options))
    output = options.output or options.run / "report.html"
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror}; choose another place") from None
    print(output)  # noqa: T201 - the command's result
    return output


def gather(options: ReportOptions) -> Json:
    """Return everything that the page shows."""
    # Here, so that a command line that only lists its commands need not load torch.
    from bailando.models.checkpoint import load_checkpoint
    from bailando.training import report_content as content

    logs = sorted(options.run.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    stages = [
        content.stage_curves(path.stem, records) for path in logs if (records := content.read_log(path))
    ]
    if not stages:
        raise InputError(f"{options.run} holds no <stage>.jsonl: give the folder of a training run")
    checkpoint_path = _given_or_there(options.checkpoint, options.run / "dancer.pt")
    checkpoint = None if checkpoint_path is None else load_checkpoint(checkpoint_path)
    evaluation_path = _given_or_there(options.evaluation, options.run / "evaluation.json")
    evaluation = {"tables": {}} if evaluation_path is None else _read_json(evaluation_path)
    name = options.run.resolve().name if checkpoint is None else checkpoint.provenance.name
    return {
        "title": f"Training report: {name}",
        "subtitle": "" if checkpoint is None else checkpoint.provenance.description,
        "parents": list(Skeleton.default().parents),
        "stages": stages,
        "tables": content.figure_tables(evaluation),
        "sizes": [] if checkpoint is None else content.model_sizes(checkpoint),
        "codebooks": [] if checkpoint is None else content.codebook_wall(checkpoint),
        "dance": _dance(options),
    }


def _dance(options: ReportOptions) -> Json | None:
    """Return the dance to show, if there is one."""
    from bailando.training import report_content as content

    if options.bundle is None and options.dance is None:
        return None
    samples, beats_s, audio = np.zeros(0, np.float32), np.zeros(0), None
    if options.song is not None:
        samples = load_mono(options.song, _AUDIO_RATE_HZ)[: int(options.seconds * _AUDIO_RATE_HZ)]
        beats_s = beat_times(analyse_song(options.song))
        audio = content.audio_url(samples, _AUDIO_RATE_HZ)
    if options.dance is not None:
        motion = load_npz(options.dance)
        return content.dance_content(motion[: math.ceil(options.seconds * motion.fps)], beats_s, audio)
    dancer = Dancer.open(options.bundle)
    rate = dancer.feature_spec.sample_rate_hz
    if options.song is not None and rate != _AUDIO_RATE_HZ:
        samples = load_mono(options.song, rate)[: int(options.seconds * rate)]
    motion = generate_samples(dancer, samples, dancer.session(seed=options.seed))
    return content.dance_content(motion, beats_s, audio)


def render(page_content: Json) -> str:
    """Return the page: template, style, script, Plotly and content in one."""
    from plotly.offline import get_plotlyjs

    folder = resources.files("bailando.training") / "report_assets"
    kinds = "html", "css", "js"
    page, css, script = ((folder / f"page.{kind}").read_text(encoding="utf-8") for kind in kinds)
    # Nothing in the data may end the script element that holds it.
    data = json.dumps(page_content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    title = page_content["title"].replace("&", "&amp;").replace("<", "&lt;")
    parts = {"TITLE": title, "CSS": css, "PLOTLY": get_plotlyjs(), "CONTENT": data, "SCRIPT": script}
    pieces = page.split("%")
    return "".join(parts.get(piece, piece) for piece in pieces)


def _given_or_there(given: Path | None, usual: Path) -> Path | None:
    if given is not None:
        return given
    return usual if usual.is_file() else None


def _read_json(path: Path) -> Json:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} cannot be read ({reason}): give a file of bailando-train evaluate --json"
        ) from None
    return read if isinstance(read, dict) else {}


def add_report_command(commands: Any) -> argparse.ArgumentParser:
    """Add ``report`` to the sub-commands of an argument parser; its ``work`` runs it."""
    text = "write one interactive HTML page about a run"
    parser: argparse.ArgumentParser = commands.add_parser("report", help=text, description=text)
    default = ReportOptions(run=Path())
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("-o", "--output", type=Path, help="the page (default: report.html in the folder)")
    parser.add_argument("--checkpoint", type=Path, help="dancer.pt (default: that of the folder)")
    parser.add_argument("--evaluation", type=Path, help="JSON of `evaluate` (default: evaluation.json there)")
    parser.add_argument("--bundle", type=Path, help="a bundle to dance to --song")
    parser.add_argument("--dance", type=Path, help=".npz dance of --song instead")
    parser.add_argument("--song", type=Path, help="audio file")
    parser.add_argument(
        "--seconds", type=float, default=default.seconds, help="of dance (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="of the dancer (default: %(default)s)")
    parser.set_defaults(work=_work)
    return parser


def _work(arguments: argparse.Namespace) -> None:
    names = ReportOptions.__dataclass_fields__
    run_report(ReportOptions(**{name: getattr(arguments, name) for name in names}))
