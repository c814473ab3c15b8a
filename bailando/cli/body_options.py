"""What is put right about the body, on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bailando.errors import ConfigError

if TYPE_CHECKING:
    from bailando.motion.grounding import BodyConfig

_PARTS = {"feet": "foot_lock", "floor": "floor", "smooth": "smoothing"}
_DEFAULT = "feet,floor"
_NOTHING = "none"


def add_body_option(group: argparse._ArgumentGroup) -> None:
    """Add which parts are on."""
    group.add_argument(
        "--body", default=_DEFAULT, metavar="PARTS", help=f"{_DEFAULT} (default); feet floor smooth, or none"
    )


def body_config(options: argparse.Namespace) -> BodyConfig:
    """Return the engine's way with bodies, with the parts of ``--body`` switched on and the others off.

    Raises
    ------
    ConfigError
        If a part is unknown.
    """
    from dataclasses import replace

    from bailando.engine.body import BODY

    text = str(options.body).strip().lower()
    parts = [] if text == _NOTHING else [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in _PARTS:
            raise ConfigError(f"--body got {part!r}; give {', '.join(_PARTS)} with commas, or {_NOTHING}")
    feet, floor, smooth = (name in parts for name in _PARTS)
    return replace(BODY, foot_lock=feet, floor=floor, smoothing=smooth)
