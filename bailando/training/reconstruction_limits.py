"""How near held-out motion could come at all: what is lost by quantising, and what the data lack."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bailando.models.residual import PoseResidual
from bailando.models.vqvae import PoseVQVAE
from bailando.motion.skeleton import LOWER_JOINTS, UPPER_JOINTS
from bailando.training.dataset import Dataset, Segment
from bailando.training.kinematics import PoseKinematics
from bailando.training.vqvae_stage import reconstruction, whole_poses

_MILLIMETRE = 1000.0
_ROWS_AT_ONCE = 512


@torch.no_grad()
def reconstruction_limits(
    upper: PoseVQVAE,
    lower: PoseVQVAE,
    kinematics: PoseKinematics,
    dataset: Dataset,
    residual: PoseResidual | None = None,
) -> dict[str, float]:
    """Return joint errors to read the reconstruction error against, mm.

    Returns
    -------
    dict
        ``reconstruction_of_training_mm``: of the motion trained on. ``unquantised_mm``: of held-out motion,
        the decoders fed the encoders' outputs and not the codes. With residual codes, ``coarse_mm``: from
        the first codes alone, and ``expected_mm``: with the residual that a dancer expects of them.
        ``nearest_training_mm``: every eight frames of held-out motion replaced by the nearest eight in all of
        the training motion, for each half body: no book of stretches from these recordings does better,
        however large, unless it looks at what came before or adds codes. Empty without a held-out side.
    """
    held_out = dataset.of("held_out")
    if not held_out:
        return {}
    training = [segment for segment in dataset.of("train") if not segment.is_other_speed]
    models = upper, lower, kinematics, dataset
    figures = {
        "reconstruction_of_training_mm": reconstruction(*models, training, residual=residual)["score"],
        "unquantised_mm": reconstruction(*models, held_out, residual=residual, decoding="latent")["score"],
    }
    if residual is not None:
        expected = reconstruction(*models, held_out, residual=residual, decoding="expected")
        figures["coarse_mm"] = reconstruction(*models, held_out)["score"]
        figures["expected_mm"] = expected["score"]
    frames = upper.config.frames_per_code
    heard, known = (_tokens(kinematics, dataset, side, frames) for side in (held_out, training))
    return figures | {"nearest_training_mm": nearest_stretches_mm(heard, known)}


def _tokens(kinematics: PoseKinematics, dataset: Dataset, segments: Sequence[Segment], frames: int) -> Tensor:
    """Return joint positions of all stretches of a code's length, ``[N, frames, J, 3]``."""
    device = kinematics.offsets.device
    stretches = [
        kinematics(*(half.to(device) for half in pair))[0].unflatten(0, (-1, frames))
        for segment in segments
        for pair in whole_poses(dataset, segment, frames)
    ]
    return torch.cat(stretches)


def nearest_stretches_mm(heard: Tensor, known: Tensor) -> float:
    """Return the mean joint error of the nearest stretches, sought for each half body by itself.

    Parameters
    ----------
    heard, known : Tensor, ``[N, frames, J, 3]`` and ``[M, frames, J, 3]``
        Joint positions, metres: stretches to replace, and what to replace them by.
    """
    total = 0.0
    for joints in (list(UPPER_JOINTS), list(LOWER_JOINTS)):
        wanted, have = heard[:, :, joints], known[:, :, joints]
        for rows in torch.split(wanted, _ROWS_AT_ONCE):
            found = have[torch.cdist(rows.flatten(1), have.flatten(1)).argmin(dim=1)]
            total += float(torch.linalg.vector_norm(found - rows, dim=-1).sum())
    return _MILLIMETRE * total / heard[..., 0].numel()
