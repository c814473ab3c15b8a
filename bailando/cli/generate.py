"""``bailando-generate``: a song in, a motion file out, as fast as the machine can."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bailando.cli.common import add_dance_options, new_parser, run_command
from bailando.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from bailando.motion.motion import Motion

PROG = "bailando-generate"
_SUFFIXES = (".npz", ".bvh")
_BAR_WIDTH = 30
_EXAMPLES = """\
examples:
  bailando-generate song.mp3 -o dance.bvh                  for Blender, Maya, MotionBuilder
  bailando-generate song.wav -o dance.npz --seed 7         arrays for Python
  bailando-generate song.flac -o dance.bvh --style salsa --temperature 0.8
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _generate, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(PROG, "Dance a song and write the motion to a file.", _EXAMPLES)
    parser.add_argument("song", metavar="SONG", help="wav, flac, ogg or mp3")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", type=Path, help=f"one of {', '.join(_SUFFIXES)}"
    )
    add_dance_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _generate(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    output: Path = options.output
    if output.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"cannot write {output.name!r}; choose a name ending in {' or '.join(_SUFFIXES)}")
    if not output.parent.is_dir():
        raise OutputError(f"cannot write {output}: there is no folder {output.parent}; make it first")
    from bailando.engine.dancer import Dancer
    from bailando.engine.generate import generate

    started_s = time.perf_counter()
    dancer = Dancer.open(options.model)
    session = dancer.session(options.seed, options.style, options.temperature, energy=options.energy)
    shows_bar = not options.quiet and sys.stderr.isatty()
    motion = generate(dancer, options.song, session, _progress_bar() if shows_bar else None)
    if shows_bar:
        print(file=sys.stderr)
    _write(output, motion)
    if not options.quiet:
        took_s = time.perf_counter() - started_s
        print(
            f"{output}: {motion.frame_count} frames, {motion.duration_s:.1f} s of dance in {took_s:.1f} s "
            f"({motion.duration_s / took_s:.0f} x real time)"
        )
    return 0


def _write(output: Path, motion: Motion) -> None:
    try:
        if output.suffix.lower() == ".bvh":
            from bailando.motion.bvh import write_bvh

            write_bvh(output, motion)
        else:
            from bailando.motion.motion import save_npz

            save_npz(output, motion)
    except OSError as error:
        raise OutputError(f"cannot write {output} ({error.strerror}); check the path and the disk") from None


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
