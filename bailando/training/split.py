"""The held-out split: by group of recordings and by song, never by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bailando.training.dataset import Split
from bailando.training.sources import Recording


def split_recordings(recordings: Sequence[Recording], held_out: float, seed: int) -> dict[str, Split]:
    """Return the side of each recording by name.

    Of each style the fraction `held_out` of the groups is held out, at least one where there are three
    or more; partners of a group stay together. Recordings whose owners chose a side are on it.
    """
    split: dict[str, Split] = {r.name: r.side for r in recordings if r.side is not None}
    recordings = [recording for recording in recordings if recording.side is None]
    for style in sorted({recording.style for recording in recordings}):
        of_style = [recording for recording in recordings if recording.style == style]
        chosen = _choose(sorted({recording.group for recording in of_style}), held_out, seed)
        for recording in of_style:
            split[recording.name] = "held_out" if recording.group in chosen else "train"
    return split


def split_songs(
    songs: Sequence[str], held_out: float, seed: int, danced: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Return the side of each song by name; those that were danced to (`danced`) are on their dances'."""
    danced = danced or {}
    chosen = _choose(sorted(set(songs) - set(danced)), held_out, seed)
    return {song: danced.get(song, "held_out" if song in chosen else "train") for song in songs}


def sides_of_songs(recordings: Sequence[Recording], sides: Mapping[str, Split]) -> dict[str, Split]:
    """Return the side of the songs that recordings were danced to; in doubt they are to train with."""
    danced: dict[str, Split] = {}
    for recording in recordings:
        if recording.song and danced.get(recording.song) != "train":
            danced[recording.song] = sides[recording.name]
    return danced


def _choose(names: list[str], fraction: float, seed: int) -> set[str]:
    if fraction == 0 or len(names) < 3:
        return set()
    count = max(1, round(fraction * len(names)))
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[place] for place in order[:count]}
