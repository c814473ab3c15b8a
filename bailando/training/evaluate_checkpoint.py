"""What a dancer's models do on held-out motion: reconstruction error and token accuracy."""

from __future__ import annotations

from pathlib import Path

import torch

from bailando.errors import InputError
from bailando.models.checkpoint import DancerCheckpoint, load_checkpoint
from bailando.training.dataset import Dataset, Split
from bailando.training.kinematics import PoseKinematics
from bailando.training.reconstruction_limits import reconstruction_limits
from bailando.training.tokens import Batch, tokenise
from bailando.training.vqvae_stage import reconstruction

_WINDOW_TOKENS = 48
_BATCH_SIZE = 16


@torch.no_grad()
def checkpoint_figures(path: Path, data_folder: Path) -> dict[str, float]:
    """Judge a dancer checkpoint on the held-out side of a data set.

    Parameters
    ----------
    path : Path
        ``dancer.pt``.
    data_folder : Path
        Prepared data set.

    Returns
    -------
    dict
        ``reconstruction_mm`` (whole body, and each half), `reconstruction_limits`, ``jitter_ratio``,
        perplexity and usage of each book, ``upper_accuracy``, ``lower_accuracy`` (share of codes predicted
        exactly) and ``parameters``.
    """
    checkpoint = load_checkpoint(path)
    dataset = Dataset(data_folder)
    split: Split = "held_out" if dataset.of("held_out") else "train"
    upper, lower = checkpoint.upper_vqvae, checkpoint.lower_vqvae
    kinematics = PoseKinematics()
    residual = checkpoint.residual
    figures = reconstruction(upper, lower, kinematics, dataset, dataset.of(split), residual=residual)
    figures = {"reconstruction_mm": figures.pop("score"), **figures}
    figures |= reconstruction_limits(upper, lower, kinematics, dataset, residual)
    parts = upper, lower, checkpoint.gpt, residual, checkpoint.movement
    models = [model for model in parts if model is not None]
    count = sum(parameter.numel() for model in models for parameter in model.parameters())
    return figures | _token_accuracy(checkpoint, dataset, split) | {"parameters": float(count)}


def _token_accuracy(checkpoint: DancerCheckpoint, dataset: Dataset, split: Split) -> dict[str, float]:
    tokens = tokenise(dataset, split, checkpoint.upper_vqvae, checkpoint.lower_vqvae)
    longest = tokens.longest_tokens
    if longest < 2:
        raise InputError("held-out motion is shorter than two tokens: prepare a larger data set")
    hits, count = torch.zeros(2), 0
    for batch in tokens.all_windows(min(_WINDOW_TOKENS, longest), _BATCH_SIZE):
        correct = _hits(checkpoint, batch)
        hits += correct
        count += batch.upper[:, 1:].numel()
    return {"upper_accuracy": float(hits[0]) / count, "lower_accuracy": float(hits[1]) / count}


def _hits(checkpoint: DancerCheckpoint, batch: Batch) -> torch.Tensor:
    """Codes of both halves that the GPT ranks first, given all before."""
    style = batch.style if checkpoint.gpt.config.styles else None
    logits = checkpoint.gpt(batch.music[:, :-1], batch.upper[:, :-1], batch.lower[:, :-1], style)
    wanted = batch.upper[:, 1:], batch.lower[:, 1:]
    return torch.stack([(h.argmax(-1) == w).float().sum() for h, w in zip(logits, wanted, strict=True)])
