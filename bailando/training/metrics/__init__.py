"""Figures of merit of dances, each by the formula that its docstring names; numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.training.metrics.beats import (
    beat_align_by_motion,
    beat_align_by_music,
    motion_beats,
    random_phase_score,
)
from bailando.training.metrics.codes import (
    codebook_perplexity,
    codebook_usage,
    longest_repeat,
    token_accuracy,
)
from bailando.training.metrics.distribution import diversity, frechet_distance, normalise_features
from bailando.training.metrics.geometric import geometric_features
from bailando.training.metrics.kinetic import kinetic_features
from bailando.training.metrics.phase import PhaseLock, beat_phase, phase_lock, pooled_phase_lock
from bailando.training.metrics.physical import (
    bone_length_error_mm,
    floor_reach_m,
    foot_skate_ratio,
    jitter,
    joint_speed_m_s,
    physical_foot_contact,
    position_error_mm,
)

__all__ = [
    "PhaseLock",
    "beat_align_by_motion",
    "beat_align_by_music",
    "beat_phase",
    "bone_length_error_mm",
    "codebook_perplexity",
    "codebook_usage",
    "diversity",
    "features_of",
    "floor_reach_m",
    "foot_skate_ratio",
    "frechet_distance",
    "geometric_features",
    "jitter",
    "joint_speed_m_s",
    "kinetic_features",
    "longest_repeat",
    "motion_beats",
    "normalise_features",
    "phase_lock",
    "physical_foot_contact",
    "pooled_phase_lock",
    "position_error_mm",
    "random_phase_score",
    "token_accuracy",
]


def features_of(
    positions: npt.NDArray[np.floating[Any]], fps: float = 60.0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the kinetic (72,) and geometric (32,) features of a dance moved to the origin.

    Parameters
    ----------
    positions : ndarray, shape (T, 24, 3)
        Metres, Y up; the root of the first frame is subtracted, as the field does.
    fps : float
        Frames a second.
    """
    centred = np.asarray(positions, np.float64) - np.asarray(positions[:1, :1], np.float64)
    return kinetic_features(centred, fps), geometric_features(centred)
