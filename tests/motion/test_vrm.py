"""Avatars: proportions of VRM 0 and 1, and files that are none."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from vrm_factory import HIP_HEIGHT_M, vrm_bytes

from bailando.errors import InputError
from bailando.motion.files.vrm import read_vrm
from bailando.motion.skeleton import JOINT_NAMES, Skeleton


def document_of(data: bytes) -> dict[str, Any]:
    (length,) = struct.unpack("<I", data[12:16])
    document: dict[str, Any] = json.loads(data[20 : 20 + length])
    return document


def saved(folder: Path, document: object) -> Path:
    content = json.dumps(document).encode()
    path = folder / "avatar.vrm"
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(content), len(content), 0x4E4F534A)
    path.write_bytes(head + content)
    return path


def changed(folder: Path, change: Callable[[dict[str, Any]], object], version: Literal[0, 1] = 1) -> Path:
    document = document_of(vrm_bytes(version))
    change(document)
    return saved(folder, document)


@pytest.mark.parametrize("version", [0, 1])
def test_offsets_of_both_versions_are_in_our_axes(tmp_path: Path, version: Literal[0, 1]) -> None:
    path = tmp_path / "avatar.vrm"
    path.write_bytes(vrm_bytes(version))
    avatar = read_vrm(path)
    ours = Skeleton.default().offsets
    assert avatar.version == version
    assert avatar.hip_height_m == pytest.approx(HIP_HEIGHT_M)
    np.testing.assert_allclose(avatar.offsets_m[1:22], ours[1:22], atol=1e-6)


def test_nodes_between_bones_turned_and_scaled_are_added_up(tmp_path: Path) -> None:
    def lift(document: dict[str, Any]) -> None:
        document["nodes"].append(
            {"scale": [2, 2, 2], "rotation": [0, 1, 0, 0], "translation": [0, 0.1, 0], "children": [0]}
        )

    avatar = read_vrm(changed(tmp_path, lift))
    assert avatar.hip_height_m == pytest.approx(2 * HIP_HEIGHT_M + 0.1)
    expected = 2 * Skeleton.default().offsets[1] * (-1, 1, -1)
    np.testing.assert_allclose(avatar.offsets_m[1], expected, atol=1e-6)


def test_matrices_are_read_column_by_column(tmp_path: Path) -> None:
    def as_matrix(document: dict[str, Any]) -> None:
        node = document["nodes"][0]
        x, y, z = node.pop("translation")
        node["matrix"] = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, x, y, z, 1]

    assert read_vrm(changed(tmp_path, as_matrix)).hip_height_m == pytest.approx(HIP_HEIGHT_M)


def test_missing_bones_join_their_neighbours(tmp_path: Path) -> None:
    def without(document: dict[str, Any]) -> None:
        for bone in ("upperChest", "leftShoulder"):
            del document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"][bone]

    avatar = read_vrm(changed(tmp_path, without))
    ours = Skeleton.default().offsets
    left_arm, chest = JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("spine2")
    assert not avatar.has(JOINT_NAMES.index("left_collar"))
    assert avatar.parents[left_arm] == chest
    np.testing.assert_allclose(avatar.offsets_m[left_arm], ours[[9, 13, 16]].sum(axis=0), atol=1e-6)


def test_scale_lets_feet_meet_the_floor(tmp_path: Path) -> None:
    path = tmp_path / "avatar.vrm"
    path.write_bytes(vrm_bytes(0))
    assert read_vrm(path).root_scale(Skeleton.default()) == pytest.approx(HIP_HEIGHT_M / 0.965)


def drop_hips(document: dict[str, Any]) -> None:
    del document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]["hips"]


def make_circle(document: dict[str, Any]) -> None:
    document["nodes"][21]["children"] = [0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_hips, "no bone hips"),
        (make_circle, "in no scene"),
        (lambda d: d.pop("extensions"), "without an avatar"),
        (lambda d: d["extensions"].update(VRMC_vrm=[]), "no readable list"),
        (lambda d: d.pop("nodes"), "form no tree"),
        (lambda d: d["nodes"][3].update(translation="up"), "form no tree"),
        (lambda d: d["nodes"][5].update(children=[9, 9]), "form no tree"),
        (lambda d: d["nodes"][0].update(translation=[0, 99, 0]), "99 m above the floor"),
        (lambda d: d["nodes"][0].update(translation=[0, float("nan"), 0]), "form no tree"),
    ],
)
def test_damaged_avatars_are_refused_in_a_line(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_vrm(changed(tmp_path, change))


@pytest.mark.parametrize(
    "content", [b"", b"glTF", b"PK" * 40, struct.pack("<4sIIII", b"glTF", 2, 9, 4, 0x4E4F534A)]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "avatar.vrm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"avatar\.vrm"):
        read_vrm(path)


def test_random_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "avatar.vrm"
    for _ in range(200):
        data = bytearray(vrm_bytes(1))
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data))
        with suppress(InputError):
            assert read_vrm(path).hip_height_m > 0
