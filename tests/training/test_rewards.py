"""Rewards: beats where the dance pauses, both published forms, half bodies facing one way."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.errors import ConfigError
from bailando.training.actor_critic_config import GrooveWeights
from bailando.training.rewards import (
    PAYOUT_FRAMES,
    beat_reward,
    closeness,
    dance_beats,
    dance_reward,
    groove_reward,
    half_body_consistency,
    smooth_gaussian,
)

DATA = Path(__file__).parents[1] / "data" / "official" / "actor_critic_tiny.npz"


def moving(speed: torch.Tensor) -> torch.Tensor:
    """Return 24 joints that move along x with the given speed per frame."""
    place = torch.cumsum(torch.cat((torch.zeros(1), speed)), dim=0)
    positions = torch.zeros(1, place.shape[0], 24, 3)
    positions[..., 0] = place[None, :, None]
    return positions


def facing(shoulders: torch.Tensor, hips: torch.Tensor) -> torch.Tensor:
    """Return positions whose shoulder and hip axes are turned by the given angles per frame."""
    positions = torch.zeros(1, shoulders.shape[0], 24, 3)
    for left, right, angle, height in ((16, 17, shoulders, 1.4), (1, 2, hips, 0.9)):
        axis = torch.stack((angle.cos(), torch.full_like(angle, height), -angle.sin()), dim=-1)
        positions[0, :, left] = axis
        positions[0, :, right] = axis * torch.tensor([-1.0, 1.2, -1.0])
    return positions


@pytest.mark.parametrize(
    ("form", "name"), [("released", "reward_rate0"), ("paper", "reward_paper_form_rate0")]
)
def test_both_forms_of_the_beat_reward_are_the_published_ones(form: str, name: str) -> None:
    with np.load(DATA) as file:
        pose, beats, expected = (torch.from_numpy(file[key]) for key in ("pose", "beats", name))
    reward = dance_reward(pose.unflatten(2, (24, 3)), beats, form=form, half_body_weight=0.0)
    assert torch.equal(reward, expected)


def test_a_dance_beat_is_where_the_speed_is_least() -> None:
    frame = torch.arange(159)
    speed = 1.0 - 0.8 * torch.cos(2 * math.pi * (frame - 20) / 40)
    assert dance_beats(moving(speed))[0].nonzero().flatten().tolist() == [20, 60, 100, 140]


def test_a_steady_movement_has_no_beats_inside() -> None:
    speed = torch.linspace(1.0, 2.0, 80)
    assert not dance_beats(moving(speed))[0, 25:55].any()


def test_smoothing_agrees_with_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    x = torch.rand(2, 50, generator=torch.Generator().manual_seed(0))
    expected = ndimage.gaussian_filter1d(x.numpy(), 5.0, axis=1)
    np.testing.assert_allclose(smooth_gaussian(x, 5.0).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("music", "dance", "paper", "released"),
    [(0, 0, 5, -5), (0, 1, 5, -5), (1, 0, -5, -5), (1, 1, 5, 5)],
)
def test_the_two_forms_differ_where_the_music_has_no_beat(
    music: int, dance: int, paper: int, released: int
) -> None:
    music_beats, dancer_beats = torch.zeros(1, 8), torch.zeros(1, 8)
    music_beats[0, 3], dancer_beats[0, 6] = music, dance
    assert beat_reward(music_beats, dancer_beats, "paper").item() == paper
    assert beat_reward(music_beats, dancer_beats, "released").item() == released


def test_the_worst_twist_within_a_token_counts() -> None:
    shoulders, hips = torch.zeros(16), torch.zeros(16)
    shoulders[5] = math.pi / 3
    consistency = half_body_consistency(facing(shoulders, hips))
    torch.testing.assert_close(consistency, torch.tensor([[0.5, 1.0]]))


def test_turning_the_whole_body_keeps_consistency() -> None:
    turn = torch.linspace(0, 6.0, 16)
    consistency = half_body_consistency(facing(turn, turn))
    torch.testing.assert_close(consistency, torch.ones(1, 2))


def test_the_half_body_weight_scales_its_part() -> None:
    positions = facing(torch.full((8,), math.pi), torch.zeros(8))
    beats = torch.zeros(1, 8)
    alone = dance_reward(positions, beats, half_body_weight=0.0)
    assert (dance_reward(positions, beats, half_body_weight=2.0) - alone).item() == pytest.approx(-2.0)


def test_closeness_counts_the_nearest_pause_of_each_music_beat() -> None:
    music, dance = torch.zeros(1, 40, dtype=torch.bool), torch.zeros(1, 40, dtype=torch.bool)
    music[0, [8, 20, 39]], dance[0, [5, 11, 20]] = True, True
    near = closeness(music, dance, 3.0)
    expected = torch.zeros(1, 40)
    expected[0, 8], expected[0, 20] = math.exp(-0.5), 1.0
    torch.testing.assert_close(near, expected)


def test_the_groove_pays_a_pause_by_its_phase_one_token_later() -> None:
    """Speed is least in frames 20, 60, 100 and 140; the beat is there, or 10 or 20 frames after."""
    frame = torch.arange(160)
    speed = (1.0 - 0.8 * torch.cos(2 * math.pi * (frame[:-1] - 20) / 40))[None]
    weights = GrooveWeights(closeness=0.0, pauses=1.0, swing=0.0)
    for late, expected in ((0, 1.0), (10, 0.0), (20, -1.0)):
        phase = ((frame - 20 - late) / 40 % 1.0)[None]
        reward = groove_reward(speed, phase, phase == 0, weights)
        paid = torch.zeros(20)
        paid[[(pause + PAYOUT_FRAMES) // 8 for pause in (20, 60, 100, 140)]] = expected
        torch.testing.assert_close(reward[0], paid, atol=1e-6, rtol=0)


def test_the_groove_pays_swinging_with_the_beat_and_not_against_it() -> None:
    frame = torch.arange(160)
    phase = ((frame - 20) / 40 % 1.0)[None]
    speed = 1.0 - 0.8 * torch.cos(2 * math.pi * phase[:, :-1])
    weights = GrooveWeights(closeness=0.0, pauses=0.0, swing=1.0)
    with_it = groove_reward(speed, phase, phase == 0, weights)[0, 4:16].mean()
    # A Gaussian of 5 frames leaves exp(-(2 pi 5 / 40)^2 / 2) of the swing; the mean of cos^2 is a half.
    left = 0.8 * math.exp(-0.5 * (2 * math.pi * 5 / 40) ** 2) / 2
    assert with_it.item() == pytest.approx(left, rel=0.05)
    against = groove_reward(2.0 - speed, phase, phase == 0, weights)[0, 4:16].mean()
    assert against.item() == pytest.approx(-left, rel=0.05)


def test_the_groove_pays_a_music_beat_with_a_pause_near_it() -> None:
    frame = torch.arange(160)
    speed = (1.0 - 0.8 * torch.cos(2 * math.pi * (frame[:-1] - 20) / 40))[None]
    phase = ((frame - 23) / 40 % 1.0)[None]
    weights = GrooveWeights(closeness=2.0, pauses=0.0, swing=0.0, sigma_frames=3.0)
    reward = groove_reward(speed, phase, phase == 0, weights)
    assert reward.sum().item() == pytest.approx(4 * 2.0 * math.exp(-0.5), rel=1e-4)


def test_a_sequence_of_broken_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        beat_reward(torch.zeros(1, 9), torch.zeros(1, 9))


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected 'paper' or 'released'"):
        beat_reward(torch.zeros(1, 8), torch.zeros(1, 8), "other")
