"""Codes become dearer while they are danced oftener than in the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bailando.models.vqvae import PoseVQVAE
from bailando.training.code_usage import CodePrices, code_usage
from bailando.training.dataset import Dataset

USAGE = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]])
OTHER_USAGE = USAGE.flip(-1)


def test_prices_lead_the_policy_of_each_style_to_the_usage_of_its_data() -> None:
    # Of two contexts, the policy leans to another code in each, and to the first two on the whole.
    leaning = torch.tensor([[2.0, 1.0, 0.0, -1.0], [1.0, 2.0, -1.0, -1.5]]).expand(2, 3, 2, 4)
    prices, style = CodePrices(torch.stack((USAGE, OTHER_USAGE)), dearest=3.0), torch.tensor([1, 0, 1])
    for _ in range(200):
        prices.follow(prices.charge(leaning, style), style)
    charged = prices.charge(leaning, style).exp()
    torch.testing.assert_close(charged.sum(-1), torch.ones(2, 3, 2))
    for dance, usage in enumerate((OTHER_USAGE, USAGE, OTHER_USAGE)):
        torch.testing.assert_close(charged[:, dance].mean(1), usage, atol=1e-4, rtol=0)
    assert (charged[:, :, 0, 0] > charged[:, :, 1, 0]).all()  # when a code is danced is left to the policy


def test_prices_of_a_style_that_is_not_danced_stay() -> None:
    prices = CodePrices(torch.stack((USAGE, USAGE)), dearest=3.0)
    prices.follow(torch.full((2, 1, 1, 4), 0.25).log(), torch.tensor([1]))
    assert prices.nats[0].abs().max() == 0.0
    assert prices.nats[1, 0].abs().max() > 0.0


def test_prices_have_a_limit_and_stay_numbers() -> None:
    prices = CodePrices(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), dearest=1.5)
    never = torch.tensor([[0.0, float("-inf")], [0.0, float("-inf")]]).reshape(2, 1, 1, 2)
    for _ in range(20):
        prices.follow(never, torch.tensor([0]))
    assert prices.nats.abs().max() == 1.5
    assert torch.isfinite(prices.nats).all()


def test_a_price_moves_by_a_fifth_of_a_nat_for_a_factor_of_e() -> None:
    prices = CodePrices(USAGE[None], dearest=3.0)
    danced = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.25 * np.e, 0.25, 0.25, 0.5 - 0.25 * np.e]])
    prices.follow(danced.clamp_min(1e-30).log().reshape(2, 1, 1, 4), torch.tensor([0]))
    assert prices.nats[0, 0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert prices.nats[0, 1, 0] == pytest.approx(0.2)
    assert prices.nats[0, 1, 1] == 0.0


def test_usage_is_the_share_of_each_code_in_plain_and_mirrored_motion_of_each_style(
    coded_styles: tuple[Dataset, PoseVQVAE, PoseVQVAE],
) -> None:
    dataset, upper, lower = coded_styles
    usage = code_usage(dataset, upper, lower)
    counts = torch.zeros_like(usage)
    for segment in dataset.of("train"):
        style = dataset.styles.index(segment.style)
        for row, (model, pose) in enumerate(zip((upper, lower), dataset.pose(segment), strict=True)):
            for motion in pose:
                whole = motion[: len(motion) // 8 * 8]
                for code in model.encode(torch.from_numpy(np.array(whole))[None])[0].tolist():
                    counts[style, row, code] += 1
    of_all = counts.sum(0) / counts.sum((0, 2))[:, None]
    torch.testing.assert_close(usage[0], of_all)
    assert len(usage) == 3
    for style in (1, 2):
        assert counts[style].sum() > 0
        own = counts[style] + 512 * of_all
        torch.testing.assert_close(usage[style], own / own.sum(dim=1, keepdim=True))
