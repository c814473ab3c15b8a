"""What all commands share: errors in one line, exit codes, the version."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from bailando import __version__
from bailando.cli.backend_options import add_backend_option
from bailando.cli.body_options import add_body_option
from bailando.errors import BailandoError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Config = TypeVar("Config", bound=DataclassInstance)

INTERRUPTED = 130
_WIDTH = 100


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
    code = _exit_code(prog, command, sys.argv[1:] if arguments is None else arguments)
    portaudio = sys.modules.get("bailando.engine.portaudio")
    if arguments is None and portaudio is not None and portaudio.is_hanging():
        with suppress(OSError, ValueError):  # nobody may read any more
            sys.stdout.flush()
        os._exit(code)  # the end would wait for the device
    return code


def _exit_code(prog: str, command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return command(arguments)
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

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def new_parser(prog: str, description: str, examples: str, about: bool = True) -> argparse.ArgumentParser:
    """Return a parser with examples below the options and, unless `about` is False, `add_about`."""
    parser = OneLineParser(prog=prog, description=description, allow_abbrev=False, add_help=False)
    show_examples(parser, examples)
    if about:
        add_about(parser)
    return parser


def add_about(group: argparse._ActionsContainer, version_help: str = "show it and exit") -> None:
    """Add ``--help`` and ``--version``."""
    group.add_argument("-h", "--help", action="help", help="show this help and exit")
    group.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help=version_help)


def show_examples(parser: argparse.ArgumentParser, examples: str) -> None:
    """Print the examples below the options, and all help in the layout of this program."""
    parser.epilog = examples
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(
        prog, max_help_position=28, width=_WIDTH
    )


def config_of(kind: type[Config], options: argparse.Namespace, **others: Any) -> Config:
    """Return a config whose fields have the values of the options called like them.

    Parameters
    ----------
    kind : type
        A dataclass.
    options : Namespace
    **others
        Fields that no option is called like, or whose option is to be understood otherwise.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return kind(**{**given, **others})


def add_dance_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that shape the dance; return their group."""
    group = parser.add_argument_group("dance")
    group.add_argument(
        "--model", metavar="BUNDLE", help="folder or .zip by bailando-export; default: shipped"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same dance (default 0)")
    group.add_argument(
        "--style", default="open", metavar="NAME", help="style of the bundle (default open: its own choice)"
    )
    group.add_argument("--temperature", type=float, metavar="T", help="0 the likeliest dance, 1 as trained")
    group.add_argument("--energy", type=float, default=1.0, metavar="E", help="movements 0 to 2 (default 1)")
    group.add_argument(
        "--groove", type=float, default=1.0, metavar="G", help="the beat counts 0 to 2 (default 1)"
    )
    add_backend_option(group)
    add_body_option(group)
    return group
