from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.errors import ConfigError
from bailando.models import presets
from bailando.models.checkpoint import load_checkpoint
from bailando.models.presets import Preset
from bailando.motion.skeleton import JOINT_NAMES
from bailando.training.config import TrainConfig
from bailando.training.config_files import load_config
from bailando.training.dataset import Dataset
from bailando.training.gpt_stage import GPTStage
from bailando.training.loop import load_weights
from bailando.training.prepare import prepare
from bailando.training.representation import joint_positions, published_pose
from bailando.training.root_stage import RootStage, pose_and_velocity
from bailando.training.run import export_checkpoint, train_gpt, train_root, train_vqvae
from bailando.training.stage_models import load_vqvaes
from bailando.training.tokens import Sequence, TokenSequences

STEPS = 12


def _shrunk(features: int, styles: int) -> Preset:
    """The published layout, everything in it small."""
    published = presets._paper(features, styles)
    small = {"width": 16, "codebook_size": 16, "code_dim": 8}
    return Preset(
        upper=replace(published.upper, **small),
        lower=replace(published.lower, **small),
        gpt=replace(published.gpt, width=32, heads=4, base_layers=1, head_layers=1, codebook_size=16),
    )


@pytest.fixture(scope="module")
def data_folder(folders: tuple[Path, Path], tiny_config: TrainConfig, tmp_path_factory) -> Path:
    """A data set whose music is told as the preset says: in the published features."""
    folder = tmp_path_factory.mktemp("published_data")
    told = replace(tiny_config.prepare, music_features=load_config("paper").prepare.music_features)
    prepare([folders[0]], [folders[1]], folder, told)
    return folder


@pytest.fixture(scope="module")
def paper(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TrainConfig, Path]]:
    """The shipped configuration with few steps, and a run of all its stages but the finetuning."""
    config = load_config("paper")

    def few(stage):
        optimiser = replace(stage.optimiser, steps=STEPS, batch_size=4, warmup_steps=2)
        return replace(stage, optimiser=optimiser, evaluate_every=6, save_every=6)

    assert config.root is not None
    config = replace(
        config,
        device="cpu",
        autocast="off",
        vqvae=replace(few(config.vqvae), window_frames=64),
        root=replace(few(config.root), window_frames=64),
        gpt=replace(few(config.gpt), window_tokens=16),
    )
    run = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "paper", _shrunk)
        for train in (train_vqvae, train_root, train_gpt):
            assert train(config, data_folder, run).step == STEPS
        export_checkpoint(config, data_folder, run, "published")
        yield config, run


def test_the_published_layout_is_trained_and_saved(paper: tuple[TrainConfig, Path]) -> None:
    dancer = load_checkpoint(paper[1] / "dancer.pt")
    assert (dancer.upper_vqvae.config.channels, dancer.lower_vqvae.config.root_channels) == (45, 3)
    assert (dancer.gpt.config.positions, dancer.gpt.config.music_lead) == ("learned", 1)
    assert dancer.gpt.stream_embedding.shape == (3, 29, 32)


def test_a_token_is_told_one_vector_of_438_that_ends_with_it(data_folder: Path) -> None:
    dataset = Dataset(data_folder)
    assert dataset.index["features"]["kind"] == "published-438"
    segment = dataset.of("train")[0]
    music = np.array(dataset.music(segment)[-1], np.float32)
    assert music.shape == (dataset.preroll_frames + segment.frames, 438)
    codes = torch.zeros(segment.frames, dtype=torch.int64)
    sequence = Sequence(codes, codes, 0, dataset.music(segment)[-1:], dataset.preroll_frames, 1)
    batch = next(TokenSequences([sequence], 8).all_windows(4, 1))
    assert batch.music.shape == (1, 4, 438)
    np.testing.assert_array_equal(batch.music[0], music[dataset.preroll_frames :][7:32:8])


def test_the_root_branch_alone_is_trained_in_its_stage(
    paper: tuple[TrainConfig, Path], data_folder: Path
) -> None:
    config, run = paper
    _, lower = load_vqvaes(config, Dataset(data_folder), run)
    before = load_weights(run, "vqvae")
    assert lower.root_decoder is not None
    weights = lower.state_dict()
    changed = {name for name in weights if not torch.equal(weights[name], before[f"lower.{name}"])}
    assert changed
    assert all(name.startswith("root_decoder.") for name in changed)
    stage = RootStage(config, Dataset(data_folder), lower)
    untrained = RootStage(config, Dataset(data_folder), _with_branch(lower, before))
    with torch.no_grad():
        assert stage.evaluate()["score"] < untrained.evaluate()["score"]


def _with_branch(lower, weights):
    other = type(lower)(lower.config)
    other.load_state_dict({n.removeprefix("lower."): v for n, v in weights.items() if n.startswith("lower.")})
    return other.eval()


def test_a_step_hears_the_music_of_the_step_it_predicts(
    paper: tuple[TrainConfig, Path], data_folder: Path
) -> None:
    config, run = paper
    dataset = Dataset(data_folder)
    stage = GPTStage(config, dataset, *load_vqvaes(config, dataset, run))
    stage.gpt.eval()
    batch = stage.train_tokens.draw(8, 2, torch.Generator().manual_seed(0))
    codes = (batch.upper, batch.lower)

    def loss(change: int) -> float:
        music = batch.music.clone()
        music[:, change] += 1.0
        return float(
            stage._cross_entropy(batch._replace(music=music), codes, batch.style, 0.0)["total"].detach()
        )

    unchanged = float(stage._cross_entropy(batch, codes, batch.style, 0.0)["total"].detach())
    assert loss(0) == unchanged
    assert loss(7) != unchanged


def test_published_channels_are_positions_relative_to_the_root(data_folder: Path) -> None:
    dataset = Dataset(data_folder)
    segment = dataset.segments[0]
    joints = joint_positions(dataset, segment)
    upper, lower = published_pose(joints)
    assert (upper.shape, lower.shape) == ((2, segment.frames, 45), (2, segment.frames, 27))
    assert not lower[..., :3].any()
    head = JOINT_NAMES.index("head")
    place = 3 * [3, 6, 9, *range(12, 24)].index(head)
    np.testing.assert_allclose(
        upper[0, :, place : place + 3], joints[0, :, head] - joints[0, :, 0], atol=1e-6
    )
    left, right = JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist")
    np.testing.assert_allclose(joints[1, :, left] * [-1, 1, 1], joints[0, :, right], atol=1e-6)


def test_velocities_add_up_to_the_road_of_the_root(data_folder: Path) -> None:
    dataset = Dataset(data_folder)
    segment = dataset.segments[0]
    _, velocity = pose_and_velocity(dataset, segment)
    road = joint_positions(dataset, segment)[:, :, 0]
    np.testing.assert_allclose(velocity[:, :-1].cumsum(axis=1), road[:, 1:] - road[:, :1], atol=1e-5)


def test_other_presets_have_no_root_stage(
    data_folder: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    train_vqvae(tiny_config, data_folder, tmp_path)
    with pytest.raises(ConfigError, match="no root branch"):
        train_root(tiny_config, data_folder, tmp_path)
