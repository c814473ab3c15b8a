"""Vector quantisation with a codebook learned by exponential moving averages.

Source: van den Oord et al. 2017, appendix A.1 (moving averages); Dhariwal et al. 2020, Jukebox (restart
of codes that are rarely used).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F


class Quantised(NamedTuple):
    """Result of one quantisation; ``perplexity`` and ``usage`` are of the batch at hand."""

    vectors: Tensor
    codes: Tensor
    commitment_loss: Tensor
    perplexity: Tensor
    usage: Tensor


class Codebook(nn.Module):
    """`size` vectors of `dim` channels; every statistic is a buffer and is saved with the model.

    Parameters
    ----------
    size, dim
        Number of codes and channels of each.
    decay
        Of the moving averages of the codes' counts and sums.
    restart_below
        A code whose average count per batch is below this is replaced by an encoder output.
    """

    vectors: Tensor
    vector_sum: Tensor
    count: Tensor
    initialised: Tensor

    def __init__(self, size: int, dim: int, *, decay: float = 0.99, restart_below: float = 1.0) -> None:
        super().__init__()
        self.decay = decay
        self.restart_below = restart_below
        self.register_buffer("vectors", torch.zeros(size, dim))
        self.register_buffer("vector_sum", torch.zeros(size, dim))
        self.register_buffer("count", torch.zeros(size))
        self.register_buffer("initialised", torch.tensor(False))

    @property
    def size(self) -> int:
        """Number of codes."""
        return self.vectors.shape[0]

    def encode(self, x: Tensor) -> Tensor:
        """Return the nearest code of each vector.

        Parameters
        ----------
        x : Tensor, ``[..., dim]``

        Returns
        -------
        Tensor, ``[...]`` int64
        """
        flat = x.reshape(-1, x.shape[-1])
        squared_norms = self.vectors.square().sum(dim=-1)
        distances = flat.square().sum(dim=-1, keepdim=True) - 2.0 * flat @ self.vectors.t() + squared_norms
        return distances.argmin(dim=-1).reshape(x.shape[:-1])

    def decode(self, codes: Tensor) -> Tensor:
        """Return the vectors ``[..., dim]`` of `codes` ``[...]``."""
        return F.embedding(codes, self.vectors)

    def forward(self, x: Tensor) -> Quantised:
        """Quantise with a straight-through gradient; in training mode also learn from the batch."""
        if self.training and not bool(self.initialised):
            self.fill(self._draw(x.detach().reshape(-1, x.shape[-1])))
        codes = self.encode(x.detach())
        vectors = self.decode(codes)
        # float32 even under mixed precision: bfloat16 cannot count beyond 256.
        counts = torch.bincount(codes.reshape(-1), minlength=self.size).to(self.count.dtype)
        if self.training:
            counts = _sum_over_workers(counts)
            self._update(x.detach().reshape(-1, x.shape[-1]), codes.reshape(-1), counts)
        probability = counts / counts.sum()
        perplexity = torch.exp(-(probability * torch.log(probability + 1e-10)).sum())
        return Quantised(
            vectors=x + (vectors - x).detach(),
            codes=codes,
            commitment_loss=F.mse_loss(x, vectors.detach()),
            perplexity=perplexity,
            usage=(counts > 0).to(counts.dtype).mean(),
        )

    @torch.no_grad()
    def fill(self, vectors: Tensor) -> None:
        """Set all code vectors ``[size, dim]`` and start their statistics at one use each."""
        self.vectors.copy_(vectors)
        self.vector_sum.copy_(vectors)
        self.count.fill_(1.0)
        self.initialised.fill_(True)

    @torch.no_grad()
    def _update(self, flat: Tensor, codes: Tensor, counts: Tensor) -> None:
        sums = torch.zeros_like(self.vector_sum).index_add_(0, codes, flat.to(self.vector_sum.dtype))
        self.vector_sum.lerp_(_sum_over_workers(sums), 1.0 - self.decay)
        self.count.lerp_(counts.to(self.count.dtype), 1.0 - self.decay)
        kept = (self.count >= self.restart_below).unsqueeze(-1)
        averages = self.vector_sum / self.count.clamp_min(1e-8).unsqueeze(-1)
        self.vectors.copy_(torch.where(kept, averages, self._draw(flat)))

    def _draw(self, flat: Tensor) -> Tensor:
        """Draw `size` encoder outputs without replacement, jittered copies where there are too few.

        Among several processes from the outputs of all, by the chance of the first.
        """
        flat = _of_all_workers(flat.to(self.vectors.dtype))
        if flat.shape[0] < self.size:
            copies = -(-self.size // flat.shape[0])
            flat = flat.repeat(copies, 1)
            flat = flat + torch.randn_like(flat) * (0.01 / flat.shape[-1] ** 0.5)
        drawn = flat[torch.randperm(flat.shape[0], device=flat.device)[: self.size]].contiguous()
        if _has_workers():
            distributed.broadcast(drawn, 0)
        return drawn


def _has_workers() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _of_all_workers(flat: Tensor) -> Tensor:
    """Return the vectors ``[N, dim]`` of all processes one after the other; each has as many."""
    if not _has_workers():
        return flat
    own = flat.contiguous()
    parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, own)
    return torch.cat(parts)


def _sum_over_workers(values: Tensor) -> Tensor:
    if _has_workers():
        distributed.all_reduce(values)
    return values
