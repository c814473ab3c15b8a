"""Whether a body could move so: feet, jerk, bones, floor."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.motion.skeleton import Skeleton
from bailando.training.metrics.kinetic import as_positions

FloatArray = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating[Any]]

LEFT_FOOT, RIGHT_FOOT = (7, 10), (8, 11)
TOES = (10, 11)
_EDGE_FPS = 30.0
_EDGE_SCALE = 1e4
SKATE_HEIGHT_M = 0.05
SKATE_SPEED_M_S = 0.5
_SKATE_WINDOW_S = 0.25


def physical_foot_contact(positions: AnyFloats, fps: float = 60.0) -> float:
    """Return the Physical Foot Contact score: acceleration of the body while both feet move; lower is better.

    PFC = 10⁴ / (N max_j |ā_j|) Σ_i |ā_i| |v_left,i| |v_right,i|, where ā is the acceleration of the root with
    its upward part floored at 0 and v the horizontal movement per frame, in metres, of the slower of ankle
    and toes. Source: Tseng et al., EDGE, CVPR 2023, section 4.1, as computed there at 30 frames a second;
    faster motion is thinned to that.

    Parameters
    ----------
    positions : ndarray, shape (T, 24, 3)
        Metres, Y up, at least 3 frames at 30 Hz.
    fps : float
        Frames a second.

    Returns
    -------
    float
        0 for a body that does not accelerate.
    """
    step = max(1, round(fps / _EDGE_FPS))
    frames = as_positions(np.asarray(positions)[::step], 3)
    acceleration = np.diff(frames[:, 0], n=2, axis=0)
    acceleration[:, 1] = np.maximum(acceleration[:, 1], 0.0)
    strength = np.linalg.norm(acceleration, axis=-1)
    if strength.max() <= 0.0:
        return 0.0
    moved = np.linalg.norm(np.diff(frames[1:][..., [0, 2]], axis=0), axis=-1)
    left, right = moved[:, LEFT_FOOT].min(axis=1), moved[:, RIGHT_FOOT].min(axis=1)
    return float((strength / strength.max() * left * right).mean() * _EDGE_SCALE)


def foot_skate_ratio(positions: AnyFloats, fps: float = 60.0) -> float:
    """Return the share of frames in which a foot slides on the floor.

    A foot slides if its toe joint is below 5 cm in this frame and the next and moves horizontally faster than
    0.5 m/s, both between the two frames and on average over 0.25 s. Source: Karunratanakul et al., Guided
    Motion Diffusion, ICCV 2023 (5 frames at 20 Hz there).

    Parameters
    ----------
    positions : ndarray, shape (T, 24, 3)
        Metres, Y up, floor at 0, at least 2 frames.
    fps : float
        Frames a second.
    """
    toes = as_positions(positions, 2)[:, TOES]
    speed = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=-1) * fps
    window = min(max(1, round(_SKATE_WINDOW_S * fps)), len(speed))
    kernel = np.full(window, 1.0 / window)
    average = np.stack([np.convolve(speed[:, foot], kernel, mode="same") for foot in range(2)], axis=1)
    low = toes[..., 1] < SKATE_HEIGHT_M
    slides = low[1:] & low[:-1] & (np.minimum(speed, average) > SKATE_SPEED_M_S)
    return float(slides.any(axis=1).mean())


def jitter(positions: AnyFloats, fps: float = 60.0) -> float:
    """Return the mean jerk of all joints, m/s³: |third difference| · fps³.

    Source: Yi et al., TransPose, SIGGRAPH 2021 (which prints it in units of 100 m/s³). It grows with the
    frame rate: compare at one.

    Parameters
    ----------
    positions : ndarray, shape (T, J, 3)
        Metres, at least 4 frames.
    fps : float
        Frames a second.
    """
    jerk = np.diff(as_positions(positions, 4), n=3, axis=0) * fps**3
    return float(np.linalg.norm(jerk, axis=-1).mean())


def joint_speed_m_s(positions: AnyFloats, fps: float = 60.0) -> float:
    """Return the mean speed of all joints (T, J, 3), m/s: near 0 for a frozen dancer."""
    steps = np.diff(as_positions(positions, 2), axis=0) * fps
    return float(np.linalg.norm(steps, axis=-1).mean())


def bone_length_error_mm(positions: AnyFloats, skeleton: Skeleton | None = None) -> float:
    """Return the mean absolute difference of bone lengths to a skeleton's, mm.

    Without a skeleton each bone is compared with its own median length: the wobble of a body of unknown
    size.

    Parameters
    ----------
    positions : ndarray, shape (T, 24, 3)
        Metres.
    skeleton : Skeleton, optional
        The body that dances; joint 0 is the root.
    """
    frames = as_positions(positions, 1)
    body = skeleton or Skeleton.default()
    if frames.shape[1] != body.joint_count:
        raise InputError(
            f"motion has {frames.shape[1]} joints, its skeleton {body.joint_count}; expected as many"
        )
    parents = list(body.parents[1:])
    lengths = np.linalg.norm(frames[:, 1:] - frames[:, parents], axis=-1)
    expected = np.median(lengths, axis=0) if skeleton is None else np.linalg.norm(body.offsets[1:], axis=-1)
    return float(np.abs(lengths - expected).mean() * 1e3)


def floor_reach_m(positions: AnyFloats) -> float:
    """Return how far the root gets from where it began, along x or z, metres: 3 fills a 6 × 6 m floor."""
    root = as_positions(positions, 1)[:, 0]
    return float(np.abs(root[:, [0, 2]] - root[0, [0, 2]]).max())


def position_error_mm(positions: AnyFloats, reference: AnyFloats) -> float:
    """Return the mean joint position error, mm (MPJPE), of two motions (T, J, 3) of one length."""
    one, other = as_positions(positions, 1), as_positions(reference, 1)
    if one.shape != other.shape:
        raise InputError(f"motions have shapes {one.shape} and {other.shape}; expected the same")
    return float(np.linalg.norm(one - other, axis=-1).mean() * 1e3)
