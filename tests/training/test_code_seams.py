"""Codes are as far apart as the pelvis' height at the end of the one and the beginning of the other."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.training.code_seams import pelvis_jumps
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.kinematics import PoseKinematics
from bailando.training.rollout import Codes, movement
from bailando.training.vqvae_stage import new_models


def test_jumps_are_the_differences_of_mean_heights_of_decoded_motion(
    data_folder: Path, tiny_config: TrainConfig
) -> None:
    dataset = Dataset(data_folder)
    upper, lower = (model.eval() for model in new_models(tiny_config, dataset))
    generator = torch.Generator().manual_seed(1)
    for model in (upper, lower):
        model.codebook.vectors.copy_(0.05 * torch.randn(model.codebook.vectors.shape, generator=generator))
    jumps = pelvis_jumps(dataset, upper, lower, PoseKinematics())
    begins, ends = defaultdict(list), defaultdict(list)
    every: list[list[float]] = [[], []]
    for segment in dataset.of("train"):
        halves = [
            torch.from_numpy(np.array(pose[:1, : pose.shape[1] // 8 * 8])) for pose in dataset.pose(segment)
        ]
        codes = Codes(upper.encode(halves[0]), lower.encode(halves[1]))
        height = movement(upper, lower, PoseKinematics(), codes).positions[0, :, 0, 1].tolist()
        for token, code in enumerate(codes.lower[0].tolist()):
            begins[code].append(height[8 * token])
            ends[code].append(height[8 * token + 7])
            every[0].append(height[8 * token])
            every[1].append(height[8 * token + 7])
    assert len(begins) >= 3
    assert jumps.max() > 1e-4
    for before in ends:
        for after in begins:
            # Five heights of the mean pull each code's to it.
            end = (sum(ends[before]) + 5 * np.mean(every[1])) / (len(ends[before]) + 5)
            begin = (sum(begins[after]) + 5 * np.mean(every[0])) / (len(begins[after]) + 5)
            assert jumps[before, after].item() == pytest.approx(abs(begin - end), abs=1e-5)
