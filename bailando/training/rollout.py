"""Rollouts: many dances at once by a GPT's cached step, decoded to how fast the joints move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from bailando.models.dancer_decoder import DancerDecoder
from bailando.models.gpt import CrossConditionalGPT
from bailando.models.presets import PUBLISHED_UPPER_CHANNELS
from bailando.models.residual import PoseResidual
from bailando.models.vqvae import PoseVQVAE
from bailando.motion.pose import TURN, VELOCITY
from bailando.motion.skeleton import LOWER_JOINTS, UPPER_JOINTS
from bailando.training.kinematics import PoseKinematics


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn; the words mean what they mean in `bailando.engine.sampling`."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


class Codes(NamedTuple):
    """Code pairs ``[B, T]`` int64; number 0 is where the dance starts, the others are the policy's."""

    upper: Tensor
    lower: Tensor


class Movement(NamedTuple):
    """What dances look like: joints ``[B, T, 24, 3]`` in the dancer's own heading frame, metres, and the mean
    speed of the joints over the floor ``[B, T - 1]``, metres per frame.
    """

    positions: Tensor
    speed: Tensor


@torch.no_grad()
def roll_out(
    gpt: CrossConditionalGPT,
    music: Tensor,
    style: Tensor | None,
    start: tuple[Tensor, Tensor],
    sampling: Sampling,
    generator: torch.Generator,
) -> tuple[Codes, Tensor]:
    """Dance to music as a session of the engine does.

    Parameters
    ----------
    gpt
        The policy; in evaluation mode, or without dropout.
    music : Tensor, ``[B, T, music_dim]``
        What the policy is given at each step: the dance's token j is drawn after steps 0 ... j - 1.
    style : Tensor, ``[B]`` int64, or None
    start
        First codes of both halves, ``[B]`` each.
    sampling, generator
        How codes are drawn, and the only source of chance (on the CPU).

    Returns
    -------
    codes : Codes
    log_probability : Tensor, ``[2, B, T - 1]``
        Of the upper and lower codes drawn.
    """
    halves: tuple[list[Tensor], list[Tensor]] = ([start[0]], [start[1]])
    chances: tuple[list[Tensor], list[Tensor]] = ([], [])
    state = gpt.initial_state(len(music), device=music.device)
    for token in range(music.shape[1] - 1):
        logits, state = gpt.step(music[:, token], halves[0][-1], halves[1][-1], style, state)
        for half, drawn, chance in zip(logits, halves, chances, strict=True):
            code, log_probability = draw_codes(half, sampling, generator)
            drawn.append(code)
            chance.append(log_probability)
    codes = Codes(*(torch.stack(half, dim=1) for half in halves))
    return codes, torch.stack([torch.stack(chance, dim=1) for chance in chances])


def draw_codes(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw one code ``[B]`` from each row of logits ``[B, K]``, greedily at temperature zero.

    Returns
    -------
    codes, log_probability : Tensor, ``[B]``
    """
    scores = policy(logits, sampling)
    if sampling.temperature == 0.0:
        drawn = logits.argmax(dim=-1)
    else:
        drawn = torch.multinomial(scores.exp().cpu(), 1, generator=generator).squeeze(-1).to(logits.device)
    return drawn, scores.gather(-1, drawn.unsqueeze(-1)).squeeze(-1)


def policy(logits: Tensor, sampling: Sampling) -> Tensor:
    """Return the log probabilities ``[..., K]`` that codes are drawn with."""
    scores = F.log_softmax(logits.float() / (sampling.temperature or 1.0), dim=-1)
    if sampling.top_k == 0 and sampling.top_p == 1.0:
        return scores
    ordered, order = scores.sort(dim=-1, descending=True)
    kept = torch.ones_like(ordered, dtype=torch.bool)
    if sampling.top_k:
        kept[..., sampling.top_k :] = False
    if sampling.top_p < 1.0:
        mass = torch.where(kept, ordered.exp(), 0.0)
        before = mass.cumsum(dim=-1) - mass
        kept &= before <= sampling.top_p * mass.sum(dim=-1, keepdim=True)
    kept = torch.zeros_like(kept).scatter(-1, order, kept)
    return F.log_softmax(scores.masked_fill(~kept, float("-inf")), dim=-1)


@torch.no_grad()
def movement(
    upper: PoseVQVAE,
    lower: PoseVQVAE,
    kinematics: PoseKinematics,
    codes: Codes,
    residual: PoseResidual | None = None,
) -> Movement:
    """Decode codes ``[B, T / 8]``, of our pose channels or of published positions.

    With `residual` as a dance is decoded: the residual expected of the codes is added to them. Where on the
    floor the dancer is does not matter, so no velocity is integrated.
    """
    poses = DancerDecoder(upper, lower, residual)(codes.upper, codes.lower)
    if upper.config.channels != PUBLISHED_UPPER_CHANNELS:
        positions = kinematics(*poses)
        return Movement(positions, joint_speed(positions, poses[1]))
    joints = torch.cat(poses, dim=-1).reshape(*poses[0].shape[:2], -1, 3)
    places = [*UPPER_JOINTS, *LOWER_JOINTS]
    positions = joints[:, :, [places.index(joint) for joint in range(len(places))]]
    moved = positions.diff(dim=1)
    if lower.root_decoder is not None:
        moved = moved + lower.decode_root(codes.lower)[:, :-1, None]
    return Movement(positions, mean_norm(moved))


def mean_norm(moved: Tensor) -> Tensor:
    """Return the mean length of the joints' movements ``[..., J, 3]``."""
    lengths: Tensor = torch.linalg.vector_norm(moved, dim=-1)
    return lengths.mean(dim=-1)


def joint_speed(positions: Tensor, lower: Tensor) -> Tensor:
    """Return the mean joint speed over the floor ``[B, T - 1]``, metres per frame.

    Parameters
    ----------
    positions : Tensor, ``[B, T, J, 3]``
        In the heading frame of each frame, as `PoseKinematics` gives them.
    lower : Tensor, ``[B, T, 62]``
        Lower pose channels, for the pelvis' velocity and turn.
    """
    turn = lower[:, :-1, TURN, None]
    cosine, sine = torch.cos(turn), torch.sin(turn)
    x, y, z = positions[:, 1:].unbind(-1)
    velocity = lower[:, :-1, VELOCITY]
    turned = (
        cosine * x + sine * z + velocity[..., :1],
        y,
        cosine * z - sine * x + velocity[..., 1:],
    )
    return mean_norm(torch.stack(turned, dim=-1) - positions[:, :-1])
