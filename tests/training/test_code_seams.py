"""Codes are as far apart as the pelvis' height at the end of the one and the beginning of the other."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch

from bailando.models.vqvae import PoseVQVAE
from bailando.training.code_seams import pelvis_jumps
from bailando.training.code_values import decoded_motion
from bailando.training.dataset import Dataset
from bailando.training.kinematics import PoseKinematics
from bailando.training.rollout import Codes, movement


def test_jumps_are_the_differences_of_mean_heights_of_decoded_motion(
    coded: tuple[Dataset, PoseVQVAE, PoseVQVAE],
) -> None:
    dataset, upper, lower = coded
    jumps = pelvis_jumps(decoded_motion(dataset, upper, lower, PoseKinematics()), 16)
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
