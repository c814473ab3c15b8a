"""``bailando completion SHELL``: completion of all commands and their options, for the shell to load."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bailando.cli.common import new_parser, run_command
from bailando.errors import ConfigError

PROG = "bailando-completion"
SHELLS = ("bash", "zsh", "tcsh")
PARSERS = {
    "bailando": "bailando.cli.umbrella:umbrella_parser",
    "bailando-live": "bailando.cli.live_options:live_parser",
    "bailando-generate": "bailando.cli.generate:generate_parser",
    "bailando-doctor": "bailando.cli.doctor:doctor_parser",
    "bailando-export": "bailando.cli.export:export_parser",
    "bailando-train": "bailando.cli.train:train_parser",
    "bailando-bench": "bailando.cli.bench:bench_parser",
}
"""Where the parser of each command comes from; the first one's holds all the others."""

_EXAMPLES = """\
examples:
  eval "$(bailando completion bash)"      in ~/.bashrc: all commands
  eval "$(bailando completion zsh)"       in ~/.zshrc, after compinit
  bailando completion bash --for bailando-live > /etc/bash_completion.d/bailando-live
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _completion, arguments)


def completion_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(PROG, "Print a completion script for a shell.", _EXAMPLES)
    parser.add_argument("shell", choices=SHELLS)
    parser.add_argument(
        "--for", dest="command", choices=tuple(PARSERS), metavar="COMMAND", help="this command alone"
    )
    return parser


def _completion(arguments: Sequence[str]) -> int:
    options = completion_parser().parse_args(arguments)
    commands = tuple(PARSERS) if options.command is None else (options.command,)
    print("\n".join(completion_script(command, options.shell) for command in commands))
    return 0


def command_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of a command of `PARSERS`."""
    module, _, function = PARSERS[command].partition(":")
    parser: Callable[[], argparse.ArgumentParser] = getattr(importlib.import_module(module), function)
    return parser()


def completion_script(command: str, shell: str) -> str:
    """Return the script with which `shell` completes the options of `command`, and names of files.

    Raises
    ------
    ConfigError
        If the package shtab, or one that the command itself needs, is missing.
    """
    try:
        import shtab

        parser = command_parser(command)
    except ImportError as error:
        raise ConfigError(
            f"completion of {command} needs {error.name}; run: pip install 'bailando[completion,train]'"
        ) from None
    _tell_all(parser, shtab.FILE)
    return str(shtab.complete(parser, shell))


def _tell_all(parser: argparse.ArgumentParser, files: Mapping[str, object]) -> None:
    """Mark the arguments that name files and show the rarer options, of commands inside this one too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _tell_all(inner, files)
        elif action.type is Path:
            vars(action)["complete"] = files
        if action.help is argparse.SUPPRESS:
            action.help = "see the documents"


if __name__ == "__main__":
    sys.exit(main())
