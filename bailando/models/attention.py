"""Causal attention over parallel streams, offline with a mask or step by step with a rolling cache.

A token step holds one vector per stream (music, upper, lower). Step j attends to steps j - W ... j of all
streams; where a stream's vector lies in time enters through a bias (ALiBi) or a rotation of queries and
keys, or not at all (positions added to the input).
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Window(NamedTuple):
    """What a block needs to know about time in one streaming step.

    ``bias`` ``[B, H, 1, S * W]`` is added to the scores of the cached steps of all streams, oldest first; it
    is minus infinity where no step lies yet. ``rotation`` holds cosines and sines ``[W + 1, D]``, those of
    the new step last, or is None.
    """

    bias: Tensor
    rotation: tuple[Tensor, Tensor] | None


def alibi_slopes(heads: int) -> Tensor:
    """Return the slopes ``2 ** (-8 (h + 1) / heads)`` of Press et al., ICLR 2022, ``[heads]``."""
    return torch.tensor([2.0 ** (-8.0 * (h + 1) / heads) for h in range(heads)])


def banded_mask(steps: int, window: int, *, device: torch.device | None = None) -> Tensor:
    """Return ``[steps, steps]``, true where step i may see step j: ``0 <= i - j <= window``."""
    step = torch.arange(steps, device=device)
    distance = step[:, None] - step[None, :]
    return (distance >= 0) & (distance <= window)


def rotation_table(steps: int, dim: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines ``[steps, dim]`` of rotary positions (Su et al., 2021)."""
    frequency = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim))
    angle = torch.arange(steps)[:, None] * frequency
    angle = torch.cat((angle, angle), dim=-1)
    return torch.cos(angle), torch.sin(angle)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate vectors ``[..., steps, dim]`` by tables broadcastable to them."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class StreamAttention(nn.Module):
    """Multi-head self-attention, all streams of the visible steps together."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.output_dropout = nn.Dropout(dropout)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project ``[B, N, E]`` and return query, key and value, each ``[B, H, N, D]``."""
        batch, positions, width = x.shape
        projected = self.query_key_value(x).reshape(batch, positions, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def forward(self, x: Tensor, mask: Tensor, rotation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Attend offline.

        Parameters
        ----------
        x : Tensor, ``[B, N, E]``
        mask : Tensor, broadcastable to ``[B, H, N, N]``
            Boolean (true = may see) or additive.
        rotation
            Tables ``[N, D]`` or None.
        """
        query, key, value = self._split(x)
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        merged = attended.transpose(1, 2).reshape(x.shape)
        return cast(Tensor, self.output_dropout(self.output(merged)))

    def step(
        self, x: Tensor, key_cache: Tensor, value_cache: Tensor, window: Window
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attend from one new step ``[B, S, E]`` to it and the caches ``[B, H, S, W, D]``.

        The caches are read where they lie and joined with nothing: at batch 1 copying them would cost as much
        as attending. Empty slots must hold finite values. Returns the output and the new step's key and value
        ``[B, H, S, D]``.
        """
        query, key, value = self._split(x)
        keys, turned_key = key_cache, key
        if window.rotation is not None:
            cosine, sine = window.rotation
            keys = rotate(key_cache, (cosine[:-1], sine[:-1]))
            query, turned_key = (rotate(new, (cosine[-1], sine[-1])) for new in (query, key))
        query = query * (1 / math.sqrt(query.shape[-1]))
        past = torch.matmul(query, keys.flatten(2, 3).transpose(-1, -2)) + window.bias
        present = torch.matmul(query, turned_key.transpose(-1, -2))
        weights = torch.softmax(torch.cat((past, present), dim=-1), dim=-1)
        to_past, to_present = weights[..., : past.shape[-1]], weights[..., past.shape[-1] :]
        attended = torch.matmul(to_past, value_cache.flatten(2, 3)) + torch.matmul(to_present, value)
        return self.output(attended.transpose(1, 2).reshape(x.shape)), key, value


class TransformerBlock(nn.Module):
    """Pre-norm block: ``x + attention(norm(x))``, then ``x + mlp(norm(x))`` with the exact GELU."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = StreamAttention(width, heads, dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor, mask: Tensor, rotation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Apply the block offline; arguments as `StreamAttention.forward`."""
        x = x + self.attention(self.attention_norm(x), mask, rotation)
        return x + cast(Tensor, self.mlp(self.mlp_norm(x)))

    def step(
        self, x: Tensor, key_cache: Tensor, value_cache: Tensor, window: Window
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Apply the block to one new step; arguments and results as `StreamAttention.step`."""
        attended, key, value = self.attention.step(self.attention_norm(x), key_cache, value_cache, window)
        x = x + attended
        return x + self.mlp(self.mlp_norm(x)), key, value
