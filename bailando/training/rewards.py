"""Rewards of actor-critic learning, one per token of eight frames.

Source: Siyao et al., Bailando, CVPR 2022, section 3.4: dancing on the beat (equation 12) and the two half
bodies facing the same way (equations 13 and 14). `groove_reward` is our own: the published beat reward says
nothing about how far off a pause is, nor about pauses where the music has no beat.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from bailando.errors import ConfigError
from bailando.training.actor_critic_config import GrooveWeights

FRAMES_PER_TOKEN = 8
BEAT_WEIGHT = 5.0
SMOOTHING_FRAMES = 5.0
LEFT_HIP, RIGHT_HIP, LEFT_SHOULDER, RIGHT_SHOULDER = 1, 2, 16, 17

PAYOUT_FRAMES = 8

BeatForm = Literal["paper", "released"]


def dance_beats(positions: Tensor, smoothing_frames: float = SMOOTHING_FRAMES) -> Tensor:
    """Mark the frames where the dance pauses: local minima of the smoothed mean joint speed.

    Parameters
    ----------
    positions : Tensor, ``[B, T, J, 3]``
        Joint positions at 60 frames a second, T at least 4.
    smoothing_frames
        Deviation of the Gaussian that smooths the speed.

    Returns
    -------
    Tensor, ``[B, T]`` bool
    """
    if positions.dim() != 4 or positions.shape[1] < 4 or positions.shape[3] != 3:
        raise ConfigError(
            f"positions have shape {tuple(positions.shape)}, expected [batch, 4 or more frames, joints, 3]"
        )
    return speed_minima(torch.diff(positions, dim=1).norm(dim=-1).mean(dim=-1), smoothing_frames)


def speed_minima(speed: Tensor, smoothing_frames: float = SMOOTHING_FRAMES) -> Tensor:
    """Mark the local minima ``[B, T]`` bool of the smoothed mean joint speed ``[B, T - 1]``."""
    smooth = smooth_gaussian(speed, smoothing_frames)
    minima = (smooth[:, 1:-1] < smooth[:, :-2]) & (smooth[:, 1:-1] < smooth[:, 2:])
    return F.pad(minima, (1, 2))


def smooth_gaussian(x: Tensor, deviation: float) -> Tensor:
    """Smooth ``[B, T]`` in time by a Gaussian cut at four deviations, mirrored at both ends."""
    radius = int(4.0 * deviation + 0.5)
    offset = torch.arange(-radius, radius + 1, device=x.device)
    kernel = torch.exp(-0.5 * (offset / deviation) ** 2)
    steps = x.shape[1]
    index = torch.arange(-radius, steps + radius, device=x.device) % (2 * steps)
    mirrored = x[:, torch.minimum(index, 2 * steps - 1 - index)]
    weights = (kernel / kernel.sum()).to(x.dtype)
    return F.conv1d(mirrored.unsqueeze(1), weights.reshape(1, 1, -1)).squeeze(1)


def beat_reward(music_beats: Tensor, dancer_beats: Tensor, form: BeatForm = "paper") -> Tensor:
    """Return +5 or -5 for each token.

    Parameters
    ----------
    music_beats, dancer_beats : Tensor, ``[B, T]`` bool, or numbers where non-zero marks a beat
        At 60 frames a second; T a multiple of 8.
    form
        ``paper``: -5 only where the music has a beat and the dance has none. ``released``, as the published
        code computes it: +5 only where both have one.

    Returns
    -------
    Tensor, ``[B, T / 8]`` float32
    """
    music, dance = _any_in_token(music_beats), _any_in_token(dancer_beats)
    if form == "paper":
        good = dance | ~music
    elif form == "released":
        good = dance & music
    else:
        raise ConfigError(f"form is {form!r}, expected 'paper' or 'released'")
    return (good.float() * 2.0 - 1.0) * BEAT_WEIGHT


def half_body_consistency(positions: Tensor) -> Tensor:
    """Return how well shoulders and hips face the same way: their worst cosine in each token, -1 to 1.

    The direction of a half is the horizontal one of its left-right axis (shoulders, hips); the lowest cosine
    within the token counts, so that a single twisted frame is penalised.

    Parameters
    ----------
    positions : Tensor, ``[B, T, 24, 3]``
        SMPL joints, Y up; T a multiple of 8.

    Returns
    -------
    Tensor, ``[B, T / 8]``
    """
    shoulders = positions[:, :, LEFT_SHOULDER] - positions[:, :, RIGHT_SHOULDER]
    hips = positions[:, :, LEFT_HIP] - positions[:, :, RIGHT_HIP]
    cosine = F.cosine_similarity(shoulders[..., [0, 2]], hips[..., [0, 2]], dim=-1)
    return _tokens(cosine).amin(dim=-1)


def dance_reward(
    positions: Tensor, music_beats: Tensor, *, form: BeatForm = "paper", half_body_weight: float = 1.0
) -> Tensor:
    """Return the reward ``[B, T / 8]``: beat reward plus weighted half-body consistency.

    Parameters
    ----------
    positions : Tensor, ``[B, T, 24, 3]``
        The generated dance.
    music_beats : Tensor, ``[B, T]``
        Of the music it was generated to.
    form, half_body_weight
        ``"paper"`` and 1 as in the paper; ``"released"`` and 0 as in the published code.
    """
    reward = beat_reward(music_beats, dance_beats(positions), form)
    if half_body_weight:
        reward = reward + half_body_weight * half_body_consistency(positions)
    return reward


def closeness(music_beats: Tensor, dancer_beats: Tensor, sigma_frames: float) -> Tensor:
    """Return at each music beat ``exp(-d² / 2 σ²)``, d to the nearest dance beat; 0 at other frames.

    Its mean over the music's beats is the Beat Align Score (equation 15 of the paper, there with σ = 3).

    Parameters
    ----------
    music_beats, dancer_beats : Tensor, ``[B, T]`` bool
    sigma_frames
        σ.
    """
    reach = math.ceil(4 * sigma_frames)
    offset = torch.arange(-reach, reach + 1, device=music_beats.device)
    kernel = torch.exp(-(offset**2) / (2 * sigma_frames**2))
    near = F.pad(dancer_beats.float(), (reach, reach)).unfold(1, 2 * reach + 1, 1)
    return (near * kernel).amax(dim=-1) * music_beats.float()


def groove_reward(speed: Tensor, phase: Tensor, music_beats: Tensor, weights: GrooveWeights) -> Tensor:
    """Return a dense reward ``[B, T / 8]`` for pausing on the beat, and only there.

    The sum of three parts, each paid out `PAYOUT_FRAMES` after the frame it is earned at: the smoothed speed
    there is not known earlier, so the tokens that shape it come before the payment.

    - each music beat pays its `closeness` to a pause;
    - each pause pays the cosine of its beat phase: 1 on the beat, -1 halfway between two beats;
    - each frame pays for being slow near the beat and fast away from it: minus the relative deviation of the
      smoothed speed from its mean, times the cosine of the phase.

    Parameters
    ----------
    speed : Tensor, ``[B, T - 1]``
        Mean joint speed over the floor, any unit.
    phase : Tensor, ``[B, T]``
        Beat phase, 0 to 1.
    music_beats : Tensor, ``[B, T]`` bool
    weights
        Of the parts.
    """
    pauses = speed_minima(speed)
    on_beat = torch.cos(2 * math.pi * phase)
    smooth = F.pad(smooth_gaussian(speed, SMOOTHING_FRAMES), (0, 1), mode="replicate")
    mean = smooth.mean(dim=1, keepdim=True).clamp_min(1e-6)
    earned = (
        weights.closeness * closeness(music_beats, pauses, weights.sigma_frames)
        + weights.pauses * pauses * on_beat
        - weights.swing / FRAMES_PER_TOKEN * (smooth / mean - 1.0) * on_beat
    )
    paid = F.pad(earned, (PAYOUT_FRAMES, 0))[:, : earned.shape[1]]
    return _tokens(paid).sum(dim=-1)


def _tokens(x: Tensor) -> Tensor:
    if x.dim() != 2 or x.shape[1] % FRAMES_PER_TOKEN:
        raise ConfigError(
            f"sequence has shape {tuple(x.shape)}, expected [batch, a multiple of {FRAMES_PER_TOKEN} frames]"
        )
    return x.reshape(x.shape[0], -1, FRAMES_PER_TOKEN)


def _any_in_token(beats: Tensor) -> Tensor:
    return _tokens(beats != 0).any(dim=-1)
