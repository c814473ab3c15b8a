"""The dance as glTF: a skinned person with animation (.glb) and a VRM animation (.vrma)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.motion.files.body_shape import body_mesh, rest_positions, standing_height_m
from bailando.motion.files.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, GltfFile
from bailando.motion.motion import Motion
from bailando.motion.rotations import make_continuous, normalize
from bailando.motion.skeleton import Skeleton

VRM_BONES: dict[str, str] = {
    "pelvis": "hips",
    "left_hip": "leftUpperLeg",
    "right_hip": "rightUpperLeg",
    "spine1": "spine",
    "left_knee": "leftLowerLeg",
    "right_knee": "rightLowerLeg",
    "spine2": "chest",
    "left_ankle": "leftFoot",
    "right_ankle": "rightFoot",
    "spine3": "upperChest",
    "left_foot": "leftToes",
    "right_foot": "rightToes",
    "neck": "neck",
    "left_collar": "leftShoulder",
    "right_collar": "rightShoulder",
    "head": "head",
    "left_shoulder": "leftUpperArm",
    "right_shoulder": "rightUpperArm",
    "left_elbow": "leftLowerArm",
    "right_elbow": "rightLowerArm",
    "left_wrist": "leftHand",
    "right_wrist": "rightHand",
}
"""Humanoid bone of VRM 1.0 for each joint that has one."""


def write_glb(path: str | os.PathLike[str], motion: Motion) -> None:
    """Write a person of capsules, skinned to the joints, with the dance as its animation.

    glTF's axes are ours: right-handed, Y up, metres, facing +Z. Joint nodes come first, in the order
    of the skeleton and under its names; at rest the person stands in the T-pose on the floor.
    """
    gltf = GltfFile()
    skeleton = motion.skeleton
    gltf.document["nodes"] = _joint_nodes(skeleton, skeleton.joint_names)
    _add_skin(gltf, skeleton)
    _add_animation(gltf, motion, range(skeleton.joint_count))
    gltf.document |= {"scene": 0, "scenes": [{"name": "dance", "nodes": [0, skeleton.joint_count]}]}
    gltf.save(path)


def write_vrma(path: str | os.PathLike[str], motion: Motion) -> None:
    """Write a VRM animation (VRMC_vrm_animation 1.0) for any VRM avatar.

    T-pose at rest, translation of the hips only, no scale; the two hand joints have no bone in VRM
    and are left out.

    Raises
    ------
    InputError
        If the skeleton lacks a joint of `VRM_BONES`.
    """
    skeleton = motion.skeleton
    missing = sorted(set(VRM_BONES) - set(skeleton.joint_names))
    if missing:
        raise InputError(f"a .vrma file got a skeleton without {missing[0]}; expected the 24 SMPL joints")
    gltf = GltfFile()
    names = [VRM_BONES.get(name, name) for name in skeleton.joint_names]
    gltf.document["nodes"] = _joint_nodes(skeleton, names)
    bones = {VRM_BONES[name]: {"node": skeleton.joint_names.index(name)} for name in VRM_BONES}
    _add_animation(gltf, motion, [bone["node"] for bone in bones.values()])
    gltf.document |= {
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "extensionsUsed": ["VRMC_vrm_animation"],
        "extensions": {"VRMC_vrm_animation": {"specVersion": "1.0", "humanoid": {"humanBones": bones}}},
    }
    gltf.save(path)


def _joint_nodes(skeleton: Skeleton, names: Sequence[str]) -> list[dict[str, Any]]:
    """One node per joint in the rest pose, the root at standing height."""
    nodes: list[dict[str, Any]] = []
    for joint, name in enumerate(names):
        offset = list(skeleton.offsets_m[joint]) if joint else [0.0, standing_height_m(skeleton), 0.0]
        node: dict[str, Any] = {"name": name, "translation": offset}
        children = [child for child, parent in enumerate(skeleton.parents) if parent == joint]
        nodes.append(node | ({"children": children} if children else {}))
    return nodes


def _add_skin(gltf: GltfFile, skeleton: Skeleton) -> None:
    """Add the mesh, its skin and the node that shows it, after the joints."""
    mesh = body_mesh(skeleton)
    standing = np.array([0.0, standing_height_m(skeleton), 0.0], np.float32)
    joints = np.zeros((len(mesh.joints), 4), np.uint8)
    joints[:, 0] = mesh.joints
    weights = np.zeros((len(mesh.joints), 4), np.float32)
    weights[:, 0] = 1
    bind = np.tile(np.eye(4, dtype=np.float32), (skeleton.joint_count, 1, 1))
    bind[:, 3, :3] = -(rest_positions(skeleton) + standing)  # column-major: the translation is row 3
    attributes = {
        "POSITION": gltf.add_array(mesh.positions + standing, ARRAY_BUFFER, bounds=True),
        "NORMAL": gltf.add_array(mesh.normals, ARRAY_BUFFER),
        "JOINTS_0": gltf.add_array(joints, ARRAY_BUFFER),
        "WEIGHTS_0": gltf.add_array(weights, ARRAY_BUFFER),
    }
    indices = gltf.add_array(mesh.triangles.reshape(-1), ELEMENT_ARRAY_BUFFER)
    primitive = {"attributes": attributes, "indices": indices, "material": 0}
    surface = {"baseColorFactor": [0.62, 0.66, 0.75, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7}
    gltf.document["nodes"].append({"name": "dancer", "mesh": 0, "skin": 0})
    gltf.document |= {
        "materials": [{"name": "body", "pbrMetallicRoughness": surface}],
        "meshes": [{"name": "body", "primitives": [primitive]}],
        "skins": [
            {
                "name": "skeleton",
                "skeleton": 0,
                "joints": list(range(skeleton.joint_count)),
                "inverseBindMatrices": gltf.add_array(bind),
            }
        ],
    }


def _add_animation(gltf: GltfFile, motion: Motion, joints: Sequence[int]) -> None:
    """Add rotations of the joints and the translation of the root, a key each frame."""
    times = (np.arange(motion.frame_count) / motion.fps).astype(np.float32)
    rotations = make_continuous(normalize(motion.rotations.astype(np.float64))).astype(np.float32)
    time_accessor = gltf.add_array(times, bounds=True)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    def add(joint: int, path: str, values: npt.NDArray[np.float32]) -> None:
        samplers.append({"input": time_accessor, "output": gltf.add_array(values), "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": joint, "path": path}})

    add(0, "translation", motion.root_position)
    for joint in joints:
        add(joint, "rotation", rotations[:, joint])
    animation = {"name": "dance", "samplers": samplers, "channels": channels}
    gltf.document["animations"] = [animation | {"extras": {"fps": motion.fps}}]
