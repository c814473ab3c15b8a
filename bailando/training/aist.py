"""AIST++ as its owners distribute it: what its file names say, its splits and its ignore list.

A folder with ``motions/*.pkl``, ``splits/crossmodal_{train,val,test}.txt`` (or ``pose_...``) and
``ignore_list.txt``. A dance is called ``gBR_sBM_cAll_d04_mBR0_ch01``: genre, situation, camera, dancer,
music, choreography; it was danced to the song ``mBR0`` from its first sample on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bailando.training.dataset import Split

SOURCE_NAME = "aist_plusplus_final"
"""The name of its folder when it is unpacked, and its key in ``sources.yaml``."""

_NAME = re.compile(r"g(?P<genre>[A-Z]{2})_s[A-Z]{2}_c\w+_d\d+_(?P<song>m[A-Z]{2}\d+)_ch\d+")
_SIDES: dict[str, Split] = {"train": "train", "val": "held_out", "test": "held_out"}


@dataclass(frozen=True)
class AistName:
    """What the name of a dance says.

    Parameters
    ----------
    genre
        Two letters, such as ``BR`` (break).
    song
        Stem of the song's file.
    """

    genre: str
    song: str


def aist_name(stem: str) -> AistName | None:
    """Return what a file's name says; None if it is no AIST++ name."""
    match = _NAME.fullmatch(stem)
    return AistName(match["genre"], match["song"]) if match else None


@dataclass(frozen=True)
class AistLists:
    """The lists that come with the dances.

    Parameters
    ----------
    ignored
        Names of dances whose reconstruction failed.
    sides
        Official side of the split by name; empty if no list was found.
    """

    ignored: frozenset[str]
    sides: dict[str, Split]

    def reason_to_skip(self, stem: str) -> str:
        """Return why a dance is left out; empty if it is not."""
        if stem in self.ignored:
            return "on the ignore list"
        if self.sides and stem not in self.sides:
            return "in none of the official splits"
        return ""


def dataset_root(folder: Path) -> Path:
    """Return the folder itself, or the data set's folder if it is the ``motions`` of one."""
    is_motions = folder.name == "motions" and (folder.parent / "splits").is_dir()
    return folder.parent if is_motions else folder


def read_lists(root: Path) -> AistLists:
    """Read the ignore list and the splits, cross-modal ones first, of a data set's folder."""
    ignored = frozenset(_names(root / "ignore_list.txt"))
    for kind in ("crossmodal", "pose"):
        sides = {
            name: side
            for part, side in _SIDES.items()
            for name in _names(root / "splits" / f"{kind}_{part}.txt")
        }
        if sides:
            return AistLists(ignored, sides)
    return AistLists(ignored, {})


def _names(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.is_file() else []
