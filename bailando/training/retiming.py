"""Motion danced in time: its own nearly regular beats made as regular as those of music.

Music keeps its tempo; people without music do not quite, and a song bent after them loses the steady beat
that a listener, or a causal beat tracker, relies on. So the time of the motion is bent a little instead:
between two of its beats it runs faster or slower, by a few per cent in the mean and never by more than a
third, so that intervals between beats change only slowly. The bends lie on the beats, where the body
moves least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.motion.motion import Motion
from bailando.motion.rotations import slerp
from bailando.training.config import PairingConfig
from bailando.training.pairing import dance_beats, extend_grid

SLOWEST, FASTEST = 0.75, 4 / 3
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Retimed:
    """A motion with steady beats.

    Parameters
    ----------
    motion
        The bent motion.
    beats
        Its beats in frames, reaching beyond both ends by up to a beat.
    speed_deviation
        Standard deviation over the beats of how much faster it runs than the original.
    """

    motion: Motion
    beats: FloatArray
    speed_deviation: float


def retime(motion: Motion, config: PairingConfig) -> Retimed:
    """Bend the time of a motion so that its beats are steady.

    Parameters
    ----------
    motion : Motion
        At 60 Hz.
    config
        How beats are found, and over how many of them intervals are smoothed (0: nothing is bent).
    """
    last = motion.frame_count - 1
    beats = extend_grid(dance_beats(motion.positions, config), 0.0, float(last))
    if not config.steady_beats:
        return Retimed(motion, beats, 0.0)
    intervals = np.diff(beats)
    steady = np.clip(_smooth(intervals, config.steady_beats), intervals * SLOWEST, intervals * FASTEST)
    times = beats[0] + np.concatenate([[0.0], np.cumsum(steady)])
    first_time, last_time = np.interp([0.0, float(last)], beats, times)
    frames = np.arange(np.ceil(first_time), np.floor(last_time) + 1)
    return Retimed(
        motion=_read(motion, np.interp(frames, times, beats)),
        beats=times - frames[0],
        speed_deviation=float(np.std(intervals / steady)),
    )


def _smooth(intervals: FloatArray, deviation: float) -> FloatArray:
    """Smooth by a Gaussian; the ends are held."""
    reach = int(np.ceil(4 * deviation))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return np.convolve(np.pad(intervals, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def _read(motion: Motion, at: npt.NDArray[np.floating[Any]]) -> Motion:
    """Return the motion at fractional frames `at`, each within it."""
    before = np.clip(np.floor(at).astype(np.intp), 0, motion.frame_count - 1)
    after = np.minimum(before + 1, motion.frame_count - 1)
    weight = (at - before).astype(np.float32)[:, None]
    return Motion(
        slerp(motion.rotations[before], motion.rotations[after], weight),
        motion.root_position[before] * (1 - weight) + motion.root_position[after] * weight,
        motion.contacts[before] * (1 - weight) + motion.contacts[after] * weight,
        motion.fps,
        motion.skeleton,
    )
