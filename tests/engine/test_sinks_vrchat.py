"""Unity's Euler angles."""

from __future__ import annotations

import numpy as np

from bailando.engine.sinks.vrchat import unity_euler_degrees
from tests.engine.frame_factory import unit_quaternions


def about(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[[i, i, j, j], [i, j, i, j]] = (c, -s, s, c)
    return matrix


def matrix_of(q: np.ndarray) -> np.ndarray:
    x, y, z, w = q.astype(float)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_angles_applied_z_then_x_then_y_give_the_rotation_back() -> None:
    for rotation in unit_quaternions(3, 50):
        x, y, z = unity_euler_degrees(rotation)
        composed = about(1, y) @ about(0, x) @ about(2, z)
        np.testing.assert_allclose(composed, matrix_of(rotation), atol=1e-4)
