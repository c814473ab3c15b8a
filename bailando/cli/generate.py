"""``bailando-generate``: songs in, motion files out, as fast as the machine can."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bailando.cli.backend_options import open_dancer
from bailando.cli.body_options import body_config
from bailando.cli.common import add_dance_options, new_parser, run_command
from bailando.errors import BailandoError
from bailando.motion.files import FORMATS

if TYPE_CHECKING:
    from bailando.cli.generate_jobs import Job
    from bailando.engine.dancer import Dancer
    from bailando.motion.motion import Motion

PROG = "bailando-generate"
_BAR_WIDTH = 30
_EXAMPLES = """\
examples:
  bailando-generate song.mp3 -o dance.bvh                  for Blender, Maya, MotionBuilder
  bailando-generate song.wav -o dance.npz --seed 7         arrays for Python
  bailando-generate album/ more.flac -o dances --format bvh,glb   skips what is there already
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _generate, arguments)


def generate_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(PROG, "Dance songs and write the motion to files.", _EXAMPLES)
    parser.add_argument(
        "songs", nargs="+", metavar="SONG", type=Path, help="wav, flac, ogg, mp3 or .take; or a folder"
    )
    suffixes = " ".join(kind.suffix for kind in FORMATS)
    parser.add_argument(
        *("-o", "--output"),
        required=True,
        metavar="FILE|DIR",
        type=Path,
        help=f"name ending in one of {suffixes}; a folder for several songs or formats",
    )
    parser.add_argument("--format", metavar="NAMES", help="for a folder: formats to write, e.g. bvh,glb")
    parser.add_argument("--overwrite", action="store_true", help="in a folder, write finished files again")
    add_dance_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _generate(arguments: Sequence[str]) -> int:
    from bailando.cli.generate_jobs import batch_jobs, is_batch, single_job

    options = generate_parser().parse_args(arguments)
    if is_batch(options.songs, options.output, options.format):
        return _run_all(batch_jobs(options.songs, options.output, options.format), options)
    job = single_job(options.songs[0], options.output)
    _run(job, None if job.is_take else _open(options), options)
    return 0


def _run_all(jobs: Sequence[Job], options: argparse.Namespace) -> int:
    """Do the jobs one after the other; one that fails is reported and does not stop the rest."""
    left = [job if options.overwrite else job.unfinished() for job in jobs]
    dancer = _open(options) if any(job.outputs and not job.is_take for job in left) else None
    failures, exit_code = 0, 0
    for job in left:
        if not job.outputs:
            if not options.quiet:
                print(f"{job.song}: finished before, skipped")
            continue
        try:
            _run(job, dancer, options)
        except BailandoError as error:
            failures, exit_code = failures + 1, error.exit_code
            print(f"{PROG}: error: {job.song}: {' '.join(str(error).split())}", file=sys.stderr)
    if failures:
        print(f"{PROG}: {failures} of {len(jobs)} songs failed", file=sys.stderr)
    return exit_code


def _open(options: argparse.Namespace) -> Dancer:
    dancer = open_dancer(options)
    if not options.quiet and dancer.backend.name != "cpu":
        print(f"backend {dancer.backend.name}: {dancer.backend.reason}")
    return dancer


def _run(job: Job, dancer: Dancer | None, options: argparse.Namespace) -> None:
    """Dance one song, or read a take, and write its files."""
    from bailando.motion.files import file_format, write_motion

    started_s = time.perf_counter()
    shows_bar = not options.quiet and sys.stderr.isatty()
    motion = _motion(job, dancer, options, _progress_bar() if shows_bar else None)
    for path in job.outputs:
        offered = {"song": job.sound, "progress": _progress_bar() if shows_bar else None}
        taken = {name: value for name, value in offered.items() if name in file_format(path).options}
        write_motion(path, motion, **taken)
    if shows_bar:
        print(file=sys.stderr)
    if not options.quiet:
        took_s = time.perf_counter() - started_s
        print(
            f"{', '.join(map(str, job.outputs))}: {motion.frame_count} frames, {motion.duration_s:.1f} s of "
            f"dance in {took_s:.1f} s ({motion.duration_s / took_s:.0f} x real time)"
        )


def _motion(
    job: Job, dancer: Dancer | None, options: argparse.Namespace, progress: Callable[[float], None] | None
) -> Motion:
    if dancer is None or job.is_take:
        from bailando.motion.files.take import read_take

        return read_take(job.song)
    from bailando.engine.generate import generate

    session = dancer.session(
        options.seed,
        options.style,
        options.temperature,
        energy=options.energy,
        groove=options.groove,
        refinement=body_config(options),
    )
    return generate(dancer, job.song, session, progress)


def _progress_bar() -> Callable[[float], None]:
    """Return a callback that draws a bar on the terminal, at most ten times a second."""
    drawn_s = [0.0]

    def draw(done: float) -> None:
        if done < 1.0 and time.monotonic() - drawn_s[0] < 0.1:
            return
        drawn_s[0] = time.monotonic()
        filled = round(done * _BAR_WIDTH)
        bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
        print(f"\r{bar} {100 * done:3.0f} %", end="", file=sys.stderr, flush=True)

    return draw


if __name__ == "__main__":
    sys.exit(main())
