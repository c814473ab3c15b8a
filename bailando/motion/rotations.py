"""Rotations as quaternions `xyzw`, vectorised over leading axes.

Every function takes arrays (..., 4) of unit quaternions and keeps the floating type it is given.
Rotations act on column vectors; `multiply(a, b)` applies b first. Angles are radians.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]


def _in_both_types(values: npt.ArrayLike) -> dict[np.dtype[Any], FloatArray]:
    """A constant as float32 and as float64, by type: converting it costs more than using it."""
    return {np.dtype(kind): np.asarray(values, kind) for kind in (np.float32, np.float64)}


def _outer_of_columns() -> npt.NDArray[np.float64]:
    """Weights (9, 16) of the matrix's entries in four times q·qᵀ, but for the 1 of its diagonal."""
    weights = np.zeros((3, 3, 4, 4))  # of the entry in row j of column i
    for row in range(4):
        for axis in range(3):
            weights[axis, axis, row, row] = 1 if row in (axis, 3) else -1
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        for one, other in ((i, j), (j, i)):
            weights[i, j, one, other] = weights[j, i, one, other] = 1
        for one, other in ((k, 3), (3, k)):
            weights[i, j, one, other], weights[j, i, one, other] = 1, -1
    return weights.reshape(9, 16)


_EPSILON = 1e-8
# A cross product is the first three of the products of these components less the last three.
_CROSS_LEFT, _CROSS_RIGHT = np.array([1, 2, 0, 2, 0, 1]), np.array([2, 0, 1, 1, 2, 0])
_AXES = {"X": 0, "Y": 1, "Z": 2}
# Row i lists which component of b, with which sign, meets component i of a in a·b (xyzw).
_PRODUCT_INDEX = np.array([[3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2], [0, 1, 2, 3]])
_PRODUCT_SIGN = _in_both_types([[1, -1, 1, -1], [1, 1, -1, -1], [-1, 1, 1, -1], [1, 1, 1, 1]])
_CONJUGATE = _in_both_types([-1, -1, -1, 1])
# Four times the outer product q·qᵀ (16, row by row) follows linearly from a rotation's columns (9).
_OUTER_OF_COLUMNS = _in_both_types(_outer_of_columns())
_OUTER_CONSTANT = _in_both_types(np.eye(4).ravel())


def identity(shape: tuple[int, ...] = (), dtype: npt.DTypeLike = np.float64) -> FloatArray:
    """Quaternions (*shape, 4) that turn nothing."""
    q: FloatArray = np.zeros((*shape, 4), dtype)
    q[..., 3] = 1
    return q


def normalize(q: FloatArray) -> FloatArray:
    """Quaternions of length 1; those of length (nearly) 0 become the identity."""
    length = lengths(q)
    unit: FloatArray = q / np.maximum(length, _EPSILON)
    return (
        unit
        if length.min(initial=1.0) > _EPSILON
        else np.where(length > _EPSILON, unit, identity(dtype=q.dtype))
    )


def lengths(vectors: FloatArray) -> FloatArray:
    """Lengths (..., 1) of vectors (..., n)."""
    length: FloatArray = np.sqrt(dot(vectors, vectors))
    return length


def dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Scalar products (..., 1) of vectors (..., n): one call where a product and a sum are three."""
    product: FloatArray = np.vecdot(a, b)[..., None]
    return product


def product_matrix(b: FloatArray) -> FloatArray:
    """Matrices M (..., 4, 4) with `a @ M == multiply(a, b)` for row vectors a."""
    matrix: FloatArray = b.take(_PRODUCT_INDEX, axis=-1) * _PRODUCT_SIGN[b.dtype]
    return matrix


def multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """Rotation b followed by rotation a, (..., 4); leading axes broadcast."""
    product: FloatArray = (a[..., None, :] @ product_matrix(b))[..., 0, :]
    return product


def inverse(q: FloatArray) -> FloatArray:
    """Inverse (conjugate) of unit quaternions."""
    conjugate: FloatArray = q * _CONJUGATE[q.dtype]
    return conjugate


def rotate(q: FloatArray, vectors: FloatArray) -> FloatArray:
    """Rotate vectors (..., 3) by quaternions (..., 4); leading axes broadcast."""
    axis, w = q[..., :3], q[..., 3:]
    twice = 2 * cross(axis, vectors)
    rotated: FloatArray = vectors + w * twice + cross(axis, twice)
    return rotated


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross product of vectors (..., 3): the numbers of np.cross in a fraction of its time."""
    products = a.take(_CROSS_LEFT, axis=-1) * b.take(_CROSS_RIGHT, axis=-1)
    product: FloatArray = products[..., :3] - products[..., 3:]
    return product


def to_matrix(q: FloatArray) -> FloatArray:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    x, y, z, w = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    matrix: FloatArray = np.empty((*q.shape[:-1], 3, 3), q.dtype)
    matrix[..., 0, 0] = 1 - 2 * (y * y + z * z)
    matrix[..., 0, 1] = 2 * (x * y - z * w)
    matrix[..., 0, 2] = 2 * (x * z + y * w)
    matrix[..., 1, 0] = 2 * (x * y + z * w)
    matrix[..., 1, 1] = 1 - 2 * (x * x + z * z)
    matrix[..., 1, 2] = 2 * (y * z - x * w)
    matrix[..., 2, 0] = 2 * (x * z - y * w)
    matrix[..., 2, 1] = 2 * (y * z + x * w)
    matrix[..., 2, 2] = 1 - 2 * (x * x + y * y)
    return matrix


def from_matrix(matrix: FloatArray) -> FloatArray:
    """Unit quaternions (..., 4), w ≥ 0, of rotation matrices (..., 3, 3).

    Of the four rows of the outer product q·qᵀ, which follow linearly from the matrix, the one
    with the largest diagonal is normalised, so no small number is ever divided by.
    """
    columns = np.swapaxes(matrix, -1, -2)
    return _from_columns(columns.reshape(*columns.shape[:-2], 9))


def _from_columns(columns: FloatArray) -> FloatArray:
    """As `from_matrix`, of the three columns one after the other, (..., 9)."""
    outer: FloatArray = columns @ _OUTER_OF_COLUMNS[columns.dtype]
    outer += _OUTER_CONSTANT[columns.dtype]
    rows = outer.reshape(-1, 4, 4)
    best = np.argmax(outer[..., ::5], axis=-1).ravel()
    q = normalize(rows[np.arange(len(rows)), best].reshape(*columns.shape[:-1], 4))
    return np.where(q[..., 3:] < 0, -q, q)


def to_6d(q: FloatArray) -> FloatArray:
    """First two columns of the rotation matrix, one after the other, (..., 6).

    The continuous representation of Zhou et al., "On the Continuity of Rotation Representations
    in Neural Networks", CVPR 2019.
    """
    columns = to_matrix(q)[..., :2]
    six: FloatArray = np.swapaxes(columns, -1, -2).reshape(*q.shape[:-1], 6)
    return six


def matrix_from_6d(six: FloatArray) -> FloatArray:
    """Rotation matrices (..., 3, 3) from any six numbers by Gram-Schmidt.

    Columns of length 0 or parallel columns are replaced by the nearest sensible axis, so the
    result is always a rotation.
    """
    return np.stack(_columns_from_6d(six), axis=-1)


def _columns_from_6d(six: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Columns (..., 3) of `matrix_from_6d`."""
    first = _unit_or(six[..., :3], lambda: np.array([1, 0, 0], six.dtype))
    second: FloatArray = six[..., 3:] - dot(first, six[..., 3:]) * first
    second = _unit_or(second, lambda: orthogonal(first))
    return first, second, cross(first, second)


def from_6d(six: FloatArray) -> FloatArray:
    """Unit quaternions (..., 4), w ≥ 0, from any six numbers (see `matrix_from_6d`)."""
    return _from_columns(np.concatenate(_columns_from_6d(six), axis=-1))


def orthogonal(vectors: FloatArray) -> FloatArray:
    """Some unit vector at right angles to each unit vector (..., 3)."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    zero = np.zeros_like(x)
    # Crossing with Y fails only near ±Y, crossing with X only near ±X.
    with_y = np.stack([-z, zero, x], axis=-1)
    with_x = np.stack([zero, z, -y], axis=-1)
    side = np.where((np.abs(y) < 0.9)[..., None], with_y, with_x)
    unit: FloatArray = side / np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), _EPSILON)
    return unit


def _unit_or(vectors: FloatArray, fallback: Callable[[], FloatArray]) -> FloatArray:
    """Unit vectors, or the fallback where the length is (nearly) 0."""
    length = lengths(vectors)
    unit: FloatArray = vectors / np.maximum(length, 1e-6)
    return unit if length.min(initial=1.0) > 1e-6 else np.where(length > 1e-6, unit, fallback())


def from_axis_angle(vectors: FloatArray) -> FloatArray:
    """Quaternions of rotation vectors (..., 3): axis times angle, rad."""
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # np.sinc(x) is sin(πx)/(πx); it holds at angle 0.
    scale = 0.5 * np.sinc(angle / (2 * np.pi))
    return np.concatenate([vectors * scale, np.cos(angle / 2)], axis=-1).astype(vectors.dtype)


def to_axis_angle(q: FloatArray) -> FloatArray:
    """Rotation vectors (..., 3), rad, of length at most π."""
    q = np.where(q[..., 3:] < 0, -q, q)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., 3:])
    vectors: FloatArray = q[..., :3] * np.where(sine > _EPSILON, angle / np.maximum(sine, _EPSILON), 2.0)
    return vectors.astype(q.dtype)


def about_axis(axis: str, angle: FloatArray) -> FloatArray:
    """Quaternions (..., 4) of turns by `angle` (...) about one of the axes X, Y, Z."""
    q: FloatArray = np.zeros((*angle.shape, 4), angle.dtype)
    q[..., _AXES[axis]] = np.sin(angle / 2)
    q[..., 3] = np.cos(angle / 2)
    return q


def from_euler(angles: FloatArray, order: str) -> FloatArray:
    """Quaternions of Euler angles (..., n), rad.

    Parameters
    ----------
    angles : ndarray, shape (..., n)
        One angle per letter of `order`.
    order : str
        Axes from left to right of the product: "ZYX" means R = Rz·Ry·Rx, as BVH channels do.
        Any number of axes, repeated or not.
    """
    q = identity(angles.shape[:-1], angles.dtype)
    for channel, axis in enumerate(order):
        q = multiply(q, about_axis(axis, angles[..., channel]))
    return q


def to_euler(q: FloatArray, order: str) -> FloatArray:
    """Euler angles (..., 3), rad, of an order of three distinct axes ("ZYX": R = Rz·Ry·Rx).

    The middle angle lies within ±π/2; at gimbal lock the last angle is 0.
    """
    i, j, k = (_AXES[axis] for axis in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    m = to_matrix(q)
    sine = np.clip(sign * m[..., i, k], -1, 1)
    locked = np.abs(sine) > 1 - 1e-9
    first = np.where(
        locked,
        np.arctan2(sign * m[..., k, j], m[..., j, j]),
        np.arctan2(-sign * m[..., j, k], m[..., k, k]),
    )
    last = np.where(locked, 0, np.arctan2(-sign * m[..., i, j], m[..., i, i]))
    return np.stack([first, np.arcsin(sine), last], axis=-1).astype(q.dtype)


def slerp(a: FloatArray, b: FloatArray, weight: FloatArray | float) -> FloatArray:
    """Spherical interpolation along the shorter arc: a at weight 0, b at weight 1.

    `weight` has the leading axes of a and b (or broadcasts to them).
    """
    weight = np.asarray(weight, a.dtype)[..., None]
    cosine = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(cosine < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-5
    safe = np.where(near, 1, sine)
    from_a = np.where(near, 1 - weight, np.sin((1 - weight) * angle) / safe)
    from_b = np.where(near, weight, np.sin(weight * angle) / safe)
    return normalize((from_a * a + from_b * b).astype(a.dtype))


def shortest_arc(start: FloatArray, end: FloatArray) -> FloatArray:
    """The smallest rotation that takes direction `start` to direction `end`, both (..., 3).

    Lengths do not matter; opposite directions turn by π about some axis at right angles, and
    a vector of length 0 gives the identity.
    """
    start, end = np.broadcast_arrays(start, end)
    product = np.linalg.norm(start, axis=-1, keepdims=True) * np.linalg.norm(end, axis=-1, keepdims=True)
    w = product + np.sum(start * end, axis=-1, keepdims=True)
    opposite = w <= 1e-7 * product
    axis_start = start / np.maximum(np.linalg.norm(start, axis=-1, keepdims=True), _EPSILON)
    axis = np.where(opposite, orthogonal(axis_start) * product, cross(start, end))
    q = np.concatenate([axis, np.where(opposite, 0, w)], axis=-1)
    scaled: FloatArray = q / np.maximum(np.linalg.norm(q, axis=-1, keepdims=True), 1e-30)
    return np.where(product > 1e-12, scaled, identity(dtype=scaled.dtype))


def heading(q: FloatArray) -> FloatArray:
    """Turn about +Y, rad in (-π, π]: the twist part of the rotation about the vertical."""
    angle = 2 * np.arctan2(q[..., 1], q[..., 3])
    wrapped: FloatArray = wrap_angle(angle)
    return wrapped


def remove_heading(q: FloatArray) -> FloatArray:
    """Rotation with its turn about +Y taken out: `multiply(about_axis("Y", heading(q)), result) == q`."""
    return multiply(about_axis("Y", -heading(q)), q)


def wrap_angle(angle: FloatArray) -> FloatArray:
    """The same angle within (-π, π]."""
    wrapped: FloatArray = np.pi - np.mod(np.pi - angle, 2 * np.pi)
    return wrapped


def make_continuous(q: FloatArray) -> FloatArray:
    """Choose signs along axis 0 so that neighbours lie in the same half of the sphere."""
    dots = np.sum(q[1:] * q[:-1], axis=-1)
    flips = np.cumprod(np.where(dots < 0, -1, 1), axis=0)
    fixed: FloatArray = q.copy()
    fixed[1:] *= flips[..., None].astype(q.dtype)
    return fixed
