"""The stages by name: open the data set, train, write into the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bailando.errors import ConfigError
from bailando.training import gpt_stage, vqvae_stage
from bailando.training.actor_critic_config import ActorCriticStageConfig
from bailando.training.actor_critic_stage import ActorCriticStage
from bailando.training.assemble import assemble, start_codes
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.gpt_stage import GPTStage
from bailando.training.loop import Trainer, load_weights
from bailando.training.movement_stage import MovementStage
from bailando.training.pairing import joint_speed
from bailando.training.residual_stage import ResidualStage
from bailando.training.rollout_music import Tracks, tracks_of_dataset, tracks_of_songs
from bailando.training.root_stage import RootStage
from bailando.training.stage_models import load_residual, load_vqvaes, new_vqvae_stage
from bailando.training.vqvae_stage import load_models

CHECKPOINT_NAME = "dancer.pt"


def train_vqvae(config: TrainConfig, data_folder: Path, run_folder: Path) -> Trainer:
    """Train the pose VQ-VAEs, from their last checkpoint if there is one."""
    trainer = Trainer(new_vqvae_stage(config, Dataset(data_folder)), run_folder, config.seed)
    trainer.run()
    return trainer


def train_root(config: TrainConfig, data_folder: Path, run_folder: Path) -> Trainer:
    """Train the root-velocity branch of the run's lower VQ-VAE, from its last checkpoint if there is one.

    Raises
    ------
    InputError
        If the VQ-VAEs have not been trained.
    ConfigError
        If the configuration has no such branch.
    """
    dataset = Dataset(data_folder)
    _, lower = load_models(config, dataset, load_weights(run_folder, vqvae_stage.NAME))
    trainer = Trainer(RootStage(config, dataset, lower), run_folder, config.seed)
    trainer.run()
    return trainer


def train_residual(config: TrainConfig, data_folder: Path, run_folder: Path) -> Trainer:
    """Add residual codes to the run's VQ-VAEs, from the last checkpoint if there is one.

    Raises
    ------
    InputError
        If the VQ-VAEs have not been trained.
    ConfigError
        If the configuration has no residual codes.
    """
    dataset = Dataset(data_folder)
    upper, lower = load_models(config, dataset, load_weights(run_folder, vqvae_stage.NAME))
    trainer = Trainer(ResidualStage(config, dataset, upper, lower), run_folder, config.seed)
    trainer.run()
    return trainer


def train_gpt(config: TrainConfig, data_folder: Path, run_folder: Path) -> Trainer:
    """Train the GPT on the codes of the run's VQ-VAEs, from its last checkpoint if there is one.

    Raises
    ------
    InputError
        If the VQ-VAEs have not been trained.
    """
    dataset = Dataset(data_folder)
    upper, lower = load_vqvaes(config, dataset, run_folder)
    trainer = Trainer(GPTStage(config, dataset, upper, lower), run_folder, config.seed)
    trainer.run()
    return trainer


def train_movement(config: TrainConfig, data_folder: Path, run_folder: Path) -> Trainer:
    """Learn how fast the run's codes move, from the last checkpoint if there is one.

    Raises
    ------
    InputError
        If the VQ-VAEs have not been trained.
    ConfigError
        If the configuration has no such stage.
    """
    dataset = Dataset(data_folder)
    vqvaes = load_vqvaes(config, dataset, run_folder)
    residual = load_residual(config, dataset, run_folder, vqvaes)
    trainer = Trainer(MovementStage(config, dataset, vqvaes, residual), run_folder, config.seed)
    trainer.run()
    return trainer


def train_actor_critic(
    config: TrainConfig, data_folder: Path, run_folder: Path, music_folders: Sequence[Path] = ()
) -> Trainer:
    """Finetune the run's GPT on its own dances, from the last checkpoint if there is one.

    Parameters
    ----------
    music_folders
        Songs to dance to besides the music of the data set.

    Raises
    ------
    InputError
        If the VQ-VAEs or the GPT have not been trained.
    ConfigError
        If the configuration has no such stage.
    """
    if config.actor_critic is None:
        raise ConfigError("the configuration has no actor_critic section: add one or use --preset paper")
    dataset = Dataset(data_folder)
    vqvaes = load_vqvaes(config, dataset, run_folder)
    stage = ActorCriticStage(
        config,
        dataset,
        vqvaes,
        load_weights(run_folder, gpt_stage.NAME),
        training_tracks(config.actor_critic, dataset, music_folders),
        start_codes(dataset, *vqvaes),
        data_speed(dataset),
        load_residual(config, dataset, run_folder, vqvaes),
    )
    trainer = Trainer(stage, run_folder, config.seed)
    trainer.run()
    return trainer


def training_tracks(
    config: ActorCriticStageConfig, dataset: Dataset, music_folders: Sequence[Path]
) -> tuple[Tracks, Tracks]:
    """Return the music to learn and to be judged on; given songs are learned on, the held-out ones never."""
    held_out_songs = {name for name, song in dataset.index["songs"].items() if song["split"] == "held_out"}
    train = tracks_of_dataset(dataset, "train", config.min_agreement)
    if music_folders and not dataset.has_own_features:
        raise ConfigError("--music is told in our features, the data set has others: leave it out")
    for folder in music_folders:
        train += tracks_of_songs(folder, config.min_agreement, held_out_songs)
    held_out = tracks_of_dataset(dataset, "held_out", config.min_agreement)
    training = Tracks(train, config.rollout_tokens)
    return training, Tracks(held_out, config.rollout_tokens) if held_out else training


def data_speed(dataset: Dataset) -> float:
    """Return the mean joint speed of the training motion, metres per frame."""
    sums = [(joint_speed(dataset.positions(s)).sum(), s.frames) for s in dataset.of("train")]
    return float(sum(speed for speed, _ in sums) / sum(frames for _, frames in sums))


def export_checkpoint(config: TrainConfig, data_folder: Path, run_folder: Path, name: str) -> Path:
    """Write ``dancer.pt`` into the run folder from the stages' best weights, and return its path."""
    output = run_folder / CHECKPOINT_NAME
    assemble(config, Dataset(data_folder), run_folder, output, name)
    return output
