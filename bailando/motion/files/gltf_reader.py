"""The JSON part of a binary glTF file, and where its nodes are."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bailando.errors import InputError
from bailando.motion.rotations import FloatArray, to_matrix

_MAX_JSON_BYTES = 64_000_000
_MAX_NODES = 100_000
_MAGIC = b"glTF"
_JSON_CHUNK = 0x4E4F534A


def read_glb_document(path: Path) -> dict[str, Any]:
    """Return the JSON document of a binary glTF 2.0 file.

    Raises
    ------
    InputError
        If the file is missing or is no such file.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(20)
            if len(header) < 20 or header[:4] != _MAGIC:
                raise InputError(f"{path} is no binary glTF; expected a .vrm or .glb file")
            version, _, length, kind = struct.unpack("<IIII", header[4:])
            if version != 2 or kind != _JSON_CHUNK or not 2 <= length <= _MAX_JSON_BYTES:
                raise InputError(f"{path} is glTF {version} of an unknown layout; expected binary glTF 2.0")
            text = stream.read(length)
    except OSError as error:
        raise InputError(
            f"cannot read {path} ({error.strerror}); give the path of a .vrm or .glb file"
        ) from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InputError(f"{path} is damaged: its description is no JSON object; copy or export it again")
    return document


def node_positions(document: Mapping[str, Any], path: Path) -> dict[int, tuple[float, float, float]]:
    """Return the world position at rest of every node that hangs in the tree of nodes, metres.

    Raises
    ------
    InputError
        If a node is malformed or the nodes form no tree.
    """
    try:
        nodes = document["nodes"]
        if len(nodes) > _MAX_NODES:
            raise InputError(f"{path} has {len(nodes)} nodes; expected at most {_MAX_NODES}")
        children = [list(node.get("children", ())) for node in nodes]
        below = {child for node in children for child in node}
        left = [(index, np.eye(4)) for index in range(len(nodes)) if index not in below]
        world: dict[int, tuple[float, float, float]] = {}
        while left:
            index, above = left.pop()
            if index in world:
                raise ValueError("a node has two parents")
            matrix = above @ _local_matrix(nodes[index])
            if not np.isfinite(matrix).all():
                raise ValueError("a transform is not finite")
            x, y, z = (float(value) for value in matrix[:3, 3])
            world[index] = (x, y, z)
            left += [(child, matrix) for child in children[index] if 0 <= child < len(nodes)]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"{path} is damaged: its nodes form no tree of transforms; export it again"
        ) from None
    return world


def _local_matrix(node: Mapping[str, Any]) -> FloatArray:
    """Return the transform of a node against its parent, (4, 4)."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    rotation = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64).reshape(4)
    scale = np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
    matrix[:3, :3] = to_matrix(rotation) * scale
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return matrix
