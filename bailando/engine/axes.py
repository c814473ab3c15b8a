"""From our axes to those of the programs that receive the dance.

Ours: right-handed, Y up, metres, the dancer faces +Z and +X is the dancer's left. Each convention is a
signed permutation M of these axes and a unit of length. A position p becomes M p. A rotation by the
vector part v of a quaternion becomes det(M) M v with the same scalar part: an axis of rotation is a
pseudovector, so a change of handedness turns it round. The same holds for local rotations when the
whole skeleton, its rest offsets included, is converted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailando.errors import ConfigError

UNITS_PER_METRE = {"m": 1.0, "cm": 100.0}

_Signs = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Axes:
    """A convention: for each of its axes the index of ours and a sign, and its unit of length."""

    name: str
    permutation: _Signs
    unit: str = "m"

    @property
    def matrix(self) -> NDArray[np.float32]:
        """M, (3, 3): converted = M @ ours."""
        matrix = np.zeros((3, 3), dtype=np.float32)
        for row, (column, sign) in enumerate(self.permutation):
            matrix[row, column] = sign
        return matrix

    @property
    def handedness(self) -> int:
        """det(M): 1 for right-handed conventions, -1 for left-handed ones."""
        return round(float(np.linalg.det(self.matrix)))


_X, _Y, _Z = 0, 1, 2
CONVENTIONS = {
    axes.name: axes
    for axes in (
        Axes("smpl", ((_X, 1), (_Y, 1), (_Z, 1))),
        Axes("touchdesigner", ((_X, 1), (_Y, 1), (_Z, 1))),
        Axes("unity", ((_X, -1), (_Y, 1), (_Z, 1))),  # also VMC; left-handed, faces +Z
        Axes("unreal", ((_X, 1), (_Z, 1), (_Y, 1)), unit="cm"),  # left-handed, Z up, faces +Y
        Axes("godot", ((_X, -1), (_Y, 1), (_Z, -1))),  # right-handed, faces -Z
        Axes("blender", ((_X, 1), (_Z, -1), (_Y, 1))),  # right-handed, Z up, faces -Y
    )
}


def convention(name: str) -> Axes:
    """Return the convention called `name`.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    try:
        return CONVENTIONS[name]
    except KeyError:
        known = ", ".join(CONVENTIONS)
        raise ConfigError(f"unknown axes '{name}'; choose one of {known}") from None


def units_per_metre(unit: str) -> float:
    """Return how many of `unit` ('m' or 'cm') make a metre.

    Raises
    ------
    ConfigError
        If the unit is neither.
    """
    try:
        return UNITS_PER_METRE[unit]
    except KeyError:
        raise ConfigError(f"unknown unit '{unit}'; choose m or cm") from None


def convert_positions(
    positions: NDArray[np.float32], axes: str, unit: str | None = None
) -> NDArray[np.float32]:
    """Convert positions, shape (..., 3), metres, to another convention.

    Parameters
    ----------
    positions
        In our axes, metres.
    axes
        Name in `CONVENTIONS`.
    unit
        'm' or 'cm'; None takes the convention's own (cm for unreal, m for the others).
    """
    target = convention(axes)
    scale = np.float32(units_per_metre(unit or target.unit))
    converted: NDArray[np.float32] = positions.astype(np.float32) @ (target.matrix.T * scale)
    return converted


def convert_rotations(rotations: NDArray[np.float32], axes: str) -> NDArray[np.float32]:
    """Convert quaternions xyzw, shape (..., 4), to another convention, still xyzw."""
    target = convention(axes)
    converted = rotations.astype(np.float32)
    converted[..., :3] = converted[..., :3] @ (target.matrix.T * np.float32(target.handedness))
    return converted
