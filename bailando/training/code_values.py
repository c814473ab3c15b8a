"""What each code is worth on each beat phase: a critic of codes that needs no rollout.

How fast the body moves while it dances a code is, give or take, a property of the code. So the swing part of
the groove reward (`rewards.groove_reward`) is known beforehand for every code that could be drawn: fast codes
are worth much between two beats, slow ones near a beat. With the values of all codes the policy gradient is
an expectation instead of a noisy sample (expected policy gradients, Ciosek and Whiteson, JMLR 2020).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from bailando.models.residual import PoseResidual
from bailando.models.vqvae import PoseVQVAE
from bailando.training.dataset import Dataset, Segment
from bailando.training.kinematics import PoseKinematics
from bailando.training.representation import half_poses
from bailando.training.rewards import FRAMES_PER_TOKEN
from bailando.training.rollout import Codes, Movement, movement

# Enough to see each code many times.
_TOKENS = 14_000
# Observations that pull a code's speed to the mean, so that rare codes do not stand out by chance.
_RIDGE = 5.0


Decoded = list[tuple[Tensor, Movement]]


def code_speeds(decoded: Decoded, size: int) -> Tensor:
    """Return how much faster than the mean the body is in each frame of each of `size` codes, ``[2, K, 8]``.

    The square root of the speed, relative to its mean, is explained as the sum of a part of the upper code
    and one of the lower code (ridge regression on decoded training motion); the root, because a few codes
    are very fast.
    """
    codes, speeds = [], []
    for pair, danced in decoded:
        speed = danced.speed.cpu()
        codes.append(pair)
        speeds.append(torch.cat((speed, speed[:, -1:]), dim=1).reshape(-1, FRAMES_PER_TOKEN))
    seen = torch.cat(codes, dim=1)
    columns = torch.zeros(seen.shape[1], 2 * size)
    columns.scatter_(1, (seen + torch.tensor([[0], [size]])).T, 1.0)
    root = torch.cat(speeds).sqrt()
    relative = 2 * (root / root.mean() - 1)
    gram = columns.T @ columns + _RIDGE * torch.eye(2 * size)
    solved: Tensor = torch.linalg.solve(gram, columns.T @ relative)
    return solved.reshape(2, size, -1)


def code_values(speeds: Tensor, phase: Tensor) -> Tensor:
    """Return what drawing each code is worth, ``[2, B, T - 1, K]``.

    Parameters
    ----------
    speeds : Tensor, ``[2, K, 8]``
        As `code_speeds` gives them.
    phase : Tensor, ``[B, 8 T]``
        Beat phase. Codes drawn for token j are valued on the phase of token j + 1: when a code is put after
        another one than in the data, the body first has to get there, and its movement shows a token late.

    Returns
    -------
    Tensor
        Minus the mean over the frames of relative speed times the cosine of the phase.
    """
    frames = speeds.shape[-1]
    later = phase[:, frames:].reshape(len(phase), -1, frames)
    return -torch.einsum("hkf,btf->hbtk", speeds, torch.cos(2 * math.pi * later)) / frames


def half_time(phase: Tensor, fast_beat_frames: float) -> tuple[Tensor, Tensor]:
    """Return the beat phase, at half the tempo where beats follow too fast to be danced one by one.

    Parameters
    ----------
    phase : Tensor, ``[B, T]``
        Beat phase, 0 to 1.
    fast_beat_frames
        Beats closer than this are too fast.

    Returns
    -------
    phase : Tensor, ``[B, T]``
        With every second beat as the beat in rows of fast music.
    is_fast : Tensor, ``[B]`` bool
    """
    steps = torch.diff(phase, dim=1) % 1.0
    position = torch.cat((phase[:, :1], phase[:, :1] + steps.double().cumsum(dim=1)), dim=1)
    is_fast = steps.mean(dim=1) * fast_beat_frames > 1.0
    halved = (position / 2 % 1.0).to(phase.dtype)
    return torch.where(is_fast[:, None], halved, phase), is_fast


def chosen_beats(drawn_values: Tensor, keep: float = 0.9) -> Tensor:
    """Return for each draw whether a dancer at half time is on the counted beats (1) or the others (-1).

    Which of two beats it dances on is the dancer's choice; what it has danced so far tells which.

    Parameters
    ----------
    drawn_values : Tensor, ``[B, T]``
        What the drawn codes were worth on the counted beats.
    keep
        Of the past, at each token.
    """
    past = torch.zeros_like(drawn_values[:, 0])
    signs = []
    for value in drawn_values.unbind(1):
        signs.append(torch.where(past < 0, -1.0, 1.0))
        past = keep * past + value
    return torch.stack(signs, dim=1)


@torch.no_grad()
def decoded_motion(
    dataset: Dataset,
    upper: PoseVQVAE,
    lower: PoseVQVAE,
    kinematics: PoseKinematics,
    residual: PoseResidual | None = None,
) -> Decoded:
    """Encode training motion, enough to see each code many times, and decode it as a dance is decoded.

    Returns
    -------
    list of (Tensor, Movement)
        Of each stretch its codes ``[2, T]`` int64, on the CPU, and the one dance of 8 T frames.
    """
    decoded = []
    frames_per_code = upper.config.frames_per_code
    for segment in _sample(dataset.of("train"), frames_per_code):
        frames = segment.frames // frames_per_code * frames_per_code
        poses = [
            torch.from_numpy(np.array(half[:1, :frames])).to(upper.mean.device)
            for half in half_poses(dataset, segment, upper)
        ]
        codes = Codes(upper.encode(poses[0]), lower.encode(poses[1]))
        danced = movement(upper, lower, kinematics, codes, residual)
        decoded.append((torch.cat(tuple(codes)).cpu(), danced))
    return decoded


def _sample(segments: list[Segment], frames_per_code: int) -> list[Segment]:
    """Return segments evenly spread over all, until they hold enough tokens."""
    tokens = sum(segment.frames // frames_per_code for segment in segments)
    stride = max(1, math.ceil(tokens / _TOKENS))
    return segments[::stride]
