"""Recurrent state of ONNX Runtime graphs: rows of buffers that step together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bailando.engine.specs import TensorSpec

Arrays = dict[str, NDArray[Any]]
Tensors = tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Place:
    """Where tensors lie, as ONNX Runtime names it: by kind, number and PCI vendor (-1: by kind alone)."""

    kind: str = "cpu"
    number: int = 0
    vendor: int = -1

    def put(self, values: NDArray[Any]) -> ort.OrtValue:
        """Return a tensor there; in host memory it may share that of the array."""
        vendor = {} if self.vendor < 0 else {"vendor_id": self.vendor}  # since ONNX Runtime 1.23
        return ort.OrtValue.ortvalue_from_numpy(values, self.kind, self.number, **vendor)

    @property
    def is_host(self) -> bool:
        """Whether it is the host's memory."""
        return self.kind == "cpu"


HOST = Place()


class Buffers:
    """Two sets of tensors for the state of some sessions: a step reads one and writes the other.

    Parameters
    ----------
    tensors : tuple of TensorSpec
        The graph's state.
    arrays : mapping of str to ndarray
        First values, for `rows` sessions; copied.
    place : Place
    rows : int
        Sessions along the batch axes.

    Attributes
    ----------
    bound : dict
        For each side that was stepped from, the graph's session and its binding to these buffers.
    """

    def __init__(
        self, tensors: Tensors, arrays: Mapping[str, NDArray[Any]], place: Place, rows: int = 1
    ) -> None:
        self.rows = rows
        self.place = place
        self.tensors = tensors
        self.bound: dict[int, tuple[ort.InferenceSession, ort.IOBinding]] = {}
        self.sides: tuple[dict[str, ort.OrtValue], dict[str, ort.OrtValue]] = ({}, {})
        for tensor in tensors:
            # ONNX Runtime may keep a reference to a host array instead of copying it.
            host = np.array(arrays[tensor.name], dtype=tensor.dtype).reshape(tensor.shape_of(rows))
            for side, values in zip(self.sides, (host, np.zeros_like(host)), strict=True):
                side[tensor.name] = place.put(values)

    def read(self, side: int, row: int) -> Arrays:
        """Copy the state of one session to host arrays."""
        return {t.name: _rows(t, self.sides[side][t.name].numpy(), row).copy() for t in self.tensors}

    def overwrite(self, side: int, rows: Mapping[int, Arrays]) -> None:
        """Give some sessions another state on one side, the others keep theirs."""
        for tensor in self.tensors:
            value = self.sides[side][tensor.name]
            values = np.array(value.numpy())
            for row, arrays in rows.items():
                _rows(tensor, values, row)[...] = arrays[tensor.name]
            value.update_inplace(values)


@dataclass(frozen=True)
class OrtState:
    """State of one session: its row in one of the two sides of buffers."""

    buffers: Buffers
    side: int = 0
    row: int = 0

    def read(self) -> Arrays:
        """Copy it to host arrays."""
        return self.buffers.read(self.side, self.row)


def side_by_side(states: Sequence[OrtState]) -> tuple[Buffers, int]:
    """Return buffers, and the side of them, in which row n is the n-th state.

    Sessions that always step together find themselves so, and nothing is copied. One that stayed behind
    (it did not accept its last step) is brought to the side of the others. Where sessions come together
    anew (at first, or after one was reset) all are copied into new buffers: their old ones may still
    belong to others.
    """
    buffers = states[0].buffers
    if buffers.rows == len(states) and all(
        state.buffers is buffers and state.row == row for row, state in enumerate(states)
    ):
        sides = [state.side for state in states]
        side = max(sides, key=sides.count)
        behind = {state.row: state.read() for state in states if state.side != side}
        if behind:
            buffers.overwrite(side, behind)
        return buffers, side
    rows = [state.read() for state in states]
    joined = {
        tensor.name: np.concatenate([row[tensor.name] for row in rows], axis=tensor.batch_axis)
        for tensor in buffers.tensors
    }
    return Buffers(buffers.tensors, joined, buffers.place, len(states)), 0


def _rows(tensor: TensorSpec, values: NDArray[Any], row: int) -> NDArray[Any]:
    """Return a view of one session's part, its batch axis kept; all of a fixed tensor."""
    if tensor.batch_axis is None:
        return values
    return values[(slice(None),) * tensor.batch_axis + (slice(row, row + 1),)]
