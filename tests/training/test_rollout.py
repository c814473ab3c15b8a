"""Rollouts: the policy that dances is the policy that is trained, and its movement is the engine's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bailando.engine.sampling import SamplingConfig, code_probabilities
from bailando.models.gpt import CrossConditionalGPT, GPTConfig
from bailando.motion.pose import TURN, VELOCITY, decode_motion
from bailando.training.kinematics import PoseKinematics
from bailando.training.rollout import Sampling, joint_speed, policy, roll_out

CONFIG = GPTConfig(
    codebook_size=7, music_dim=8, width=16, heads=2, base_layers=1, head_layers=1, window=4, styles=2
)


def dance(seed: int) -> tuple[CrossConditionalGPT, torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]:
    torch.manual_seed(0)
    gpt = CrossConditionalGPT(CONFIG).eval()
    music = torch.randn(3, 9, 8)
    start = torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5])
    generator = torch.Generator().manual_seed(seed)
    codes, chance = roll_out(gpt, music, torch.tensor([0, 1, 0]), start, Sampling(1.3), generator)
    return gpt, music, codes, chance


def test_a_rollout_starts_where_it_is_told_and_depends_on_its_seed() -> None:
    first, again, other = (dance(seed)[2] for seed in (1, 1, 2))
    assert first[0][:, 0].tolist() == [0, 1, 2]
    assert first[1][:, 0].tolist() == [3, 4, 5]
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


def test_drawn_codes_have_the_chance_that_the_offline_model_gives_them() -> None:
    """Longer than the window, so that the rolling cache has rolled."""
    gpt, music, codes, chance = dance(1)
    logits = gpt(music, codes[0], codes[1], torch.tensor([0, 1, 0]))
    for half, drawn, expected in zip(logits, codes, chance, strict=True):
        scores = policy(half[:, :-1], Sampling(1.3))
        torch.testing.assert_close(scores.gather(-1, drawn[:, 1:, None]).squeeze(-1), expected)


@pytest.mark.parametrize("config", [(1.0, 0, 1.0), (0.7, 3, 1.0), (1.0, 0, 0.6), (1.4, 5, 0.8)])
def test_the_policy_is_the_distribution_that_the_engine_draws_from(config: tuple[float, int, float]) -> None:
    logits = torch.randn(4, 11, generator=torch.Generator().manual_seed(3)) * 2
    mine = policy(logits, Sampling(*config)).exp()
    for row, expected in zip(mine, logits.numpy(), strict=True):
        np.testing.assert_allclose(row, code_probabilities(expected, SamplingConfig(*config)), atol=1e-6)


def test_the_joint_speed_is_that_of_the_integrated_motion() -> None:
    """A turning, walking body whose rotations tremble."""
    generator = torch.Generator().manual_seed(0)
    frames = 40
    rest = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    upper = rest.repeat(frames, 15) + 0.05 * torch.randn(frames, 90, generator=generator)
    lower = torch.zeros(frames, 62)
    lower[:, :54] = rest.repeat(frames, 9)
    lower[:, 54] = 0.9
    lower[:, VELOCITY] = 0.02 * torch.randn(frames, 2, generator=generator)
    lower[:, TURN] = 0.03
    positions = decode_motion(upper.numpy(), lower.numpy()).positions
    expected = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(axis=-1)
    speed = joint_speed(PoseKinematics()(upper, lower)[None], lower[None])
    np.testing.assert_allclose(speed[0].numpy(), expected, atol=2e-6)
