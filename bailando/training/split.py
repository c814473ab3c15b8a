"""The held-out split: by group of recordings and by song, never by window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bailando.training.dataset import Split
from bailando.training.sources import Recording


def split_recordings(recordings: Sequence[Recording], held_out: float, seed: int) -> dict[str, Split]:
    """Return the side of each recording by name.

    Of each style the fraction `held_out` of the groups is held out, at least one where there are three
    or more; partners of a group stay together.
    """
    split: dict[str, Split] = {}
    for style in sorted({recording.style for recording in recordings}):
        of_style = [recording for recording in recordings if recording.style == style]
        chosen = _choose(sorted({recording.group for recording in of_style}), held_out, seed)
        for recording in of_style:
            split[recording.name] = "held_out" if recording.group in chosen else "train"
    return split


def split_songs(songs: Sequence[str], held_out: float, seed: int) -> dict[str, Split]:
    """Return the side of each song by name."""
    chosen = _choose(sorted(songs), held_out, seed)
    return {song: "held_out" if song in chosen else "train" for song in songs}


def _choose(names: list[str], fraction: float, seed: int) -> set[str]:
    if fraction == 0 or len(names) < 3:
        return set()
    count = max(1, round(fraction * len(names)))
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[place] for place in order[:count]}
