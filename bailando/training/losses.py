"""Losses of the pose VQ-VAE: channels, joint positions and their motion, root, contacts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bailando.models.vqvae import PoseVQVAE, VQVAEOutput
from bailando.motion.pose import CONTACTS, HEIGHT, TURN, VELOCITY
from bailando.motion.skeleton import CONTACT_JOINTS
from bailando.training.distributed import mean_over_processes
from bailando.training.kinematics import PoseKinematics
from bailando.training.vqvae_config import VQVAELossConfig

_ROOT = slice(HEIGHT, TURN + 1)
_DECIMETRE = 10.0


def floor_velocity(positions: Tensor, lower: Tensor) -> Tensor:
    """Return how joints move over the floor from frame to frame, in the earlier frame's heading.

    Parameters
    ----------
    positions : Tensor, ``[B, T, J, 3]``
        Heading and place taken out.
    lower : Tensor, ``[B, T, 62]``
        Gives the root's velocity and turn.

    Returns
    -------
    Tensor, ``[B, T - 1, J, 3]``, metres per frame
    """
    turn = lower[:, :-1, TURN, None]
    sine, cosine = torch.sin(turn), torch.cos(turn)
    x, y, z = positions[:, 1:].unbind(-1)
    root_x, root_z = lower[:, :-1, VELOCITY].unbind(-1)
    later = torch.stack(
        (cosine * x + sine * z + root_x[..., None], y, cosine * z - sine * x + root_z[..., None]), dim=-1
    )
    return later - positions[:, :-1]


def vqvae_losses(
    models: tuple[PoseVQVAE, PoseVQVAE],
    targets: tuple[Tensor, Tensor],
    outputs: tuple[VQVAEOutput, VQVAEOutput],
    kinematics: PoseKinematics,
    weights: VQVAELossConfig,
) -> dict[str, Tensor]:
    """Return the losses by name, not weighted; ``total`` is their weighted sum.

    Parameters
    ----------
    models, targets, outputs
        Upper and lower; targets ``[B, T, 90]`` and ``[B, T, 62]``.
    kinematics, weights
        See there.
    """
    upper, lower = (output.reconstruction.float() for output in outputs)
    wanted_upper, wanted_lower = targets
    lower_error = _normalised_error(models[1], lower, wanted_lower)
    wanted = kinematics(wanted_upper, wanted_lower) * _DECIMETRE
    made = kinematics(upper, lower) * _DECIMETRE
    error = made - wanted
    losses = {
        "channels": _normalised_error(models[0], upper, wanted_upper).mean()
        + lower_error[..., : CONTACTS.start].mean(),
        "positions": error.abs().mean(),
        "velocity": error.diff(dim=1).abs().mean(),
        "acceleration": error.diff(n=2, dim=1).abs().mean(),
        "root": lower_error[..., _ROOT].mean(),
        "contacts": _contact_loss(lower, wanted_lower),
        "skating": _skating(made, lower, wanted_lower),
        "commitment": outputs[0].commitment_loss + outputs[1].commitment_loss,
    }
    losses["total"] = torch.stack([getattr(weights, name) * value for name, value in losses.items()]).sum()
    return losses


def _normalised_error(model: PoseVQVAE, made: Tensor, wanted: Tensor) -> Tensor:
    return ((made - wanted) / model.std).abs()


def _contact_loss(lower: Tensor, wanted: Tensor) -> Tensor:
    probability = lower[..., CONTACTS].clamp(1e-4, 1 - 1e-4)
    return F.binary_cross_entropy(probability, wanted[..., CONTACTS])


def _skating(made_dm: Tensor, lower: Tensor, wanted: Tensor) -> Tensor:
    """Mean speed over the floor of the joints that stay planted in the data."""
    feet = floor_velocity(made_dm[..., list(CONTACT_JOINTS), :] / _DECIMETRE, lower) * _DECIMETRE
    planted = wanted[:, :-1, CONTACTS] * wanted[:, 1:, CONTACTS]
    speed = feet.abs().sum(-1)
    return (speed * planted).sum() / mean_over_processes(planted.sum()).clamp_min(1.0)
