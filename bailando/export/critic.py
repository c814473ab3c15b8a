"""The critic of codes as the engine reads it."""

from __future__ import annotations

import io

import numpy as np

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
