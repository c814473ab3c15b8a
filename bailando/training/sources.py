"""Motion files on disk: which recordings there are, of which style, and which parts to leave out."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from bailando.errors import ConfigError, InputError
from bailando.motion.joint_map import OPTIONAL_JOINTS, REQUIRED_JOINTS
from bailando.training.aist import SOURCE_NAME, aist_name, dataset_root, read_lists
from bailando.training.dataset import Split
from bailando.training.readers import SUFFIXES

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
    song
        Stem of the song it was danced to; empty if nobody danced to any.
    song_start_s
        Place in the song at the file's first frame.
    side
        Side of the split that the data's owners chose, if they did.
    skip_reason
        Why all of it is left out; empty if it is not.
    joint_map
        Our joint names to the file's, where they cannot be guessed.
    """

    name: str
    path: Path
    group: str
    style: str
    dropped: tuple[tuple[int, int, str], ...] = ()
    moving: tuple[int, int] | None = None
    # Not in the repr, which tells finished work apart: data sets begun before these existed go on.
    song: str = field(default="", repr=False)
    song_start_s: float = field(default=0.0, repr=False)
    side: Split | None = field(default=None, repr=False)
    skip_reason: str = field(default="", repr=False)
    joint_map: tuple[tuple[str, str], ...] = field(default=(), repr=False)


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


def find_recordings(
    folder: Path, source: Source, joint_map: Mapping[str, str] | None = None
) -> list[Recording]:
    """List the motion files of a folder with what the tables beside them say.

    ``index.csv`` (``clip`` and perhaps ``style``, ``song``, ``song_start_s``, ``first_moving_frame``,
    ``last_moving_frame``), ``suspect.csv`` (frame ranges to drop), ``joint_map.yaml`` (see `read_joint_map`;
    stands before `joint_map`), and the lists and names of AIST++.

    Raises
    ------
    InputError
        If the folder is missing or holds no motion file, or a table is wrong.
    """
    root = dataset_root(folder)
    files = root / "motions" if (root / "motions").is_dir() else root
    paths = sorted(
        path for path in files.glob("*") if path.suffix.lower() in SUFFIXES and path.stem not in _IGNORED
    )
    if not paths:
        raise InputError(f"{folder} holds no motion file: give a folder of {', '.join(SUFFIXES)} recordings")
    labels = {row["clip"]: row for row in _rows(files / "index.csv", ("clip",))}
    suspects = _rows(files / "suspect.csv", ("clip", "first_frame", "last_frame", "what", "drop"))
    own_map = files / "joint_map.yaml"
    names = tuple((read_joint_map(own_map) if own_map.is_file() else joint_map or {}).items())
    recordings = [
        _with_aist(_recording(root.name, path, labels.get(path.stem, {}), suspects, source), source)
        for path in paths
    ]
    lists = read_lists(root)
    return [
        replace(
            recording,
            joint_map=names,
            side=lists.sides.get(recording.path.stem),
            skip_reason=lists.reason_to_skip(recording.path.stem),
        )
        for recording in recordings
    ]


def _recording(
    folder: str, path: Path, row: Mapping[str, str], suspects: Sequence[Mapping[str, str]], source: Source
) -> Recording:
    label = row.get("style", re.split(r"[_\W]", path.stem, maxsplit=1)[0])
    try:
        song_start_s = float(row.get("song_start_s") or 0.0)
    except ValueError:
        raise InputError(
            f"song_start_s of {path.stem} in index.csv is {row['song_start_s']!r}, expected seconds"
        ) from None
    return Recording(
        name=f"{folder}/{path.stem}",
        path=path,
        group=f"{folder}/{_PARTNER.sub('', path.stem)}",
        style=source.styles.get(str(label), OPEN_STYLE),
        dropped=_dropped(path.stem, suspects),
        moving=_moving(row),
        song=row.get("song") or "",
        song_start_s=song_start_s,
    )


def _with_aist(recording: Recording, source: Source) -> Recording:
    """Add what an AIST++ name says; dances to one song are never on both sides of the split."""
    named = aist_name(recording.path.stem)
    if named is None:
        return recording
    return replace(
        recording,
        group=f"{recording.name.split('/')[0]}/{named.song}",
        style=source.styles.get(named.genre, OPEN_STYLE),
        song=recording.song or named.song,
    )


def read_joint_map(path: Path) -> dict[str, str]:
    """Read a YAML mapping of our joint names to a skeleton's.

    Raises
    ------
    ConfigError
        If there is no such file, or it maps anything but our joints to names.
    """
    if not path.is_file():
        raise ConfigError(f"no joint map at {path}: give a YAML file such as 'left_knee: LeftLeg'")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML ({' '.join(str(error).split())[:160]}): correct it") from None
    known = (*REQUIRED_JOINTS, *OPTIONAL_JOINTS)
    if not isinstance(values, dict) or not all(isinstance(theirs, str) for theirs in values.values()):
        raise ConfigError(f"{path} maps no joints: expected lines such as 'left_knee: LeftLeg'")
    if unknown := [str(ours) for ours in values if ours not in known]:
        raise ConfigError(f"{path} names {', '.join(unknown)}; expected some of {', '.join(known)}")
    return values


def describe_source(folder: Path, known: Mapping[str, Source]) -> Source:
    """Return what is known of a folder, by ``parent/name``, name or layout; else that it is unknown."""
    folder = dataset_root(folder)
    qualified = f"{folder.parent.name}/{folder.name}"
    if qualified in known:
        return known[qualified]
    unknown = Source(name=folder.name, licence="not stated", credit=f"not stated (folder {folder.name})")
    if (folder / "motions").is_dir() and (folder / "splits").is_dir():
        unknown = known.get(SOURCE_NAME, unknown)
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
