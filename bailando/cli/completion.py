"""``bailando completion SHELL``: completion of all commands and their options, for the shell to load."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from bailando.cli.common import new_parser, run_command
from bailando.errors import ConfigError

PROG = "bailando-completion"
SHELLS = ("bash", "zsh", "tcsh")
_PARSERS = {
    "bailando-live": "bailando.cli.live_options:live_parser",
    "bailando-generate": "bailando.cli.generate:generate_parser",
    "bailando-doctor": "bailando.cli.doctor:doctor_parser",
}
_EXAMPLES = """\
examples:
  bailando completion bash > ~/.local/share/bash-completion/completions/bailando-live
  eval "$(bailando completion bash --for bailando-generate)"       for this shell alone
  bailando completion zsh > ~/.zfunc/_bailando-live        a folder of your $fpath
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _completion, arguments)


def _completion(arguments: Sequence[str]) -> int:
    parser = new_parser(PROG, "Print a completion script for a shell.", _EXAMPLES)
    parser.add_argument("shell", choices=SHELLS)
    parser.add_argument("--for", dest="command", choices=tuple(_PARSERS), default="bailando-live")
    options = parser.parse_args(arguments)
    print(completion_script(options.command, options.shell))
    return 0


def completion_script(command: str, shell: str) -> str:
    """Return the script with which `shell` completes the options of `command`.

    Raises
    ------
    ConfigError
        If the package shtab is missing.
    """
    try:
        import shtab
    except ImportError:
        raise ConfigError("completion needs shtab; run: pip install 'bailando[completion]'") from None
    module, _, function = _PARSERS[command].partition(":")
    parser: argparse.ArgumentParser = getattr(importlib.import_module(module), function)()
    return str(shtab.complete(parser, shell))


if __name__ == "__main__":
    sys.exit(main())
