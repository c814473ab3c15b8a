"""From our axes to those of the programs that receive the dance.

Ours: right-handed, Y up, metres, the dancer faces +Z and +X is the dancer's left. Each convention is a
signed permutation M of these axes and a unit of length. A position p becomes M p. A rotation by the
vector part v of a quaternion becomes det(M) M v with the same scalar part: an axis of rotation is a
pseudovector, so a change of handedness turns it round. The same holds for local rotations when the
whole skeleton, its rest offsets included, is converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
        return np.eye(3, dtype=np.float32)[list(self.columns)] * self.signs[:, np.newaxis]

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """For each axis of the convention the index of ours."""
        return tuple(column for column, _ in self.permutation)

    @cached_property
    def signs(self) -> NDArray[np.float32]:
        """For each axis of the convention 1 or -1, (3,)."""
        return np.array([sign for _, sign in self.permutation], dtype=np.float32)

    @cached_property
    def handedness(self) -> int:
        """det(M): 1 for right-handed conventions, -1 for left-handed ones."""
        return round(float(np.linalg.det(self.matrix)))

    @cached_property
    def rotation_signs(self) -> NDArray[np.float32]:
        """For each part of a converted quaternion xyzw 1 or -1, (4,)."""
        return np.append(self.signs * np.float32(self.handedness), np.float32(1.0))


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
    return positions.astype(np.float32, copy=False).take(target.columns, axis=-1) * (target.signs * scale)


def convert_rotations(rotations: NDArray[np.float32], axes: str) -> NDArray[np.float32]:
    """Convert quaternions xyzw, shape (..., 4), to another convention, still xyzw."""
    target = convention(axes)
    columns = (*target.columns, 3)
    return rotations.astype(np.float32, copy=False).take(columns, axis=-1) * target.rotation_signs
