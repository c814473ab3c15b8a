"""A small writer of binary glTF 2.0: arrays in, one .glb out."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import OutputError

_FLOAT, _UINT8, _UINT16 = 5126, 5121, 5123
_COMPONENT_TYPES = {np.dtype(np.float32): _FLOAT, np.dtype(np.uint8): _UINT8, np.dtype(np.uint16): _UINT16}
_SHAPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_MAX_FILE_BYTES = 2**32 - 1

ARRAY_BUFFER = 34962
ELEMENT_ARRAY_BUFFER = 34963


class GltfFile:
    """A glTF document in the making.

    Attributes
    ----------
    document : dict
        The JSON part; its lists are filled by the caller.
    """

    def __init__(self) -> None:
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "bailando"},
            "bufferViews": [],
            "accessors": [],
        }
        self._parts: list[bytes] = []
        self._length = 0

    def add_array(self, array: npt.NDArray[Any], target: int | None = None, bounds: bool = False) -> int:
        """Store an array and return the index of its accessor.

        Parameters
        ----------
        array : ndarray, shape (n,), (n, 2..4) or (n, 4, 4)
            float32, uint8 or uint16; matrices column by column.
        target : int, optional
            `ARRAY_BUFFER` for vertices, `ELEMENT_ARRAY_BUFFER` for indices.
        bounds : bool
            Whether to state the least and greatest values, as positions and times must.
        """
        content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._length, "byteLength": len(content)}
        if target is not None:
            view["target"] = target
        accessor: dict[str, Any] = {
            "bufferView": len(self.document["bufferViews"]),
            "componentType": _COMPONENT_TYPES[array.dtype],
            "count": len(array),
            "type": _SHAPES[array.shape[1:]],
        }
        if bounds:
            accessor["min"] = np.atleast_1d(array.min(axis=0)).tolist()
            accessor["max"] = np.atleast_1d(array.max(axis=0)).tolist()
        self._parts.append(content + b"\0" * (-len(content) % 4))
        self._length += len(self._parts[-1])
        self.document["bufferViews"].append(view)
        self.document["accessors"].append(accessor)
        return len(self.document["accessors"]) - 1

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the document and its arrays as one binary file.

        Raises
        ------
        OutputError
            If it would exceed the 4 GB of the format.
        """
        document = self.document | {"buffers": [{"byteLength": self._length}]}
        text = json.dumps(document, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self._length
        if total > _MAX_FILE_BYTES:
            raise OutputError(f"cannot write {path}: {total} bytes; a .glb holds at most {_MAX_FILE_BYTES}")
        with Path(path).open("wb") as stream:
            stream.write(struct.pack("<4sII", b"glTF", 2, total))
            stream.write(struct.pack("<I4s", len(text), b"JSON") + text)
            stream.write(struct.pack("<I4s", self._length, b"BIN\0"))
            stream.writelines(self._parts)
