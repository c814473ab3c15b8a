"""Second stage: the cross-conditional GPT on the codes of the danced motion and the music paired with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bailando.errors import InputError
from bailando.models.gpt import CrossConditionalGPT
from bailando.models.vqvae import PoseVQVAE
from bailando.music.features import FeatureSpec
from bailando.training.config import GPTStageConfig, TrainConfig
from bailando.training.dataset import Dataset, preset_of
from bailando.training.distributed import my_share
from bailando.training.loop import autocast, pick_device
from bailando.training.tokens import Batch, tokenise

NAME = "gpt"
_NEIGHBOURS = 8
_STD_FLOOR = 1e-3
_EVALUATION_BATCH = 32


class GPTStage:
    """The stage as `Trainer` runs it.

    Parameters
    ----------
    config, dataset
        What to train, on what.
    upper, lower
        The trained VQ-VAEs, which make the codes.
    """

    name = NAME

    def __init__(self, config: TrainConfig, dataset: Dataset, upper: PoseVQVAE, lower: PoseVQVAE) -> None:
        self.config = config
        self.optimiser = config.gpt.optimiser
        self.evaluate_every = config.gpt.evaluate_every
        self.save_every = config.gpt.save_every
        self.patience = config.gpt.patience
        self.device = pick_device(config)
        self.gpt = new_gpt(config, dataset)
        self.train_tokens = tokenise(dataset, "train", upper, lower)
        held_out = dataset.of("held_out")
        self.held_out_tokens = tokenise(dataset, "held_out", upper, lower) if held_out else self.train_tokens
        set_music_statistics(self.gpt, dataset)
        self.gpt.to(self.device)
        self.noise = CodeNoise(config.gpt, upper, lower)
        self.is_mel = torch.zeros(dataset.feature_dim, dtype=torch.bool)
        if dataset.has_own_features:
            names = FeatureSpec.from_dict(dataset.index["features"]).channel_names
            self.is_mel = torch.tensor([name.startswith("mel_") for name in names])

    @property
    def model(self) -> nn.Module:
        """The GPT."""
        return self.gpt

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch and return the smoothed cross-entropy and the accuracy of both halves."""
        stage = self.config.gpt
        batch = self.train_tokens.draw(
            stage.window_tokens, self.optimiser.batch_size, generator, stage.shift_frames
        )
        left_open = torch.rand(batch.style.shape, generator=generator) < stage.style_dropout
        style = torch.where(left_open, 0, batch.style)
        noisy = self.noise(batch, generator)
        hidden = torch.rand(len(batch.upper), generator=generator) < stage.mel_dropout
        batch = batch._replace(music=self._hide_mel(batch.music, hidden))
        batch = Batch(*(my_share(part) for part in batch))
        noisy = my_share(noisy[0]), my_share(noisy[1])
        return self._cross_entropy(batch, noisy, my_share(style), stage.label_smoothing)

    def evaluate(self) -> dict[str, float]:
        """Return the held-out cross-entropy without smoothing or noise (``score``, nats) and accuracy."""
        sums: dict[str, float] = {}
        count = 0
        for batch in self.held_out_tokens.all_windows(self.config.gpt.window_tokens, _EVALUATION_BATCH):
            figures = self._cross_entropy(batch, (batch.upper, batch.lower), batch.style, 0.0)
            weight = batch.upper.shape[0]
            count += weight
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + float(value) * weight
        if not count:
            raise InputError("held-out motion is shorter than the token window: shorten window_tokens")
        means = {name: value / count for name, value in sums.items()}
        return {"score": means.pop("total"), **means}

    def _hide_mel(self, music: Tensor, hidden: Tensor) -> Tensor:
        """Return music tokens with the mel channels of the `hidden` windows at their mean."""
        normaliser = self.gpt.music_normaliser
        frames = music.reshape(*music.shape[:-1], normaliser.frames, -1)
        hide = hidden[:, None, None, None] & self.is_mel
        return torch.where(hide, normaliser.mean.cpu(), frames).flatten(-2)

    def _cross_entropy(
        self, batch: Batch, inputs: tuple[Tensor, Tensor], style: Tensor, smoothing: float
    ) -> dict[str, Tensor]:
        upper_in, lower_in = (codes[:, :-1].to(self.device) for codes in inputs)
        lead = self.gpt.config.music_lead
        heard = batch.music[:, lead : lead + upper_in.shape[1]]
        with autocast(self.config, self.device):
            logits = self.gpt(
                heard.to(self.device),
                upper_in,
                lower_in,
                style.to(self.device) if self.gpt.config.styles else None,
            )
        losses, accuracies = [], []
        for half, codes in zip(logits, (batch.upper, batch.lower), strict=True):
            target = codes[:, 1:].to(self.device)
            losses.append(
                F.cross_entropy(half.float().flatten(0, 1), target.flatten(), label_smoothing=smoothing)
            )
            accuracies.append((half.argmax(-1) == target).float().mean())
        return {
            "total": (losses[0] + losses[1]) / 2,
            "upper_loss": losses[0],
            "lower_loss": losses[1],
            "upper_accuracy": accuracies[0],
            "lower_accuracy": accuracies[1],
        }


class CodeNoise:
    """Replaces some input codes by random ones and some by near ones, so that the model meets mistakes."""

    def __init__(self, config: GPTStageConfig, upper: PoseVQVAE, lower: PoseVQVAE) -> None:
        self.largest = config.code_noise
        self.near_share = config.neighbour_share
        self.neighbours = tuple(_nearest(half.codebook.vectors.cpu()) for half in (upper, lower))

    def __call__(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return noisy copies of the codes that the batch sees ``[B, T]``."""
        level = self.largest * torch.rand((len(batch.upper), 1), generator=generator).square()
        upper = self._spoil(batch.upper_seen, self.neighbours[0], level, generator)
        lower = self._spoil(batch.lower_seen, self.neighbours[1], level, generator)
        return upper, lower

    def _spoil(self, codes: Tensor, neighbours: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        chance = torch.rand(codes.shape, generator=generator)
        anything = torch.randint(len(neighbours), codes.shape, generator=generator)
        which = torch.randint(neighbours.shape[1], codes.shape, generator=generator)
        near = neighbours[codes, which]
        spoiled = torch.where(chance < level, anything, codes)
        return torch.where(chance < self.near_share * level, near, spoiled)


def new_gpt(config: TrainConfig, dataset: Dataset) -> CrossConditionalGPT:
    """Return an untrained GPT of the configured size, seeded."""
    torch.manual_seed(config.seed + 1)
    sizes = preset_of(config.model, dataset)
    return CrossConditionalGPT(replace(sizes.gpt, dropout=config.gpt.dropout))


def set_music_statistics(gpt: CrossConditionalGPT, dataset: Dataset) -> None:
    """Set the music normaliser from the training pairs."""
    sums = np.zeros((2, dataset.feature_dim))
    frames = 0
    for segment in dataset.of("train"):
        music = dataset.music(segment)[:, dataset.preroll_frames :].astype(np.float64)
        values = music.reshape(-1, dataset.feature_dim)
        sums += values.sum(axis=0), np.square(values).sum(axis=0)
        frames += len(values)
    mean = sums[0] / frames
    std = np.sqrt(np.maximum(sums[1] / frames - mean**2, _STD_FLOOR**2))
    gpt.music_normaliser.set_statistics(torch.from_numpy(mean).float(), torch.from_numpy(std).float())


def _nearest(vectors: Tensor) -> Tensor:
    """Return the nearest other codes of each code ``[K, up to 8]``."""
    count = min(_NEIGHBOURS, len(vectors) - 1)
    distances = torch.cdist(vectors, vectors)
    return distances.argsort(dim=-1)[:, 1 : count + 1]
