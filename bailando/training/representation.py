"""What the VQ-VAEs are given of a data set: our pose channels, or the published positions."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from bailando.errors import ConfigError
from bailando.models.presets import PUBLISHED_LOWER_CHANNELS, PUBLISHED_UPPER_CHANNELS
from bailando.models.vqvae import PoseVQVAE
from bailando.motion.skeleton import LOWER_JOINTS, MIRROR_JOINTS, UPPER_JOINTS
from bailando.training.dataset import Dataset, Segment

Float32Array = npt.NDArray[np.float32]
_MIRROR = np.array([-1, 1, 1], np.float32)


def joint_positions(dataset: Dataset, segment: Segment) -> Float32Array:
    """Return the joints (2, T, 24, 3) in metres, plain then mirrored."""
    plain = np.asarray(dataset.positions(segment))
    return cast(Float32Array, np.stack([plain, plain[:, list(MIRROR_JOINTS)] * _MIRROR]))


def published_pose(positions: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return the upper (..., 45) and lower (..., 27) channels of joints (..., 24, 3).

    Positions minus the root's, whose own three channels (the first of the lower half) are thus zero.
    """
    relative = positions - positions[..., :1, :]
    shape = positions.shape[:-2]
    upper = relative[..., list(UPPER_JOINTS), :].reshape(*shape, PUBLISHED_UPPER_CHANNELS)
    lower = relative[..., list(LOWER_JOINTS), :].reshape(*shape, PUBLISHED_LOWER_CHANNELS)
    return upper, lower


def half_poses(dataset: Dataset, segment: Segment, upper: PoseVQVAE) -> tuple[Float32Array, Float32Array]:
    """Return what both halves' VQ-VAEs encode of a stretch, (2, T, channels) each, plain then mirrored."""
    if upper.config.channels == PUBLISHED_UPPER_CHANNELS:
        return published_pose(joint_positions(dataset, segment))
    return dataset.pose(segment)


def require_positions(model: PoseVQVAE) -> None:
    """Refuse a model of another representation."""
    if model.config.channels not in (PUBLISHED_UPPER_CHANNELS, PUBLISHED_LOWER_CHANNELS):
        raise ConfigError(
            f"the model has {model.config.channels} channels, expected the published "
            f"{PUBLISHED_UPPER_CHANNELS} or {PUBLISHED_LOWER_CHANNELS}: use the preset 'paper'"
        )
