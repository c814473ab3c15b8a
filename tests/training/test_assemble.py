"""What the finished dancer says of its data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bailando.models.vqvae import PoseVQVAE
from bailando.training.assemble import style_shares
from bailando.training.dataset import Dataset


def test_shares_of_styles_are_those_of_the_training_motion(
    coded_styles: tuple[Dataset, PoseVQVAE, PoseVQVAE],
) -> None:
    dataset = coded_styles[0]
    shares = dict(zip(dataset.styles, style_shares(dataset), strict=True))
    training = dataset.of("train")
    high = sum(segment.frames for segment in training if segment.style == "high")
    assert len(training) < len(dataset.segments)
    assert shares["open"] == 0.0
    assert shares["high"] == pytest.approx(high / sum(segment.frames for segment in training))
    assert sum(shares.values()) == pytest.approx(1.0)


def test_motion_of_no_style_is_the_share_of_none(
    coded_styles: tuple[Dataset, PoseVQVAE, PoseVQVAE],
) -> None:
    dataset = coded_styles[0]
    dataset.segments = tuple(replace(segment, style="open") for segment in dataset.segments)
    assert style_shares(dataset) == (1.0, 0.0, 0.0)
