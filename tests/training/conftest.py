from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from swings import swinging, write_clicks

from bailando.models.vqvae import PoseVQVAE
from bailando.motion.bvh import write_bvh
from bailando.training.config import TrainConfig
from bailando.training.config_files import load_config
from bailando.training.dataset import Dataset
from bailando.training.prepare import prepare
from bailando.training.vqvae_stage import new_models


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of five swinging recordings, two of them partners, and a folder of three songs."""
    root = tmp_path_factory.mktemp("sources")
    motion, music = root / "swings", root / "songs"
    motion.mkdir()
    music.mkdir()
    for number, name in enumerate(("swing_1_a", "swing_1_b", "swing_2", "swing_3", "swing_4")):
        write_bvh(motion / f"{name}.bvh", swinging(200 + 8 * number, 0.6 + 0.1 * number, 0.5 * number))
    for number, beat_s in enumerate((0.48, 0.5, 0.52)):
        write_clicks(music / f"song_{number}.wav", beat_s, 16.0, number)
    return motion, music


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """The shipped configuration of that name."""
    return load_config("tiny")


@pytest.fixture(scope="session")
def data_folder(
    folders: tuple[Path, Path], tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A prepared data set of the recordings and songs."""
    folder = tmp_path_factory.mktemp("data")
    prepare([folders[0]], [folders[1]], folder, tiny_config.prepare)
    return folder


@pytest.fixture
def coded(data_folder: Path, tiny_config: TrainConfig) -> tuple[Dataset, PoseVQVAE, PoseVQVAE]:
    """The data set, and VQ-VAEs (upper, lower) that nobody trained, whose codes it uses nevertheless."""
    dataset = Dataset(data_folder)
    upper, lower = (model.eval() for model in new_models(tiny_config, dataset))
    generator = torch.Generator().manual_seed(1)
    for model in (upper, lower):
        model.codebook.vectors.copy_(0.05 * torch.randn(model.codebook.vectors.shape, generator=generator))
    return dataset, upper, lower


@pytest.fixture
def coded_styles(
    coded: tuple[Dataset, PoseVQVAE, PoseVQVAE],
) -> tuple[Dataset, PoseVQVAE, PoseVQVAE]:
    """The same with two styles, taken in turn by its segments."""
    dataset, upper, lower = coded
    dataset.index["styles"] = ["open", "high", "low"]
    dataset.segments = tuple(
        replace(segment, style=dataset.styles[1 + number % 2])
        for number, segment in enumerate(dataset.segments)
    )
    return dataset, upper, lower
