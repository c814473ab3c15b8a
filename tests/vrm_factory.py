"""A VRM avatar of bones alone, with the proportions of our own body."""

from __future__ import annotations

import json
import struct
from typing import Any, Literal

from bailando.engine.sinks.vmc import BONES
from bailando.motion.skeleton import Skeleton

HIP_HEIGHT_M = 0.985


def vrm_bytes(version: Literal[0, 1]) -> bytes:
    """Return a .vrm file of version 0 (looks along -Z) or 1 (looks along +Z)."""
    skeleton = Skeleton.default()
    turn = -1 if version == 0 else 1
    nodes: list[dict[str, Any]] = []
    for index, name in enumerate(BONES):
        x, y, z = skeleton.offsets_m[index] if index else (0.0, HIP_HEIGHT_M, 0.0)
        children = [child for child in range(len(BONES)) if skeleton.parents[child] == index]
        node = {"name": name, "translation": [turn * x, y, turn * z]}
        nodes.append(node | ({"children": children} if children else {}))
    names = [name[0].lower() + name[1:] for name in BONES]
    gltf = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "extensionsUsed": ["VRM" if version == 0 else "VRMC_vrm"],
        "extensions": _version_0(names) if version == 0 else _version_1(names),
    }
    content = json.dumps(gltf).encode()
    content += b" " * (-len(content) % 4)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(content), len(content), 0x4E4F534A) + content


def _version_0(names: list[str]) -> dict[str, Any]:
    bones = [{"bone": name, "node": index} for index, name in enumerate(names)]
    return {"VRM": {"specVersion": "0.0", "meta": {"title": "bones"}, "humanoid": {"humanBones": bones}}}


def _version_1(names: list[str]) -> dict[str, Any]:
    meta = {"name": "bones", "authors": ["tests"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}
    bones = {name: {"node": index} for index, name in enumerate(names)}
    return {"VRMC_vrm": {"specVersion": "1.0", "meta": meta, "humanoid": {"humanBones": bones}}}
