"""Axis conventions on a pose that no mirror or turn maps onto itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bailando.engine.axes import CONVENTIONS, convert_positions, convert_rotations
from bailando.errors import ConfigError
from tests.engine.frame_factory import unit_quaternions

# Left hand up, right foot forward: X left, Y up, Z forward, metres.
POSE = np.array([[0.0, 1.0, 0.0], [0.25, 2.0, 0.0], [-0.1, 0.125, 0.5]], dtype=np.float32)
QUATERNION = np.array([0.1, 0.2, 0.4, 0.888819], dtype=np.float32)

EXPECTED_POSE = {
    "smpl": [[0, 1, 0], [0.25, 2, 0], [-0.1, 0.125, 0.5]],
    "touchdesigner": [[0, 1, 0], [0.25, 2, 0], [-0.1, 0.125, 0.5]],
    "unity": [[0, 1, 0], [-0.25, 2, 0], [0.1, 0.125, 0.5]],
    "unreal": [[0, 0, 100], [25, 0, 200], [-10, 50, 12.5]],
    "godot": [[0, 1, 0], [-0.25, 2, 0], [0.1, 0.125, -0.5]],
    "blender": [[0, 0, 1], [0.25, 0, 2], [-0.1, -0.5, 0.125]],
}


def from_vmc(name: str, q: NDArray[np.float32]) -> list[float]:
    """Quaternion xyzw by the receivers' documented formulas from VMC space (q there: x, -y, -z, w)."""
    x, y, z, w = q[0], -q[1], -q[2], q[3]
    blender_wxyz = (w, x, z, -y)
    return {
        "unity": [x, y, z, w],
        "unreal": [-x, z, y, w],
        "godot": [x, y, -z, -w],
        "blender": [*blender_wxyz[1:], blender_wxyz[0]],
    }[name]


def rotation_matrix(q: NDArray[np.float32]) -> NDArray[np.float64]:
    x, y, z, w = (float(value) for value in q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.mark.parametrize("name", CONVENTIONS)
def test_positions_of_an_asymmetric_pose(name: str) -> None:
    np.testing.assert_allclose(convert_positions(POSE, name), EXPECTED_POSE[name], atol=1e-5)


@pytest.mark.parametrize("name", ["unity", "unreal", "godot", "blender"])
def test_rotations_agree_with_the_receivers_formulas(name: str) -> None:
    converted = convert_rotations(QUATERNION, name)
    expected = np.array(from_vmc(name, QUATERNION))
    sign = np.sign(converted @ expected)  # q and -q are one rotation
    np.testing.assert_allclose(converted, sign * expected, atol=1e-6)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_rotating_then_converting_equals_converting_then_rotating(name: str) -> None:
    for quaternion in unit_quaternions(3, 5):
        rotated = (POSE @ rotation_matrix(quaternion).T).astype(np.float32)
        there = convert_positions(POSE, name, "m") @ rotation_matrix(convert_rotations(quaternion, name)).T
        np.testing.assert_allclose(there, convert_positions(rotated, name, "m"), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "handedness"), [("unity", -1), ("unreal", -1), ("godot", 1), ("blender", 1)]
)
def test_handedness(name: str, handedness: int) -> None:
    assert CONVENTIONS[name].handedness == handedness


def test_a_broken_coordinate_spoils_no_other() -> None:
    position = np.array([np.nan, 1.0, np.inf], dtype=np.float32)
    np.testing.assert_array_equal(convert_positions(position, "unreal"), [np.nan, np.inf, 100.0])


def test_unit_can_be_chosen() -> None:
    np.testing.assert_allclose(convert_positions(POSE, "unity", "cm")[1], [-25, 200, 0], rtol=1e-6)
    np.testing.assert_allclose(convert_positions(POSE, "unreal", "m")[1], [0.25, 0, 2], rtol=1e-6)


def test_arguments_are_left_alone() -> None:
    rotations = QUATERNION.copy()
    convert_rotations(rotations, "unity")
    np.testing.assert_array_equal(rotations, QUATERNION)


def test_unknown_axes_and_units_name_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"unknown axes 'maya'.*blender"):
        convert_positions(POSE, "maya")
    with pytest.raises(ConfigError, match="unknown unit 'inch'; choose m or cm"):
        convert_positions(POSE, "unity", "inch")
