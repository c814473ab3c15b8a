"""The critic of codes as the engine reads it."""

from __future__ import annotations

import io

import numpy as np

from bailando.engine.bundle import Bundle
from bailando.engine.groove import CRITIC_FILE
from bailando.models.checkpoint import DancerCheckpoint
from bailando.models.code_movement import CodeMovement

# Of what the engine needs nothing: codes share it.
_LEFT_OUT = "of_body."


def critic_bytes(movement: CodeMovement) -> bytes:
    """Return ``groove.npz``, stored as float16; `bailando.engine.groove.GrooveCritic` computes in float32."""
    arrays = {
        name: tensor.detach().cpu().numpy().astype(np.float16)
        for name, tensor in movement.state_dict().items()
        if not name.startswith(_LEFT_OUT)
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def critic_files(checkpoint: DancerCheckpoint) -> dict[str, bytes]:
    """Return the critic of a checkpoint as a file of its bundle, by name; none if it has none."""
    return {} if checkpoint.movement is None else {CRITIC_FILE: critic_bytes(checkpoint.movement)}


def critic_of(bundle: Bundle) -> dict[str, bytes]:
    """Return the critic of a bundle as a file of another, by name; none if it has none."""
    return {} if bundle.manifest.groove is None else {CRITIC_FILE: bundle.file_bytes(CRITIC_FILE)}
