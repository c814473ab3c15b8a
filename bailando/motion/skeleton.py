"""The body: 24 joints of the SMPL order, their tree and the bones of one fixed person.

Metres, Y up, T-pose at rest: the arms lie along ±X, the face looks along +Z and +X is the
dancer's left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bailando.errors import InputError
from bailando.motion.rotations import FloatArray

JOINT_NAMES: tuple[str, ...] = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
PARENTS: tuple[int, ...] = (
    *(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
    *(9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21),
)
UPPER_JOINTS: tuple[int, ...] = (3, 6, 9, *range(12, 24))
LOWER_JOINTS: tuple[int, ...] = (0, 1, 2, 4, 5, 7, 8, 10, 11)
CONTACT_JOINTS: tuple[int, ...] = (7, 8, 10, 11)
"""Joints whose contact with the floor is known: left and right ankle, left and right toes."""

MIRROR_JOINTS: tuple[int, ...] = (
    *(0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10),
    *(12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22),
)
"""For each joint the joint on the other side of the body."""

_CENTRE_OFFSETS_M = {
    "pelvis": (0.0, 0.0, 0.0),
    "spine1": (0.0, 0.11, 0.0),
    "spine2": (0.0, 0.13, 0.0),
    "spine3": (0.0, 0.055, 0.0),
    "neck": (0.0, 0.205, 0.0),
    "head": (0.0, 0.085, 0.0),
}
_LEFT_OFFSETS_M = {
    "hip": (0.085, -0.085, 0.0),
    "knee": (0.0, -0.41, 0.0),
    "ankle": (0.0, -0.39, 0.0),
    "foot": (0.0, -0.08, 0.13),
    "collar": (0.07, 0.11, 0.0),
    "shoulder": (0.11, 0.025, 0.0),
    "elbow": (0.27, 0.0, 0.0),
    "wrist": (0.245, 0.0, 0.0),
    "hand": (0.08, 0.0, 0.0),
}
_LEAF_TIPS_M = {
    "head": (0.0, 0.15, 0.0),
    "left_foot": (0.0, 0.0, 0.07),
    "right_foot": (0.0, 0.0, 0.07),
    "left_hand": (0.085, 0.0, 0.0),
    "right_hand": (-0.085, 0.0, 0.0),
}
_MAX_OFFSET_M = 10.0


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints with the bones between them.

    Parameters
    ----------
    joint_names : tuple of str
        One distinct name per joint; the root comes first.
    parents : tuple of int
        Index of each joint's parent, -1 for the root; a parent comes before its children.
    offsets_m : tuple of (float, float, float)
        Position of each joint in its parent's frame at rest, metres.

    Raises
    ------
    InputError
        If the lengths disagree, the tree is not in topological order or a bone is not finite.
    """

    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets_m: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        count = len(self.joint_names)
        if not count or len(self.parents) != count or len(self.offsets_m) != count:
            raise InputError(
                f"skeleton has {count} joint_names, {len(self.parents)} parents and "
                f"{len(self.offsets_m)} offsets_m; expected the same number of each, at least 1"
            )
        if len(set(self.joint_names)) != count:
            raise InputError("skeleton names a joint twice; expected distinct joint_names")
        for joint, parent in enumerate(self.parents):
            if (parent != -1) if joint == 0 else not 0 <= parent < joint:
                raise InputError(
                    f"skeleton joint {joint} has parent {parent}; expected -1 for joint 0 and an "
                    "earlier joint for every other"
                )
        for name, offset in zip(self.joint_names, self.offsets_m, strict=True):
            if len(offset) != 3 or not all(math.isfinite(v) and abs(v) <= _MAX_OFFSET_M for v in offset):
                raise InputError(
                    f"skeleton joint {name!r} has offset {offset}; expected 3 numbers of metres "
                    f"within ±{_MAX_OFFSET_M:g}"
                )

    @classmethod
    def default(cls) -> Skeleton:
        """The person every dance is made for: 24 joints of the SMPL order, 1.70 m tall."""
        offsets = []
        for name in JOINT_NAMES:
            side, _, part = name.partition("_")
            if side in ("left", "right"):
                x, y, z = _LEFT_OFFSETS_M[part]
                offsets.append((x if side == "left" else -x, y, z))
            else:
                offsets.append(_CENTRE_OFFSETS_M[name])
        return cls(JOINT_NAMES, PARENTS, tuple(offsets))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Skeleton:
        """Read the manifest's form of a skeleton.

        Raises
        ------
        InputError
            If a key is missing or unknown, or a value has the wrong kind.
        """
        known = {"joint_names", "parents", "offsets_m"}
        if set(fields) != known:
            raise InputError(f"skeleton has keys {sorted(fields)}; expected exactly {sorted(known)}")
        names, parents, offsets = fields["joint_names"], fields["parents"], fields["offsets_m"]
        if not all(isinstance(value, list | tuple) for value in (names, parents, offsets)):
            raise InputError("skeleton's joint_names, parents and offsets_m must be lists")
        if not all(isinstance(name, str) for name in names):
            raise InputError("skeleton's joint_names must be strings")
        if not all(isinstance(parent, int) and not isinstance(parent, bool) for parent in parents):
            raise InputError("skeleton's parents must be whole numbers")
        try:
            rows = tuple(tuple(float(value) for value in offset) for offset in offsets)
        except (TypeError, ValueError):
            raise InputError("skeleton's offsets_m must be lists of 3 numbers") from None
        return cls(tuple(names), tuple(parents), rows)  # type: ignore[arg-type]  # lengths checked there

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest's form: plain lists of names, parents and offsets in metres."""
        return {
            "joint_names": list(self.joint_names),
            "parents": list(self.parents),
            "offsets_m": [list(offset) for offset in self.offsets_m],
        }

    @property
    def joint_count(self) -> int:
        """Number of joints."""
        return len(self.joint_names)

    @cached_property
    def offsets(self) -> FloatArray:
        """`offsets_m` as a float64 array of shape (J, 3), read-only."""
        offsets = np.array(self.offsets_m, np.float64)
        offsets.setflags(write=False)
        return offsets

    def tip_m(self, joint: int) -> tuple[float, float, float]:
        """End of the bone of a leaf joint in its own frame, metres (fingertips, toe tip, crown)."""
        name = self.joint_names[joint]
        return _LEAF_TIPS_M.get(name, self.offsets_m[joint])
