"""Codes become dearer while they are danced oftener than in the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bailando.models.vqvae import PoseVQVAE
from bailando.training.code_usage import CodePrices, code_usage
from bailando.training.dataset import Dataset

USAGE = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]])


def test_prices_lead_a_policy_to_the_usage_of_the_data() -> None:
    # Of two contexts, the policy leans to another code in each, and to the first two on the whole.
    leaning = torch.tensor([[2.0, 1.0, 0.0, -1.0], [1.0, 2.0, -1.0, -1.5]]).expand(2, 1, 2, 4)
    prices = CodePrices(USAGE, dearest=3.0)
    for _ in range(200):
        prices.follow(prices.charge(leaning))
    charged = prices.charge(leaning).exp()
    torch.testing.assert_close(charged.sum(-1), torch.ones(2, 1, 2))
    torch.testing.assert_close(charged.mean((1, 2)), USAGE, atol=1e-4, rtol=0)
    assert (charged[:, 0, 0, 0] > charged[:, 0, 1, 0]).all()  # when a code is danced is left to the policy


def test_prices_have_a_limit_and_stay_numbers() -> None:
    prices = CodePrices(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), dearest=1.5)
    never = torch.tensor([[0.0, float("-inf")], [0.0, float("-inf")]]).reshape(2, 1, 1, 2)
    for _ in range(20):
        prices.follow(never)
    assert prices.nats.abs().max() == 1.5
    assert torch.isfinite(prices.nats).all()


def test_a_price_moves_by_a_fifth_of_a_nat_for_a_factor_of_e() -> None:
    prices = CodePrices(USAGE, dearest=3.0)
    danced = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.25 * np.e, 0.25, 0.25, 0.5 - 0.25 * np.e]])
    prices.follow(danced.clamp_min(1e-30).log().reshape(2, 1, 1, 4))
    assert prices.nats[0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert prices.nats[1, 0] == pytest.approx(0.2)
    assert prices.nats[1, 1] == 0.0


def test_usage_is_the_share_of_each_code_in_plain_and_mirrored_motion(
    coded: tuple[Dataset, PoseVQVAE, PoseVQVAE],
) -> None:
    dataset, upper, lower = coded
    usage = code_usage(dataset, upper, lower)
    counts = torch.zeros_like(usage)
    for segment in dataset.of("train"):
        for row, (model, pose) in enumerate(zip((upper, lower), dataset.pose(segment), strict=True)):
            for motion in pose:
                whole = motion[: len(motion) // 8 * 8]
                for code in model.encode(torch.from_numpy(np.array(whole))[None])[0].tolist():
                    counts[row, code] += 1
    torch.testing.assert_close(usage, counts / counts.sum(dim=1, keepdim=True))
