from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from asymmetric_dance import asymmetric_dance

from bailando.engine.sinks.vmc import BONES
from bailando.motion.files import write_motion
from bailando.motion.files.body_shape import body_mesh
from bailando.motion.files.gltf_body import VRM_BONES
from bailando.motion.skeleton import JOINT_NAMES, Skeleton


def read_json(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    magic, version, length, size, kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
    document: dict[str, Any] = json.loads(content[20 : 20 + size])
    assert document["buffers"][0]["byteLength"] == length - 28 - size
    return document


def test_animation_touches_rotations_and_the_place_of_the_root_only(tmp_path: Path) -> None:
    for name, joints in (("a.glb", 24), ("a.vrma", 22)):
        write_motion(tmp_path / name, asymmetric_dance(30))
        document = read_json(tmp_path / name)
        targets = [channel["target"] for channel in document["animations"][0]["channels"]]
        assert [target["node"] for target in targets if target["path"] == "translation"] == [0]
        assert sum(target["path"] == "rotation" for target in targets) == joints
        assert len(targets) == joints + 1


def test_every_view_is_aligned_and_inside_the_buffer(tmp_path: Path) -> None:
    write_motion(tmp_path / "a.glb", asymmetric_dance(31))
    document = read_json(tmp_path / "a.glb")
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= document["buffers"][0]["byteLength"]


def test_bones_of_vrm_are_those_sent_live() -> None:
    assert [VRM_BONES[name] for name in JOINT_NAMES[:22]] == [name[0].lower() + name[1:] for name in BONES]


def test_faces_of_the_body_look_outwards() -> None:
    mesh = body_mesh(Skeleton.default())
    corners = mesh.positions[mesh.triangles].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = np.einsum("ij,ij->i", across, mesh.normals[mesh.triangles].mean(axis=1))
    assert (outward >= -1e-9).all()
    assert np.median(outward) > 0
    assert 1.6 < np.ptp(mesh.positions[:, 1]) < 1.9
