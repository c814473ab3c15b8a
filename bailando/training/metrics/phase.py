"""Beat-phase locking: whether a dance keeps a constant relation to the beat, early or late."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

AnyNumbers = npt.NDArray[Any]
ComplexArray = npt.NDArray[np.complex128]

BLOCK_BEATS = 8
PERMUTATIONS = 2000


@dataclass(frozen=True)
class PhaseLock:
    """How a dance's accents lie on the beat phase of its music.

    Parameters
    ----------
    vector_strength : float
        0 (accents anywhere) to 1 (always at one phase); NaN without accents.
    preferred_phase : float
        Of the accents, in beats from the beat, -0.5 to 0.5; negative is before the beat.
    p_value : float
        Share of permutations that lock as well; see `phase_lock`.
    accents : int
        Number of accents that lay between two music beats.
    """

    vector_strength: float
    preferred_phase: float
    p_value: float
    accents: int


def beat_phase(accents: AnyNumbers, music_beats: AnyNumbers) -> npt.NDArray[np.float64]:
    """Return the beat number and phase of accents: 3.25 is a quarter after the fourth beat.

    Linear between beats; accents before the first or from the last beat on are left out.
    """
    beats = np.asarray(music_beats, np.float64)
    times = np.asarray(accents, np.float64)
    if len(beats) < 2:
        return np.zeros(0)
    times = times[(times >= beats[0]) & (times < beats[-1])]
    position: npt.NDArray[np.float64] = np.interp(times, beats, np.arange(len(beats)))
    return position


def phase_lock(
    accents: AnyNumbers, music_beats: AnyNumbers, *, seed: int = 0, permutations: int = PERMUTATIONS
) -> PhaseLock:
    """Measure the locking of one dance; see `pooled_phase_lock`."""
    return pooled_phase_lock([(accents, music_beats)], seed=seed, permutations=permutations)


def pooled_phase_lock(
    dances: Iterable[tuple[AnyNumbers, AnyNumbers]], *, seed: int = 0, permutations: int = PERMUTATIONS
) -> PhaseLock:
    """Measure the locking of dances to their music, blind to a constant offset.

    Vector strength |Σ exp(2πi φ)| / n over the beat phases φ of the accents (Goldberg and Brown, Journal of
    Neurophysiology 1969); its angle is the preferred phase. The p-value is of a permutation test: accents are
    cut into blocks of 8 beats, each block is turned by a random phase, and the share of turned dances that
    reach the measured strength is counted. What a dance of steady tempo shows within 8 beats by itself thus
    counts for nothing; what counts is that blocks agree with each other. With fewer than two blocks the
    p-value is 1.

    Parameters
    ----------
    dances : iterable of (accents, music_beats)
        Frames of the dance's accents (`motion_beats`) and of the music's beats, ascending.
    seed : int
        Of the permutations.
    permutations : int
        Their number.
    """
    parts = [_blocks(accents, music_beats) for accents, music_beats in dances]
    sums = np.concatenate([np.zeros(0, np.complex128), *(part for part, _ in parts)])
    count = sum(number for _, number in parts)
    if count == 0:
        return PhaseLock(float("nan"), float("nan"), 1.0, 0)
    total = sums.sum()
    strength = abs(total) / count
    preferred = float(np.angle(total) / (2 * np.pi))
    if len(sums) < 2:
        return PhaseLock(float(strength), preferred, 1.0, count)
    turns = np.random.default_rng(seed).random((permutations, len(sums)))
    chance = np.abs(np.exp(2j * np.pi * turns) @ sums) / count
    p_value = (1 + int((chance >= strength - 1e-12).sum())) / (1 + permutations)
    return PhaseLock(float(strength), preferred, p_value, count)


def _blocks(accents: AnyNumbers, music_beats: AnyNumbers) -> tuple[ComplexArray, int]:
    """Sum of exp(2πi phase) over the accents of each block of beats, and the number of accents."""
    position = beat_phase(accents, music_beats)
    if len(position) == 0:
        return np.zeros(0, np.complex128), 0
    block = (position // BLOCK_BEATS).astype(np.int64)
    vectors = np.exp(2j * np.pi * position)
    sums = np.zeros(block.max() + 1, np.complex128)
    np.add.at(sums, block, vectors)
    return sums[np.unique(block)], len(position)
