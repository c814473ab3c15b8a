"""First stage in the published form: both halves' VQ-VAEs on joint positions.

Source: Siyao et al., Bailando, CVPR 2022, equations 1 to 3.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bailando.models.vqvae import PoseVQVAE
from bailando.motion.skeleton import LOWER_JOINTS, UPPER_JOINTS
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.distributed import my_share
from bailando.training.loop import autocast
from bailando.training.representation import half_poses, require_positions
from bailando.training.vqvae_config import VQVAELossConfig
from bailando.training.vqvae_stage import HalvesStage, PoseWindows, book_figures, forward_half


class PositionVQVAEStage(HalvesStage):
    """The stage as `Trainer` runs it; its files are those of `VQVAEStage`."""

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        super().__init__(config, dataset)
        require_positions(self.upper)
        if self.lower.root_decoder is not None:
            self.lower.root_decoder.requires_grad_(False)  # trained alone, afterwards
        self.windows = PoseWindows(
            dataset,
            "train",
            config.vqvae.window_frames,
            lambda segment: half_poses(dataset, segment, self.upper),
        )

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch and return the losses of equation 3 and the batch's perplexities."""
        quantise = step >= self.config.vqvae.warmup_steps
        targets = self.windows.draw(self.optimiser.batch_size, generator)
        wanted = [my_share(half).to(self.device) for half in targets]
        with autocast(self.config, self.device):
            outputs = [
                forward_half(model, half, quantise)
                for model, half in zip((self.upper, self.lower), wanted, strict=True)
            ]
        error = torch.cat(
            [o.reconstruction.float() - w for o, w in zip(outputs, wanted, strict=True)], dim=-1
        )
        commitment = outputs[0].commitment_loss + outputs[1].commitment_loss
        losses = position_losses(error, commitment, self.config.vqvae.losses)
        return losses | {
            "upper_perplexity": outputs[0].perplexity,
            "lower_perplexity": outputs[1].perplexity,
        }

    def evaluate(self) -> dict[str, float]:
        """Return the held-out mean joint error (``score``, mm, root taken out) and the codebooks' figures."""
        if not bool(self.upper.codebook.initialised):
            return {}
        models = (self.upper, self.lower)
        joints = (len(UPPER_JOINTS), len(LOWER_JOINTS))
        counts = torch.zeros(2, self.upper.config.codebook_size)
        sums = torch.zeros(2)
        frames = 0
        for segment in self.dataset.of("held_out") or self.dataset.of("train"):
            halves = half_poses(self.dataset, segment, self.upper)
            kept = segment.frames // self.upper.config.frames_per_code * self.upper.config.frames_per_code
            frames += 2 * kept
            for number, (model, half) in enumerate(zip(models, halves, strict=True)):
                wanted = torch.from_numpy(np.array(half[:, :kept])).to(self.device)
                codes = model.encode(wanted)
                distance = _joint_distance(model, codes, wanted)
                sums[number] += float(distance.sum())
                counts[number] += torch.bincount(codes.cpu().flatten(), minlength=counts.shape[1])
        means = 1000 * sums / frames / torch.tensor(joints)
        figures = {"score": 1000 * float(sums.sum()) / frames / sum(joints)}
        figures |= {"upper_mm": float(means[0]), "lower_mm": float(means[1])}
        return figures | book_figures(("upper", "lower"), counts)


def position_losses(error: Tensor, commitment: Tensor, weights: VQVAELossConfig) -> dict[str, Tensor]:
    """Return the L1 means of errors ``[B, T, C]`` in metres and of their changes; ``total`` weighs them."""
    losses = {
        "positions": error.abs().mean(),
        "velocity": error.diff(dim=1).abs().mean(),
        "acceleration": error.diff(n=2, dim=1).abs().mean(),
        "commitment": commitment,
    }
    losses["total"] = torch.stack([getattr(weights, name) * value for name, value in losses.items()]).sum()
    return losses


def _joint_distance(model: PoseVQVAE, codes: Tensor, wanted: Tensor) -> Tensor:
    """Return distances ``[B, T, J]`` in metres of decoded joints; the lower half's root counts as zero."""
    error = model.decode(codes) - wanted
    if model.root_decoder is not None:
        error[..., :3] = 0.0
    joints = error.reshape(*error.shape[:-1], -1, 3)
    distances: Tensor = torch.linalg.vector_norm(joints, dim=-1)
    return distances
