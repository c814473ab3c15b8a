"""Greedy generation as the published code does it, with both of its windows.

The published GPT has learned places in a block, so a cached key is exact only while the window's first
step stays where it is. Without `shift` the window slides at every step and each step is computed anew;
with ``shift = s`` it keeps its start while it grows from s to 28 steps, and a cache serves it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bailando.errors import ConfigError
from bailando.export.official_models import OfficialGPT
from bailando.models.streaming import State

WINDOW_STEPS = 28


def window_steps(step: int, shift: int | None) -> int:
    """Return how many steps the window holds when it predicts the codes after `step` (from 0)."""
    if step < WINDOW_STEPS:
        return step + 1
    if shift is None:
        return WINDOW_STEPS
    return shift + (step - WINDOW_STEPS - 1) % (WINDOW_STEPS - shift + 1)


@torch.no_grad()
def generate_greedily(
    model: OfficialGPT,
    music: Tensor,
    upper_seed: Tensor,
    lower_seed: Tensor,
    *,
    steps: int,
    shift: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Continue a seed code pair by the likeliest codes.

    Parameters
    ----------
    model
        A published GPT in evaluation mode.
    music : Tensor
        As `OfficialGPT.music_tokens`, of at least `steps` tokens.
    upper_seed, lower_seed : Tensor, ``[B]`` int64
        First codes.
    steps
        Code pairs to generate.
    shift
        Length the window is cut back to, 1 to 27; None slides it by one step.

    Returns
    -------
    upper_codes, lower_codes : Tensor, ``[B, steps + 1]`` int64
    """
    if shift is not None and not 1 <= shift < WINDOW_STEPS:
        raise ConfigError(f"shift is {shift}, expected 1 to {WINDOW_STEPS - 1}, or None")
    available = _music_steps(model, music)
    if steps > available:
        raise ConfigError(f"{steps} steps asked for, the music has {available}; give more music")
    upper, lower = upper_seed[:, None], lower_seed[:, None]
    # A music transformer's outputs change as its own window grows, so only plain features can be cached.
    cache = None if shift is None or model.music_context is not None else _Cache(model, music)
    for step in range(steps):
        start = step + 1 - window_steps(step, shift)
        if cache is None:
            window = _music_window(model, music, start, step + 1)
            logits = tuple(half[:, -1] for half in model(upper[:, start:], lower[:, start:], window))
        else:
            logits = cache.logits(upper, lower, start)
        upper = torch.cat((upper, logits[0].argmax(dim=-1, keepdim=True)), dim=1)
        lower = torch.cat((lower, logits[1].argmax(dim=-1, keepdim=True)), dim=1)
    return upper, lower


class _Cache:
    """Logits after the last code of a sequence; steps that the cache holds are not computed again."""

    def __init__(self, model: OfficialGPT, music: Tensor) -> None:
        self._gpt = model.gpt
        self._music = music
        self._start = 0
        self._next = 0
        self._state: State = self._gpt.initial_state(music.shape[0])

    def logits(self, upper: Tensor, lower: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Return both logits ``[B, codes]`` for the window from `start` to the last code."""
        if start != self._start:
            self._start = self._next = start
            self._state = self._gpt.initial_state(self._music.shape[0])
        logits: tuple[Tensor, Tensor] | None = None
        while self._next < upper.shape[1]:
            j = self._next
            logits, self._state = self._gpt.step(
                self._music[:, j], upper[:, j], lower[:, j], None, self._state
            )
            self._next += 1
        if logits is None:
            raise ConfigError("the cache was asked twice for the same step; pass a longer sequence")
        return logits


def _music_steps(model: OfficialGPT, music: Tensor) -> int:
    if model.music_context is None:
        return int(music.shape[1])
    config = model.music_context.config
    return int(music.shape[1] // config.frames_per_token - 2 * config.padding_tokens)


def _music_window(model: OfficialGPT, music: Tensor, start: int, end: int) -> Tensor:
    """Return the music of steps `start` to `end`, for a music transformer with its padding."""
    if model.music_context is None:
        return music[:, start:end]
    config = model.music_context.config
    frames = config.frames_per_token
    return music[:, start * frames : (end + 2 * config.padding_tokens) * frames]
