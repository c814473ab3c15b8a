"""What the files of a live recording are called."""

from __future__ import annotations

import re
from pathlib import Path

from bailando.motion.files.registry import TAKE_SUFFIX

_DANCER_MARK = "-dancer"


def take_path(folder: Path, stem: str, dancer: int, dancers: int) -> Path:
    """Return where the take of one of several dancers goes, counted from 0; the stem alone for a soloist."""
    mark = f"{_DANCER_MARK}{dancer + 1}" if dancers > 1 else ""
    return folder / f"{stem}{mark}{TAKE_SUFFIX}"


def sound_path(take: Path) -> Path:
    """Return where the sound of a take lies: one file beside it, shared by all who danced to it."""
    stem = re.sub(rf"{_DANCER_MARK}\d+$", "", take.stem)
    return take.with_name(f"{stem}.wav")
