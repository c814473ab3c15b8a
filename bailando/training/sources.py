"""Motion files on disk: which recordings there are, of which style, and which parts to leave out."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from bailando.errors import ConfigError, InputError

OPEN_STYLE = "open"
_PARTNER = re.compile(r"_[ab]$")
_IGNORED = {"rest_pose"}


@dataclass(frozen=True)
class Source:
    """A folder of motion files.

    Parameters
    ----------
    name, licence, credit
        What to print with results.
    styles
        Label of a recording to its style.
    """

    name: str
    licence: str
    credit: str
    styles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """One motion file.

    Parameters
    ----------
    name
        ``folder/stem``, unique in a data set.
    path
        The file.
    group
        Recordings of one group were captured together (partners): never on both sides of the split.
    style
        One of the data set's styles; ``open`` if not known.
    dropped
        Frame ranges (first, last; the file's frames) to leave out, with the reason.
    moving
        First and last frame with movement in the file's frames, if known.
    """

    name: str
    path: Path
    group: str
    style: str
    dropped: tuple[tuple[int, int, str], ...] = ()
    moving: tuple[int, int] | None = None


def known_sources(path: Path | None = None) -> dict[str, Source]:
    """Return the sources described in a YAML file (the shipped one by default), by folder name.

    Raises
    ------
    ConfigError
        If the file is not a mapping of folder names to ``name``, ``licence``, ``credit``, ``styles``.
    """
    if path is None:
        text = resources.files("bailando.training").joinpath("sources.yaml").read_text(encoding="utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        raise ConfigError(f"no description of sources at {path}: give a YAML file")
    try:
        described = yaml.safe_load(text)
        return {folder: Source(**values) for folder, values in described.items()}
    except (yaml.YAMLError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} describes no sources ({' '.join(str(error).split())[:160]}): expected per folder the "
            "keys name, licence, credit and styles"
        ) from None


def find_recordings(folder: Path, source: Source) -> list[Recording]:
    """List the BVH files of a folder with what its ``index.csv`` and ``suspect.csv`` say of them.

    Raises
    ------
    InputError
        If the folder is missing or holds no BVH file.
    """
    paths = sorted(path for path in folder.glob("*.bvh") if path.stem not in _IGNORED)
    if not paths:
        raise InputError(f"{folder} holds no BVH file: give a folder of .bvh recordings")
    labels = {row["clip"]: row for row in _rows(folder / "index.csv", ("clip",))}
    suspects = _rows(folder / "suspect.csv", ("clip", "first_frame", "last_frame", "what", "drop"))
    recordings = []
    for path in paths:
        row = labels.get(path.stem, {})
        label = row.get("style", re.split(r"[_\W]", path.stem, maxsplit=1)[0])
        recordings.append(
            Recording(
                name=f"{folder.name}/{path.stem}",
                path=path,
                group=f"{folder.name}/{_PARTNER.sub('', path.stem)}",
                style=source.styles.get(str(label), OPEN_STYLE),
                dropped=_dropped(path.stem, suspects),
                moving=_moving(row),
            )
        )
    return recordings


def describe_source(folder: Path, known: Mapping[str, Source]) -> Source:
    """Return what is known of a folder, by ``parent/name`` or ``name``; else a source that says so."""
    qualified = f"{folder.parent.name}/{folder.name}"
    if qualified in known:
        return known[qualified]
    unknown = Source(name=folder.name, licence="not stated", credit=f"not stated (folder {folder.name})")
    return known.get(folder.name, unknown)


def _dropped(stem: str, suspects: Sequence[Mapping[str, str]]) -> tuple[tuple[int, int, str], ...]:
    return tuple(
        (int(row["first_frame"]), int(row["last_frame"]), row["what"])
        for row in suspects
        if row["clip"] == stem and row["drop"] == "yes"
    )


def _moving(row: Mapping[str, str]) -> tuple[int, int] | None:
    if "first_moving_frame" not in row or "last_moving_frame" not in row:
        return None
    return int(row["first_moving_frame"]), int(row["last_moving_frame"])


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = sorted(set(needed) - set(reader.fieldnames or ()))
        if missing:
            raise InputError(f"{path} lacks the columns {missing}: add them or remove the file")
        return list(reader)
