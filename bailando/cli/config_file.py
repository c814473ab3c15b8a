"""Options out of a YAML file: each key is a long option without its dashes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bailando.errors import ConfigError

_OPTION = "--config"
_NOT_IN_FILES = {"--help", "--version", "--help-output", _OPTION}
_MAX_BYTES = 1_000_000


def add_config_option(group: argparse._ArgumentGroup) -> None:
    """Add ``--config``; `with_config` does what it says."""
    group.add_argument(_OPTION, metavar="FILE", help="YAML with any of these options; those given here win")


def with_config(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Return the arguments with those of the file that ``--config`` names put before them.

    An option that is given as an argument takes the place of the file's, repeatable ones and
    alternatives to it included.

    Parameters
    ----------
    parser : ArgumentParser
        It knows ``--config`` and no abbreviations.
    arguments : sequence of str
        As typed.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or its value is no option of the parser.
    """
    path = _named_file(arguments)
    if path is None:
        return list(arguments)
    given = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    given |= {other for name in given for other in _alternatives(parser, name)}
    options = {name: action for action in parser._actions for name in action.option_strings}
    words: list[str] = []
    for key, value in _read(path).items():
        name = "--" + str(key).replace("_", "-").lstrip("-")
        if name not in options or name in _NOT_IN_FILES:
            raise ConfigError(f"{path}: unknown option '{key}'; {_nearest(name, options)}")
        if name not in given and value is not None:
            words += _words(name, options[name], value, path)
    return [*words, *arguments]


def _named_file(arguments: Sequence[str]) -> Path | None:
    """Return the file that ``--config`` names, the last if there are several."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument(_OPTION, type=Path)
    try:
        found: Path | None = finder.parse_known_args(list(arguments))[0].config
    except argparse.ArgumentError:
        return None  # the real parser says what is missing
    return found


def _read(path: Path) -> dict[Any, Any]:
    import yaml

    try:
        text = path.read_bytes()
        if len(text) > _MAX_BYTES:
            raise ConfigError(f"{path} has {len(text)} bytes; expected a short YAML file of options")
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror}); give the path of a YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise ConfigError(f"{path} is no valid YAML{line}; write lines such as 'energy: 1.2'") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no options; write lines such as 'energy: 1.2'")
    return content


def _alternatives(parser: argparse.ArgumentParser, name: str) -> set[str]:
    """Return all options of the group out of which only one may be given, if `name` is in one."""
    for group in parser._mutually_exclusive_groups:
        names = {option for action in group._group_actions for option in action.option_strings}
        if name in names:
            return names
    return set()


def _nearest(name: str, options: dict[str, argparse.Action]) -> str:
    near = get_close_matches(name, [option for option in options if option not in _NOT_IN_FILES], 1, 0.5)
    return f"did you mean {near[0][2:]}?" if near else "see --help and --help-output for those known"


def _words(name: str, action: argparse.Action, value: object, path: Path) -> list[str]:
    """Return the value as it would be typed."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ConfigError(f"{path}: {name[2:]} is {value!r}; write true or false")
        return [name] if value else []
    repeatable = isinstance(action, argparse._AppendAction)
    if isinstance(value, list) and not repeatable:
        raise ConfigError(f"{path}: {name[2:]} is a list; write one value")
    values = value if isinstance(value, list) else [value]
    for entry in values:
        if isinstance(entry, bool | dict | list) or entry is None:
            raise ConfigError(f"{path}: {name[2:]} is {entry!r}; write text or a number")
    return [f"{name}={entry}" for entry in values]
