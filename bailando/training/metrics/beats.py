"""Dancing on the beat: Beat Align Score and the score that chance would reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.training.metrics.kinetic import as_positions

FloatArray = npt.NDArray[np.float64]
AnyNumbers = npt.NDArray[Any]

SIGMA_FRAMES = 3.0
SMOOTHING_FRAMES = 5.0
RANDOM_PHASES = 64


def motion_beats(
    positions: npt.NDArray[np.floating[Any]], smoothing_frames: float = SMOOTHING_FRAMES
) -> npt.NDArray[np.int64]:
    """Return the frames in which the dance pauses: local minima of the smoothed mean joint speed.

    Source: Li et al., ICCV 2021 (kinematic beats); Gaussian of 5 frames as in Siyao et al., CVPR 2022.

    Parameters
    ----------
    positions : ndarray, shape (T, J, 3)
        At 60 frames a second, at least 4 frames.
    smoothing_frames : float
        Deviation of the Gaussian, cut at four deviations and mirrored at both ends.

    Returns
    -------
    ndarray of int64
        Index n stands for the movement between frames n and n + 1.
    """
    frames = as_positions(positions, 4)
    speed = np.linalg.norm(np.diff(frames, axis=0), axis=-1).mean(axis=1)
    smooth = _smooth_gaussian(speed, smoothing_frames)
    minima = (smooth[1:-1] < smooth[:-2]) & (smooth[1:-1] < smooth[2:])
    return np.flatnonzero(minima) + 1


def beat_align_by_music(
    music_beats: AnyNumbers, dance_beats: AnyNumbers, sigma_frames: float = SIGMA_FRAMES
) -> float:
    """Return the Beat Align Score: the mean over music beats of exp(-min d² / 2σ²).

    d is the distance to the nearest dance beat. Source: Siyao et al., CVPR 2022, equation 15.

    Parameters
    ----------
    music_beats, dance_beats : ndarray
        Frames, ascending.
    sigma_frames : float
        3 at 60 frames a second.

    Returns
    -------
    float
        0 to 1; 0 if the dance has no beats, NaN if the music has none.
    """
    return _mean_closeness(_grid(music_beats), _grid(dance_beats), sigma_frames)


def beat_align_by_motion(
    music_beats: AnyNumbers, dance_beats: AnyNumbers, sigma_frames: float = SIGMA_FRAMES
) -> float:
    """Return the mean over DANCE beats of exp(-min d² / 2σ²), d to the nearest music beat.

    The form of Li et al., ICCV 2021. It does not punish beats that are not danced; not to be compared with
    `beat_align_by_music`. Dance beats before the first and after the last music beat by more than half an
    interval are left out. 0 if the dance has no beats.
    """
    music, dance = _grid(music_beats), _grid(dance_beats)
    if len(music) == 0:
        return float("nan")
    if len(music) > 1:
        half = np.diff(music).mean() / 2
        dance = dance[(dance >= music[0] - half) & (dance <= music[-1] + half)]
    return _mean_closeness(dance, music, sigma_frames) if len(dance) else 0.0


def random_phase_score(
    music_beats: AnyNumbers,
    dance_beats: AnyNumbers,
    sigma_frames: float = SIGMA_FRAMES,
    by: str = "music",
    phases: int = RANDOM_PHASES,
) -> float:
    """Return what the same dance scores against the same beats at a random phase: chance.

    The mean score over music beats moved by 0, 1/64, ... 63/64 of the interval to their next one.

    Parameters
    ----------
    music_beats, dance_beats, sigma_frames
        As in `beat_align_by_music`; at least 2 music beats, else NaN.
    by : {"music", "motion"}
        Whose beats are averaged over.
    phases : int
        Number of phases.
    """
    music = _grid(music_beats)
    if len(music) < 2:
        return float("nan")
    intervals = np.diff(music)
    intervals = np.append(intervals, intervals[-1])
    score = {"music": beat_align_by_music, "motion": beat_align_by_motion}[by]
    scores = [
        score(music + share * intervals, dance_beats, sigma_frames) for share in np.arange(phases) / phases
    ]
    return float(np.mean(scores))


def _mean_closeness(points: FloatArray, grid: FloatArray, sigma_frames: float) -> float:
    """Mean over `points` of exp(-d² / 2σ²), d to the nearest of `grid`."""
    if len(points) == 0:
        return float("nan")
    if len(grid) == 0:
        return 0.0
    after = np.searchsorted(grid, points).clip(0, len(grid) - 1)
    before = np.maximum(after - 1, 0)
    distance = np.minimum(np.abs(points - grid[before]), np.abs(points - grid[after]))
    return float(np.exp(-(distance**2) / (2 * sigma_frames**2)).mean())


def _grid(beats: AnyNumbers) -> FloatArray:
    array = np.asarray(beats, np.float64)
    if array.ndim != 1 or (np.diff(array) < 0).any():
        raise InputError(f"beats have shape {array.shape}; expected ascending frames in one dimension")
    return array


def _smooth_gaussian(values: FloatArray, deviation: float) -> FloatArray:
    radius = int(4.0 * deviation + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    mirrored = np.pad(values, radius, mode="symmetric")
    smooth: FloatArray = np.convolve(mirrored, kernel / kernel.sum(), mode="valid")
    return smooth
