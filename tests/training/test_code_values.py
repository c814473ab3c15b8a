"""What codes are worth: fast ones between two beats, slow ones near one."""

from __future__ import annotations

import math

import pytest
import torch

from bailando.models.vqvae import PoseVQVAE
from bailando.training.code_values import chosen_beats, code_speeds, code_values, decoded_motion, half_time
from bailando.training.dataset import Dataset
from bailando.training.kinematics import PoseKinematics


def test_a_code_is_worth_its_slowness_on_the_beat_one_token_later() -> None:
    speeds = torch.stack([torch.full((1, 8), -1.0), torch.full((1, 8), 0.5)], dim=1).repeat(2, 1, 1)
    phase = torch.zeros(1, 32)
    phase[0, 8:16] = 0.5
    phase[0, 16:24] = 0.25
    values = code_values(speeds, phase)
    assert values.shape == (2, 1, 3, 2)
    expected = torch.tensor([[-1.0, 0.5], [0.0, 0.0], [1.0, -0.5]])
    torch.testing.assert_close(values[0, 0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(values[1, 0], expected, atol=1e-6, rtol=0)


def test_a_code_that_slows_down_is_worth_most_before_the_beat() -> None:
    slowing = torch.linspace(1.0, -1.0, 8).repeat(2, 1, 1)
    phase = torch.arange(32)[None] / 32
    values = code_values(slowing, torch.cat((torch.zeros(1, 8), phase), dim=1))[0, 0, :, 0]
    assert values.argmax() == 3
    expected = -(slowing[0, 0] * torch.cos(2 * math.pi * torch.arange(24, 32) / 32)).mean()
    assert values[3].item() == pytest.approx(expected.item(), abs=1e-6)


def test_only_fast_music_is_danced_at_half_time() -> None:
    frame = torch.arange(100)
    phase = torch.stack((frame / 18 % 1.0, frame / 30 % 1.0))
    halved, is_fast = half_time(phase, 24.0)
    assert is_fast.tolist() == [True, False]
    torch.testing.assert_close(halved[0], frame / 36 % 1.0, atol=1e-4, rtol=0)
    assert torch.equal(halved[1], phase[1])
    assert not half_time(phase, 0.0)[1].any()


def test_a_dancer_stays_on_the_beats_that_it_is_on() -> None:
    worth = torch.tensor([[0.0, -1.0, -1.0, 0.5, -1.0], [1.0, 1.0, -0.5, 1.0, 0.0]])
    assert chosen_beats(worth).tolist() == [[1.0, 1.0, -1.0, -1.0, -1.0], [1.0] * 5]


def test_speeds_of_codes_are_relative_and_differ(coded: tuple[Dataset, PoseVQVAE, PoseVQVAE]) -> None:
    dataset, upper, lower = coded
    speeds = code_speeds(decoded_motion(dataset, upper, lower, PoseKinematics()), 16)
    assert speeds.shape == (2, 16, 8)
    assert torch.isfinite(speeds).all()
    assert speeds.abs().max() > 0.01
    assert speeds.abs().mean() < 2.0
