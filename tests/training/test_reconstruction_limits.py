"""What reconstruction errors are read against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.kinematics import PoseKinematics
from bailando.training.reconstruction_limits import nearest_stretches_mm, reconstruction_limits
from bailando.training.vqvae_stage import new_models


def test_stretches_that_are_known_are_at_no_distance_and_others_at_their_own() -> None:
    known = torch.rand(20, 8, 24, 3, generator=torch.Generator().manual_seed(0))
    assert nearest_stretches_mm(known[5:12], known) == 0.0
    assert nearest_stretches_mm(known[:3] + torch.tensor([0.0, 0.03, 0.0]), known) == pytest.approx(30.0)


def test_motion_trained_on_is_its_own_nearest(data_folder: Path, tiny_config: TrainConfig) -> None:
    dataset = Dataset(data_folder)
    models = new_models(tiny_config, dataset)
    strange = reconstruction_limits(*models, PoseKinematics(), dataset)
    assert strange["nearest_training_mm"] > 1.0
    training = tuple(dataset.of("train"))
    dataset.segments = (*training, replace(training[0], split="held_out"))
    seen = reconstruction_limits(*models, PoseKinematics(), dataset)
    assert seen["nearest_training_mm"] < 1e-3
    assert seen["unquantised_mm"] > 1.0
