"""What a viewer may ask of the engine, judged before the engine hears of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bailando.engine.energy import MAX_ENERGY
from bailando.errors import ConfigError

MAX_COMMAND_BYTES = 2048
MAX_STYLE_LENGTH = 64
MAX_SEED = 2**53 - 1
"""Largest whole number that JavaScript keeps exact."""


@dataclass(frozen=True)
class Command:
    """One request of a viewer.

    Parameters
    ----------
    name : str
        One of `COMMANDS`.
    value : str, int, float or None
        What the command sets, of the kind that `COMMANDS` says.
    """

    name: str
    value: str | int | float | None = None


CommandHandler = Callable[[Command], None]
"""Carries out a command. It runs on the server's thread and returns at once; a `BailandoError`
that it raises is sent to the viewer that asked."""


def parse_command(message: str | bytes, styles: tuple[str, ...] | None = None) -> Command:
    """Read one message of a viewer.

    Parameters
    ----------
    message : str or bytes
        JSON such as ``{"command": "energy", "value": 0.7}``.
    styles : tuple of str, optional
        Styles that exist; any name passes when None.

    Raises
    ------
    ConfigError
        If the message is too long, no JSON object, or not a known command with a fitting value.
    """
    name, value = _command_fields(message)
    command = Command(name, COMMANDS[name](value))
    if name == "style" and styles is not None and command.value not in styles:
        raise ConfigError(f"unknown style {command.value!r}; expected one of {', '.join(styles)}")
    return command


def _command_fields(message: str | bytes) -> tuple[str, Any]:
    if isinstance(message, bytes):
        raise ConfigError("commands are text messages of JSON; got a binary message")
    if len(message) > MAX_COMMAND_BYTES:
        raise ConfigError(f"command of {len(message)} characters; expected at most {MAX_COMMAND_BYTES}")
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        raise ConfigError('command is no JSON; expected {"command": NAME, "value": VALUE}') from None
    if not isinstance(fields, dict) or not set(fields) <= {"command", "value"}:
        raise ConfigError('expected a JSON object with "command" and at most "value" besides')
    name = fields.get("command")
    if not isinstance(name, str) or name not in COMMANDS:
        raise ConfigError(f"unknown command {str(name)[:40]!r}; expected one of {', '.join(COMMANDS)}")
    return name, fields.get("value")


def _nothing(value: Any) -> None:
    if value is not None:
        raise ConfigError("this command takes no value")


def _style(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_STYLE_LENGTH or not value.isprintable():
        raise ConfigError(f"style must be a name of 1 to {MAX_STYLE_LENGTH} characters")
    return value


def _energy(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"expected a number from 0 to {MAX_ENERGY:g}")
    if not (math.isfinite(value) and 0 <= value <= MAX_ENERGY):
        raise ConfigError(f"got {value:.6g}; expected a number from 0 to {MAX_ENERGY:g}")
    return float(value)


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise ConfigError(f"seed must be a whole number from 0 to {MAX_SEED}")
    return value


COMMANDS: Mapping[str, Callable[[Any], str | int | float | None]] = {
    "start": _nothing,
    "stop": _nothing,
    "next": _nothing,
    "style": _style,
    "energy": _energy,
    "seed": _seed,
}
