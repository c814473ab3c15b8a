"""What all commands share: errors in one line, exit codes, the version."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from bailando import __version__
from bailando.errors import BailandoError

INTERRUPTED = 130


def run_command(
    prog: str, command: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None
) -> int:
    """Run a command and turn its errors into one line and an exit code.

    Parameters
    ----------
    prog : str
        Name of the command, for messages.
    command : callable
        Takes the arguments and returns the exit code.
    arguments : sequence of str, optional
        None takes those of the process.
    """
    try:
        return command(sys.argv[1:] if arguments is None else arguments)
    except BailandoError as error:
        print(f"{prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of the rest of the program."""

    def error(self, message: str) -> None:  # type: ignore[override]  # the base never returns either
        """Print the line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def new_parser(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return a parser with ``--version`` and examples below the options."""
    parser = OneLineParser(
        prog=prog,
        description=description,
        epilog=examples,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=28, width=100
        ),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_dance_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that shape the dance."""
    group = parser.add_argument_group("dance")
    group.add_argument(
        "--model", metavar="BUNDLE", help="folder or .zip by bailando-export; default: shipped"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same dance (default 0)")
    group.add_argument("--style", default="open", metavar="NAME", help="style of the bundle (default open)")
    group.add_argument("--temperature", type=float, metavar="T", help="0 the likeliest dance, 1 as trained")
    group.add_argument("--energy", type=float, default=1.0, metavar="E", help="movements 0 to 2 (default 1)")
