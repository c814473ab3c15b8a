"""What a VMC performer is asked to do, as controls of ours.

Addresses: protocol.vmc.info, "Performer": a program may ask the performer, on port 39540, to get ready for
calibration, to calibrate, to call a function by name, to send anew what it sends rarely.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bailando.engine.control import CONTROLS, ControlValue
from bailando.errors import ConfigError

VMC_PREFIX = "/VMC/"
VMC_CONTROL_PORT = 39540
_READY = "/VMC/Ext/Set/Calib/Ready"
_EXEC = "/VMC/Ext/Set/Calib/Exec"
_SHORTCUT = "/VMC/Ext/Set/Shortcut"
_PERIOD = "/VMC/Ext/Set/Period"
_CALIBRATION_MODES = (0, 1, 2)


def controls_of_vmc(address: str, values: Sequence[Any]) -> list[tuple[str, ControlValue]]:
    """Return the controls, name and value, that a message to the performer asks for.

    ``Calib/Ready`` stands still, ``Calib/Exec`` goes back to the place and dances, ``Shortcut`` is a
    control in words, ``"next"`` or ``"style salsa"``. Of the rest there is nothing to do here, since every
    frame holds all that is sent; as VMC demands, it is passed over.

    Raises
    ------
    ConfigError
        If a value is none that VMC knows, or the engine cannot do what is asked for.
    """
    if address == _READY:
        return [("stop", None)]
    if address == _EXEC:
        if len(values) != 1 or values[0] not in _CALIBRATION_MODES:
            raise ConfigError(f"{address} takes one mode, 0, 1 or 2; got {list(values)!r:.60}")
        return [("recentre", None), ("start", None)]
    if address == _SHORTCUT:
        return [_in_words(values)]
    if address == _PERIOD:
        raise ConfigError(f"{address} cannot be changed while it runs; start with --vmc HOST:PORT,fps=RATE")
    return []


def _in_words(values: Sequence[Any]) -> tuple[str, ControlValue]:
    """Read a shortcut: a control and, behind a space, its value."""
    text = values[0] if len(values) == 1 and isinstance(values[0], str) else ""
    name, _, rest = text.strip().partition(" ")
    if name not in CONTROLS:
        raise ConfigError(f"unknown shortcut {text[:40]!r}; write a control of docs/control.md and its value")
    if not rest:
        return name, None
    try:
        number = float(rest)
    except ValueError:
        return name, rest.strip()
    return name, int(number) if number.is_integer() else number
