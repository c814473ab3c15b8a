"""A prepared data set on disk: memory-mapped arrays and one JSON index with all provenance.

``index.json`` holds everything but the numbers; ``motion/<segment>.upper.npy`` (2, T, 90) and
``.lower.npy`` (2, T, 62) hold the pose channels, plain then mirrored, ``.positions.npy`` (T, 24, 3) the
joints in metres, all float32; ``.beats.npy`` its beats in frames;
``music/<segment>.npy`` (draws, preroll + T, F) the features of the songs drawn for it, float16.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.models.presets import Preset, preset

FORMAT = "bailando-dataset"
VERSION = 1
Split = Literal["train", "held_out"]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """One clean stretch of motion: `frames` at 60 Hz, of one recording.

    ``speed_deviation`` is the deviation of its speed from the recording's (see `retiming`). ``song`` is the
    song it was danced to, if it was, and ``song_start_s`` the place in it at frame 0.
    """

    name: str
    recording: str
    group: str
    source: str
    style: str
    split: Split
    frames: int
    speed_deviation: float = 0.0
    song: str = ""
    song_start_s: float = 0.0

    @property
    def is_other_speed(self) -> bool:
        """Whether it repeats a stretch at another speed."""
        return "@" in self.name.rpartition("/")[2]

    @property
    def file_stem(self) -> str:
        """Name of its files."""
        return self.name.replace("/", "__")


class Dataset:
    """A prepared data set, opened for reading.

    Parameters
    ----------
    folder
        What `bailando-train prepare` wrote.

    Raises
    ------
    InputError
        If there is no data set, or it is of another version.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.index = read_index(self.folder)
        self.segments = tuple(Segment(**values) for values in self.index["segments"])

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles, ``open`` first."""
        return tuple(self.index["styles"])

    @property
    def preroll_frames(self) -> int:
        """Feature frames before the first frame of motion."""
        return int(self.index["preroll_frames"])

    @cached_property
    def feature_dim(self) -> int:
        """Music features per frame."""
        return int(self.index["feature_dim"])

    @property
    def music_frames(self) -> int:
        """Feature frames of a music token: 8, or 1, the last one (see `MusicFeatures`)."""
        return int(self.index.get("music_frames", 8))

    @property
    def has_own_features(self) -> bool:
        """Whether the features are ours, whose channels have names."""
        return "kind" not in self.index["features"]

    def of(self, split: Split) -> list[Segment]:
        """Return the segments of one side of the split."""
        return [segment for segment in self.segments if segment.split == split]

    def pose(self, segment: Segment) -> tuple[Float32Array, Float32Array]:
        """Return the upper (2, T, 90) and lower (2, T, 62) channels, memory-mapped."""
        return self._load("motion", f"{segment.file_stem}.upper"), self._load(
            "motion", f"{segment.file_stem}.lower"
        )

    def positions(self, segment: Segment) -> Float32Array:
        """Return the joint positions (T, 24, 3) in metres, memory-mapped."""
        return cast(Float32Array, self._load("motion", f"{segment.file_stem}.positions"))

    def music(self, segment: Segment) -> npt.NDArray[np.float16]:
        """Return the features (draws, preroll + T, F), memory-mapped."""
        return cast(npt.NDArray[np.float16], self._load("music", segment.file_stem))

    def pairs(self, segment: Segment) -> list[dict[str, Any]]:
        """Return what was drawn for a segment: song, speed, offset, grid; one entry per draw."""
        return list(self.index["pairs"].get(segment.name, []))

    def _load(self, kind: str, stem: str) -> Any:
        path = self.folder / kind / f"{stem}.npy"
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}): prepare the data set again") from None


def preset_of(name: str, dataset: Dataset) -> Preset:
    """Return the model sizes of a name for this data's music and styles."""
    return preset(
        name, features=dataset.feature_dim, styles=len(dataset.styles), music_frames=dataset.music_frames
    )


def read_index(folder: Path) -> dict[str, Any]:
    """Read ``index.json``.

    Raises
    ------
    InputError
        If it is missing, no JSON, foreign or of another version.
    """
    path = folder / "index.json"
    if not path.is_file():
        raise InputError(f"no data set at {folder}: make one with bailando-train prepare")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}): prepare the data set again") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT or index.get("version") != VERSION:
        raise InputError(f"{path} is no data set of version {VERSION}: prepare the data set again")
    return index


def write_index(folder: Path, index: dict[str, Any]) -> None:
    """Write ``index.json`` whole or not at all."""
    partial = folder / "index.json.partial"
    partial.write_text(json.dumps(index, indent=1), encoding="utf-8")
    os.replace(partial, folder / "index.json")


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an npy file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    os.replace(partial, path)
