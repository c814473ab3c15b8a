"""Frames and rest poses that look the same from no two sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.frame import JOINTS, Frame


def unit_quaternions(seed: int, count: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, 4))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def rest_offsets_m() -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(0.05, 0.4, (JOINTS, 3)).astype(np.float32)


def make_frame(number: int = 0, **music: Any) -> Frame:
    """A frame with a position and rotation of its own for each joint."""
    generator = np.random.default_rng(number)
    positions = generator.uniform(-1.0, 2.0, (JOINTS, 3)).astype(np.float32)
    return Frame(
        number=number,
        positions=positions,
        rotations=unit_quaternions(number, JOINTS),
        root_position=positions[0],
        contacts=np.zeros(4, dtype=np.float32),
        **music,
    )
