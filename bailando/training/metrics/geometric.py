"""Geometric features of a dance: how often each of 32 relations between body parts holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.training.metrics.kinetic import as_positions

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
GEOMETRIC_DIM = 32

_JOINTS = {
    "root": 0, "left_hip": 1, "right_hip": 2, "belly": 3, "left_knee": 4, "right_knee": 5,
    "left_ankle": 7, "right_ankle": 8, "chest": 9, "left_toes": 10, "right_toes": 11, "neck": 12,
    "left_shoulder": 16, "right_shoulder": 17, "left_elbow": 18, "right_elbow": 19,
    "left_wrist": 20, "right_wrist": 21,
}  # fmt: skip
_FIXED_POINTS = {"zero": (0.0, 0.0, 0.0), "up": (0.0, 1.0, 0.0), "down": (0.0, -1.0, 0.0)}

# Humerus length, shoulder width and hip width of the SMPL rest pose, metres, between the toolbox's own
# joint coordinates: the units of all thresholds.
_REST_M = {
    "left_shoulder": (1.99113488e-01, 2.36807942e-01, -1.80702247e-02),
    "left_elbow": (4.54445392e-01, 2.21158922e-01, -4.10167128e-02),
    "right_shoulder": (-1.91692337e-01, 2.36928746e-01, -1.23055102e-02),
    "left_hip": (5.64076714e-02, -3.23069185e-01, 1.09197125e-02),
    "right_hip": (-6.24834076e-02, -3.31302464e-01, 1.50412619e-02),
}


def _rest_distance(one: str, other: str) -> float:
    return float(np.linalg.norm(np.subtract(_REST_M[one], _REST_M[other])))


_UNITS = {
    "humerus": _rest_distance("left_shoulder", "left_elbow"),
    "shoulders": _rest_distance("left_shoulder", "right_shoulder"),
    "hips": _rest_distance("left_hip", "right_hip"),
}
# The toolbox takes velocities per 1/120 s whatever the frame rate.
_VELOCITY_RATE_HZ = 120.0

# Relation, points, threshold: (factor, unit) for distances and speeds, (low, high) degrees for angles.
_Row = tuple[str, tuple[str, ...], tuple[float, Any]]
_FEATURES: tuple[_Row, ...] = (
    ("moves_across", ("neck", "right_hip", "left_hip", "right_wrist"), (1.8, "humerus")),
    ("moves_across", ("neck", "left_hip", "right_hip", "left_wrist"), (1.8, "humerus")),
    ("beyond_normal", ("chest", "neck", "neck", "right_wrist"), (0.2, "humerus")),
    ("beyond_normal", ("chest", "neck", "neck", "left_wrist"), (0.2, "humerus")),
    ("moves_along", ("belly", "chest", "chest"), (1.8, "humerus")),
    ("moves_along", ("belly", "chest", "chest"), (1.8, "humerus")),
    ("angle", ("right_elbow", "right_shoulder", "right_elbow", "right_wrist"), (0, 110)),
    ("angle", ("left_elbow", "left_shoulder", "left_elbow", "left_wrist"), (0, 110)),
    ("beyond_normal", ("left_shoulder", "right_shoulder", "left_wrist", "right_wrist"), (2.5, "shoulders")),
    ("moves_along", ("left_wrist", "right_wrist", "right_wrist"), (1.4, "humerus")),
    ("moves_along", ("right_wrist", "root", "left_wrist"), (1.4, "humerus")),
    ("moves_along", ("left_wrist", "root", "right_wrist"), (1.4, "humerus")),
    ("fast", ("right_wrist",), (2.5, "humerus")),
    ("fast", ("left_wrist",), (2.5, "humerus")),
    ("beyond_plane", ("root", "left_hip", "left_toes", "right_ankle"), (0.38, "humerus")),
    ("beyond_plane", ("root", "right_hip", "right_toes", "left_ankle"), (0.38, "humerus")),
    ("beyond_normal", ("zero", "up", "lowest", "right_ankle"), (1.2, "humerus")),
    ("beyond_normal", ("zero", "up", "lowest", "left_ankle"), (1.2, "humerus")),
    ("beyond_normal", ("left_hip", "right_hip", "left_ankle", "right_ankle"), (2.1, "hips")),
    ("angle", ("right_knee", "right_hip", "right_knee", "right_ankle"), (0, 110)),
    ("angle", ("left_knee", "left_hip", "left_knee", "left_ankle"), (0, 110)),
    ("fast", ("right_ankle",), (2.5, "humerus")),
    ("fast", ("left_ankle",), (2.5, "humerus")),
    ("angle", ("neck", "root", "right_shoulder", "right_elbow"), (25, 180)),
    ("angle", ("neck", "root", "left_shoulder", "left_elbow"), (25, 180)),
    ("angle", ("neck", "root", "right_hip", "right_knee"), (50, 180)),
    ("angle", ("neck", "root", "left_hip", "left_knee"), (50, 180)),
    ("beyond_plane", ("right_ankle", "neck", "left_ankle", "root"), (0.5, "humerus")),
    ("angle", ("neck", "root", "zero", "up"), (70, 110)),
    ("beyond_normal", ("zero", "down", "lowest", "right_wrist"), (-1.2, "humerus")),
    ("beyond_normal", ("zero", "down", "lowest", "left_wrist"), (-1.2, "humerus")),
    ("fast", ("root",), (2.3, "humerus")),
)


def geometric_features(positions: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return the share of frames in which each of 32 relations between body parts holds.

    Relations: a wrist crosses the plane of neck and hips fast, is above the chest, an elbow is bent, the
    hands approach each other, a foot is in front, ... (`_FEATURES`).

    Source: Müller, Röder and Clausen, "Efficient content-based retrieval of motion capture data", SIGGRAPH
    2005, in the form and with the constants of the fairmotion toolbox. Two of its traits are kept, as the
    figures of every paper contain them: "moves along" looks at the third joint and not the fourth, which
    leaves features 4 and 5 at 0 for rigid bones, and velocities are taken per 1/120 s.

    Parameters
    ----------
    positions : ndarray, shape (T, 24, 3)
        SMPL joints, metres, Y up, at least 2 frames.

    Returns
    -------
    ndarray, shape (32,), float64
        Shares, 0 to 1.

    Raises
    ------
    InputError
        If the shape is wrong.
    """
    frames = as_positions(positions, 2)
    if frames.shape[1] != 24:
        raise InputError(f"motion has {frames.shape[1]} joints; geometric features need the 24 of SMPL")
    held = np.stack([_RELATIONS[relation](frames, points, limit) for relation, points, limit in _FEATURES])
    features: FloatArray = held.mean(axis=-1)
    return features


def _point(frames: FloatArray, name: str) -> FloatArray:
    """Return where a point is in every frame, (T, 3)."""
    if name in _JOINTS:
        return frames[:, _JOINTS[name]]
    point = np.zeros((len(frames), 3))
    if name == "lowest":
        point[:, 1] = frames[..., 1].min(axis=1)
    else:
        point += _FIXED_POINTS[name]
    return point


def _metres(limit: tuple[float, str]) -> float:
    return limit[0] * _UNITS[limit[1]]


def _along(vector: FloatArray, direction: FloatArray) -> FloatArray:
    """Component of `vector` along `direction`, row by row; 0 where there is no direction."""
    length = np.linalg.norm(direction, axis=-1)
    component: FloatArray = (vector * direction).sum(-1) / np.where(length > 0, length, 1.0)
    return component


def _relative_velocity(moving: FloatArray, base: FloatArray) -> FloatArray:
    velocity: FloatArray = np.diff(moving - base, axis=0) * _VELOCITY_RATE_HZ
    return velocity


def _moves_along(frames: FloatArray, points: tuple[str, ...], limit: tuple[float, str]) -> BoolArray:
    base, end, moving = (_point(frames, name) for name in points)
    return _along(_relative_velocity(moving, base), (end - base)[1:]) > _metres(limit)


def _moves_across(frames: FloatArray, points: tuple[str, ...], limit: tuple[float, str]) -> BoolArray:
    base, one, other, moving = (_point(frames, name) for name in points)
    normal = np.cross(other - base, one - base)[1:]
    return _along(_relative_velocity(moving, base), normal) > _metres(limit)


def _beyond_plane(frames: FloatArray, points: tuple[str, ...], limit: tuple[float, str]) -> BoolArray:
    base, one, other, point = (_point(frames, name)[1:] for name in points)
    return _along(point - base, np.cross(other - base, one - base)) > _metres(limit)


def _beyond_normal(frames: FloatArray, points: tuple[str, ...], limit: tuple[float, str]) -> BoolArray:
    tail, head, base, point = (_point(frames, name)[1:] for name in points)
    return _along(point - base, head - tail) > _metres(limit)


def _angle(frames: FloatArray, points: tuple[str, ...], limit: tuple[float, float]) -> BoolArray:
    start, end, other_start, other_end = (_point(frames, name)[1:] for name in points)
    one, other = end - start, other_end - other_start
    cosine = _along(one, other) / np.maximum(np.linalg.norm(one, axis=-1), 1e-12)
    degrees = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    within: BoolArray = (degrees > limit[0]) & (degrees < limit[1])
    return within


def _fast(frames: FloatArray, points: tuple[str, ...], limit: tuple[float, str]) -> BoolArray:
    speed = np.linalg.norm(np.diff(_point(frames, points[0]), axis=0), axis=-1) * _VELOCITY_RATE_HZ
    fast: BoolArray = speed > _metres(limit)
    return fast


_RELATIONS: dict[str, Any] = {
    "moves_along": _moves_along,
    "moves_across": _moves_across,
    "beyond_plane": _beyond_plane,
    "beyond_normal": _beyond_normal,
    "angle": _angle,
    "fast": _fast,
}
