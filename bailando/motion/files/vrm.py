"""The proportions of a VRM avatar (version 0 or 1): where its bones are at rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.motion.files.body_shape import standing_height_m
from bailando.motion.files.gltf_body import VRM_BONES
from bailando.motion.files.gltf_reader import node_positions, read_glb_document
from bailando.motion.skeleton import JOINT_NAMES, PARENTS, Skeleton

OPTIONAL_BONES = frozenset(
    {"chest", "upperChest", "neck", "leftShoulder", "rightShoulder", "leftToes", "rightToes"}
)
"""Humanoid bones that an avatar may lack (VRM 1.0; version 0 demands chest and neck)."""

_MIN_HIP_HEIGHT_M, _MAX_HIP_HEIGHT_M = 0.05, 20.0


@dataclass(frozen=True)
class VrmAvatar:
    """The rest pose of an avatar, in our axes: right-handed, Y up, metres, facing +Z.

    Parameters
    ----------
    version : int
        0 or 1.
    positions_m : mapping of str to (3,) tuples
        World position at rest of each bone that the avatar has, by the SMPL name of our joint.
    """

    version: int
    positions_m: Mapping[str, tuple[float, float, float]]

    @property
    def hip_height_m(self) -> float:
        """Height of the hips above the floor at rest, metres."""
        return self.positions_m["pelvis"][1]

    def root_scale(self, skeleton: Skeleton) -> float:
        """Return by what the travel of `skeleton` is multiplied, so that the avatar's feet meet the floor."""
        return self.hip_height_m / standing_height_m(skeleton)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """For each of the 24 joints the nearest ancestor whose bone the avatar has; -1 above the hips."""
        nearest: list[int] = []
        for parent in PARENTS:
            while parent >= 0 and not self.has(parent):
                parent = PARENTS[parent]
            nearest.append(parent)
        return tuple(nearest)

    @cached_property
    def offsets_m(self) -> npt.NDArray[np.float32]:
        """Place of each bone against its parent among `parents`, (24, 3); zeros where there is no bone."""
        offsets = np.zeros((len(JOINT_NAMES), 3), np.float32)
        for joint, name in enumerate(JOINT_NAMES):
            if self.has(joint):
                parent = self.parents[joint]
                origin = self.positions_m[JOINT_NAMES[parent]] if parent >= 0 else (0.0, 0.0, 0.0)
                offsets[joint] = np.subtract(self.positions_m[name], origin)
        return offsets

    def has(self, joint: int) -> bool:
        """Whether the avatar has the bone of our joint."""
        return JOINT_NAMES[joint] in self.positions_m


def read_vrm(path: str | os.PathLike[str]) -> VrmAvatar:
    """Read the rest pose of a .vrm file; meshes and pictures are not looked at.

    Raises
    ------
    InputError
        If the file is missing, is no VRM of version 0 or 1, lacks a bone or is not of human size.
    """
    path = Path(path)
    document = read_glb_document(path)
    version, bones = _humanoid_bones(document, path)
    missing = sorted(bone for bone in VRM_BONES.values() if bone not in bones and bone not in OPTIONAL_BONES)
    if missing:
        raise InputError(
            f"{path} has no bone {missing[0]}; expected an avatar with all bones that VRM demands"
        )
    world = node_positions(document, path)
    # Version 0 looks along -Z in its file, version 1 along +Z as we do.
    turn = -1.0 if version == 0 else 1.0
    positions: dict[str, tuple[float, float, float]] = {}
    for joint, bone in VRM_BONES.items():
        if bone in bones:
            node = bones[bone]
            if not isinstance(node, int) or node not in world:
                raise InputError(
                    f"{path}: bone {bone} names the node {node!r}, which is in no scene; export it again"
                )
            x, y, z = world[node]
            positions[joint] = (turn * x, y, turn * z)
    height_m = positions["pelvis"][1]
    if not _MIN_HIP_HEIGHT_M <= height_m <= _MAX_HIP_HEIGHT_M:
        raise InputError(
            f"{path} has its hips {height_m:g} m above the floor; expected {_MIN_HIP_HEIGHT_M} to "
            f"{_MAX_HIP_HEIGHT_M:g} m: export it standing on the floor, in metres"
        )
    return VrmAvatar(version, positions)


def _humanoid_bones(document: Mapping[str, Any], path: Path) -> tuple[int, dict[str, Any]]:
    """Return the version and the node of each humanoid bone."""
    try:
        extensions = document.get("extensions", {})
        if "VRMC_vrm" in extensions:
            bones = extensions["VRMC_vrm"]["humanoid"]["humanBones"]
            return 1, {str(name): bone["node"] for name, bone in bones.items()}
        if "VRM" in extensions:
            return 0, {
                str(bone["bone"]): bone["node"] for bone in extensions["VRM"]["humanoid"]["humanBones"]
            }
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path} has no readable list of humanoid bones; export the avatar again") from None
    raise InputError(f"{path} is glTF without an avatar; expected a .vrm file of version 0 or 1")
