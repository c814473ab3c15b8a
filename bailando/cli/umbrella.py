"""``bailando COMMAND``: one door to all commands."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from bailando import __version__

COMMANDS = {
    "live": "music in, dance out, live",
    "generate": "songs to motion files",
    "doctor": "check devices, ports, speed, receivers",
    "export": "checkpoint to bundle",
    "train": "prepare data and train",
    "bench": "measure speed, latency, size (in a checkout)",
    "completion": "shell completion: bash, zsh, tcsh",
}
_WRONG_USE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(f"bailando {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(COMMANDS)}"
        print(f"bailando: error: unknown command '{name}'; {hint}", file=sys.stderr)
        return _WRONG_USE
    code: int = importlib.import_module(f"bailando.cli.{name}").main(rest)
    return code


def umbrella_parser() -> argparse.ArgumentParser:
    """Return a parser of all commands with their options, for completion; `main` loads but one of them."""
    from bailando.cli.completion import PARSERS, command_parser, completion_parser

    parser = argparse.ArgumentParser(prog="bailando")
    commands = parser.add_subparsers(dest="command")
    for name, what in COMMANDS.items():
        full = f"bailando-{name}"
        inner = command_parser(full) if full in PARSERS else completion_parser()
        commands.add_parser(name, help=what, parents=[inner], add_help=False)
    return parser


def _help() -> str:
    lines = [f"  {name:12s}{what}" for name, what in COMMANDS.items()]
    examples = "\n".join(
        (
            "  bailando live --demo --view",
            "  bailando generate song.mp3 -o dance.glb",
            "  bailando doctor --to vseeface",
        )
    )
    title = "usage: bailando COMMAND [options]     (bailando COMMAND --help tells the options)"
    return "\n".join((title, "", "commands:", *lines, "", "examples:", examples))


if __name__ == "__main__":
    sys.exit(main())
