"""Prices of codes, which hold a finetuned dancer to the moves of its data, each as often as the data has it.

A reward for the beat makes a policy dance the few codes that are slowest and fastest, and a pretrained GPT
that dances on its own falls into slow ones. Here each code has a price in nats, which rises while the code is
danced oftener than in the data and falls while it is danced less often: the multiplier of the constraint that
the usage of codes, over all beat phases, is the data's (dual ascent; Boyd and Vandenberghe, Convex
Optimization, 2004, chapter 5). What music decides then is when a code is danced, not whether.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bailando.models.vqvae import PoseVQVAE
from bailando.training.dataset import Dataset
from bailando.training.representation import half_poses

# Rarer codes, of the data or of the dance, count as this often, so that every price is finite.
_LEAST_SHARE = 1e-4
# Nats that a price moves per rollout for a usage that is off by a factor of e.
_RATE = 0.2


class CodePrices(nn.Module):
    """The price of each code of both halves.

    Parameters
    ----------
    usage : Tensor, ``[2, K]``
        Share of each code in the data; see `code_usage`.
    dearest
        Limit of the prices either way, nats.

    Attributes
    ----------
    nats : Tensor, ``[2, K]``
        The prices.
    """

    usage: Tensor
    nats: Tensor

    def __init__(self, usage: Tensor, dearest: float) -> None:
        super().__init__()
        self.dearest = dearest
        self.register_buffer("usage", usage.clamp_min(_LEAST_SHARE))
        self.register_buffer("nats", torch.zeros_like(usage))

    @torch.no_grad()
    def follow(self, scores: Tensor) -> None:
        """Move the prices after a rollout whose choices had log probabilities ``[2, B, T, K]``."""
        danced = scores.exp().mean(dim=(1, 2)).clamp_min(_LEAST_SHARE)
        self.nats += _RATE * torch.log(danced / self.usage)
        self.nats.clamp_(-self.dearest, self.dearest)

    def charge(self, scores: Tensor) -> Tensor:
        """Return the log probabilities ``[2, B, T, K]`` after prices."""
        return torch.log_softmax(scores - self.nats[:, None, None], dim=-1)


@torch.no_grad()
def code_usage(dataset: Dataset, upper: PoseVQVAE, lower: PoseVQVAE) -> Tensor:
    """Return how often the training motion has each code of both halves, ``[2, K]``, summing to 1."""
    counts = torch.zeros(2, upper.config.codebook_size)
    for segment in dataset.of("train"):
        frames = segment.frames // upper.config.frames_per_code * upper.config.frames_per_code
        poses = half_poses(dataset, segment, upper)
        for row, (half, pose) in enumerate(zip((upper, lower), poses, strict=True)):
            codes = half.encode(torch.from_numpy(np.array(pose[:, :frames])).to(half.mean.device))
            counts[row] += torch.bincount(codes.cpu().flatten(), minlength=counts.shape[1])
    return counts / counts.sum(dim=1, keepdim=True)
