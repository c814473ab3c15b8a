"""Causal attention over parallel streams, offline with a mask or step by step with a ring of a cache.

A token step holds one vector per stream (music, upper, lower). Step j attends to steps j - W ... j of all
streams; where a stream's vector lies in time enters through a bias (ALiBi) or a rotation of queries and
keys, or not at all (positions added to the input). None of them minds in what order the steps lie, so the
cache has a slot for each visible step and the new one goes into the oldest's place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Window(NamedTuple):
    """What a block needs to know about time in one streaming step.

    ``place`` indexes the new step's vectors in a cache: batch row, head, stream and slot, int64, which
    broadcast to ``[B, H, S]``.
    ``bias`` ``[B, H, 1, S * R]`` is added to the scores of the R slots, stream after stream; it is minus
    infinity where no step lies yet. ``rotation`` holds cosines and sines ``[B, 1, 1, R, D]`` of the slots,
    or is None; the new step's own are 1 and 0.
    """

    place: tuple[Tensor, Tensor, Tensor, Tensor]
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


def rows_times(layer: nn.Linear, rows: Tensor) -> Tensor:
    """Apply a linear layer with a bias to rows ``[N, E]``.

    Two dimensions, a plain product and an addition: runtimes make one call of it, and quantisers know it.
    With a third dimension each product is wrapped in reshapes.
    """
    return torch.matmul(rows, layer.weight.t()) + layer.bias


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
        """Attend from one new step's rows ``[B * S, E]`` to it and the caches ``[B, H, S, R, D]``.

        Empty slots must hold finite values. Returns the output and the caches with the new step in them, each
        copied once: at batch 1 the copies cost more than attending.
        """
        _, heads, streams, slots, dim = key_cache.shape
        projected = rows_times(self.query_key_value, x)
        by_head = projected.reshape(-1, streams, 3 * heads, dim).transpose(1, 2)
        query, key, value = by_head.chunk(3, dim=1)
        keys, values = key_cache.index_put(window.place, key), value_cache.index_put(window.place, value)
        turned = keys if window.rotation is None else rotate(keys, window.rotation)
        # -1 for the batch, so that a graph may leave it free and still has constant shapes to reshape to.
        seen = (-1, heads, streams * slots, dim)
        query = query * (1 / math.sqrt(dim))
        scores = torch.matmul(query, turned.reshape(seen).transpose(-1, -2)) + window.bias
        attended = torch.matmul(torch.softmax(scores, dim=-1), values.reshape(seen))
        merged = attended.transpose(1, 2).reshape(-1, heads * dim)
        return rows_times(self.output, merged), keys, values


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
        attended, *caches = self.attention.step(self.attention_norm(x), key_cache, value_cache, window)
        x = x + attended
        widen, activation, narrow = cast(Iterable[nn.Linear], list(self.mlp)[:3])
        hidden = rows_times(narrow, activation(rows_times(widen, self.mlp_norm(x))))
        return x + hidden, caches[0], caches[1]
