"""Residual codes of a pose VQ-VAE: what the first code of a half body leaves out, and its prediction.

Source: residual vector quantisation as in Zeghidour et al., SoundStream, 2021, section III-C; for motion, Guo
et al., MoMask, CVPR 2024, section 3.1. Each further book quantises what the ones before it left. The first
code stays the one that the GPT speaks of. What the further ones would be, a small causal network expects from
the first codes of both halves, so that a dance has them too without a longer GPT step; that part is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bailando.models.codebook import Codebook
from bailando.models.config import ModelConfig
from bailando.models.streaming import ResidualBlock, State, StreamingStack
from bailando.models.vqvae import PoseEncoder, PoseVQVAE, PoseVQVAEConfig


@dataclass(frozen=True)
class PoseResidualConfig(ModelConfig):
    """Sizes of the residual codes and of their predictor.

    Parameters
    ----------
    books, codes
        Residual books of each half body, and codes in each of them.
    width, dilations
        Channels and causal residual blocks, at token rate, of the predictor.
    dropout
        Of the predictor.
    codebook_decay, restart_below
        See `bailando.models.codebook.Codebook`.
    """

    books: int
    codes: int
    width: int = 160
    dilations: tuple[int, ...] = (1, 3, 9)
    dropout: float = 0.2
    codebook_decay: float = 0.99
    restart_below: float = 1.0

    def __post_init__(self) -> None:
        self._require_at_least(1, "books", "codes", "width")
        self._require_fraction("dropout", "codebook_decay")


class Residual(NamedTuple):
    """One half body's residual, quantised, N books.

    ``latent`` ``[B, T, D]``: what was to be quantised, the first code's vector included; ``levels``: N
    tensors ``[B, T, D]``, to be added to that vector; ``codes`` ``[B, T, N]`` int64; ``commitment_loss``.
    """

    latent: Tensor
    levels: tuple[Tensor, ...]
    codes: Tensor
    commitment_loss: Tensor


class HalfResidual(nn.Module):
    """An encoder of one half body, as its VQ-VAE's, and the books that quantise what the first code left."""

    def __init__(self, config: PoseResidualConfig, half: PoseVQVAEConfig) -> None:
        super().__init__()
        self.encoder = PoseEncoder(half)
        self.books = nn.ModuleList(
            Codebook(
                config.codes, half.code_dim, decay=config.codebook_decay, restart_below=config.restart_below
            )
            for _ in range(config.books)
        )

    @property
    def codebooks(self) -> tuple[Codebook, ...]:
        """The books, first one first."""
        return tuple(cast(Codebook, book) for book in self.books)

    def forward(self, normalised: Tensor, coarse: Tensor) -> Residual:
        """Quantise; in training mode the books learn too.

        Parameters
        ----------
        normalised : Tensor, ``[B, 8 T, C]``
            Poses.
        coarse : Tensor, ``[B, T, D]``
            The vectors of their first codes.
        """
        latent = cast(Tensor, self.encoder(normalised))
        left = latent - coarse
        levels, codes, losses = [], [], []
        for book in self.codebooks:
            quantised = book(left)
            vectors = book.decode(quantised.codes)
            left = left - vectors
            levels.append(vectors)
            codes.append(quantised.codes)
            losses.append(quantised.commitment_loss)
        return Residual(latent, tuple(levels), torch.stack(codes, dim=-1), torch.stack(losses).sum())


class ResidualPredictor(nn.Module):
    """Expects both halves' residual codes from the first codes, token by token.

    Each token's residual is expected book after book, upper body first, each given those before it and what
    was expected of the tokens before. An expectation, not a draw: no frame of a dance hangs on which of two
    nearly equal numbers a processor finds larger.
    """

    scale: Tensor

    def __init__(self, config: PoseResidualConfig, code_dims: Sequence[int]) -> None:
        super().__init__()
        self.code_dims = tuple(code_dims)
        channels = sum(code_dims)
        self.embedding = nn.Linear(2 * channels, config.width)
        self.blocks = StreamingStack(ResidualBlock(config.width, dilation) for dilation in config.dilations)
        self.dropout = nn.Dropout(config.dropout)
        places = config.books * len(self.code_dims)
        self.beginning = nn.Parameter(torch.zeros(config.width))
        self.given = nn.ModuleList(nn.Linear(channels, config.width) for _ in range(places - 1))
        self.heads = nn.ModuleList(nn.Linear(config.width, config.codes) for _ in range(places))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, coarse: Tensor, before: Tensor) -> Tensor:
        """Return the hidden state ``[B, T, width]`` of whole sequences.

        Parameters
        ----------
        coarse : Tensor, ``[B, T, Du + Dl]``
            Vectors of the first codes of both halves.
        before : Tensor, ``[B, T, Du + Dl]``
            Residual of the token before.
        """
        return cast(Tensor, self.dropout(self.blocks(self._embed(coarse, before))))

    def step(self, coarse: Tensor, before: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the hidden state of the next token, ``[B, 1, width]``."""
        return self.blocks.step(self._embed(coarse, before), state)

    def logits(self, place: int, hidden: Tensor, sofar: Sequence[Tensor | None]) -> Tensor:
        """Return the logits ``[B, T, codes]`` of one book.

        Parameters
        ----------
        place
            Of the book: upper half's first.
        hidden : Tensor, ``[B, T, width]``
        sofar : two Tensors, ``[B, T, D]``
            Sums of the token's residual of the books before it, of each half; None if there are none yet.
        """
        if place == 0:
            return cast(Tensor, self.heads[0](F.relu(hidden + self.beginning)))
        given = cast(nn.Linear, self.given[place - 1])
        # Slices, which an exporter folds into weights of their own, as it does not a split.
        weights = given.weight[:, : self.code_dims[0]], given.weight[:, self.code_dims[0] :]
        for part, weight in zip(sofar, weights, strict=True):
            if part is not None:
                hidden = hidden + F.linear(part / self.scale, weight)
        return cast(Tensor, self.heads[place](F.relu(hidden + given.bias)))

    def _embed(self, coarse: Tensor, before: Tensor) -> Tensor:
        return cast(Tensor, self.dropout(self.embedding(torch.cat((coarse, before), dim=-1) / self.scale)))


class PoseResidual(nn.Module):
    """The residual codes of both half bodies, and their predictor.

    Parameters
    ----------
    config
        Sizes.
    upper, lower
        Sizes of the VQ-VAEs whose first codes it adds to.
    """

    def __init__(self, config: PoseResidualConfig, upper: PoseVQVAEConfig, lower: PoseVQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.halves = nn.ModuleList(HalfResidual(config, half) for half in (upper, lower))
        self.predictor = ResidualPredictor(config, (upper.code_dim, lower.code_dim))

    @torch.no_grad()
    def begin_as(self, models: Sequence[PoseVQVAE]) -> None:
        """Begin with the encoders of trained VQ-VAEs, and with the spread of their codes as scale."""
        for half, model in zip(self.halves, models, strict=True):
            cast(HalfResidual, half).encoder.load_state_dict(model.encoder.state_dict())
        spread = torch.cat([model.codebook.vectors.flatten() for model in models]).std()
        self.predictor.scale.copy_(spread.clamp_min(1e-3))

    def quantise(self, number: int, model: PoseVQVAE, pose: Tensor) -> tuple[Tensor, Residual]:
        """Return the first codes' vectors ``[B, T, D]`` of half `number` (0: upper) and its residual."""
        coarse = model.codebook.decode(model.encode(pose)).detach()
        return coarse, self.halves[number](model.normalise(pose), coarse)

    def log_likelihoods(
        self, coarse: Sequence[Tensor], residuals: Sequence[Residual]
    ) -> tuple[Tensor, Tensor]:
        """Return how well the residual codes are expected, and what is expected of them.

        Parameters
        ----------
        coarse, residuals
            As `quantise` gives them, of the upper and the lower half.

        Returns
        -------
        log_likelihood : Tensor, ``[2 N]``
            Mean log probability, book by book, upper half first, each given the true ones before it.
        expected : Tensor, ``[B, T, Du + Dl]``
            The residual that a dancer would add, had it known the true one of the token before.
        """
        whole = torch.cat([torch.stack(residual.levels).sum(0) for residual in residuals], dim=-1)
        before = F.pad(whole, (0, 0, 1, 0))[:, :-1]
        hidden = self.predictor(torch.cat(tuple(coarse), dim=-1), before)
        sofar: list[Tensor | None] = [None, None]
        found = []
        for place, (number, level) in enumerate(self._places()):
            scores = F.log_softmax(self.predictor.logits(place, hidden, sofar), dim=-1)
            found.append(scores.gather(-1, residuals[number].codes[..., level : level + 1]).mean())
            sofar[number] = _sum(sofar[number], residuals[number].levels[level])
        return torch.stack(found), self._expect(hidden)

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return the zero state: ``before``, the last residual, and the predictor's own."""
        channels = sum(self.predictor.code_dims)
        before = torch.zeros(batch, 1, channels, device=device, dtype=dtype)
        return {"before": before, **self.predictor.blocks.initial_state(batch, device, dtype)}

    def step(self, coarse: tuple[Tensor, Tensor], state: State) -> tuple[tuple[Tensor, Tensor], State]:
        """Return what to add to the vectors ``[B, 1, D]`` of the next first codes of both halves."""
        own = {name: value for name, value in state.items() if name != "before"}
        hidden, own = self.predictor.step(torch.cat(coarse, dim=-1), state["before"], own)
        expected = self._expect(hidden)
        upper, lower = torch.split(expected, list(self.predictor.code_dims), dim=-1)
        return (upper, lower), {"before": expected, **own}

    def predict(self, coarse: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return what a dancer adds to whole sequences ``[B, T, D]``, by `step` from the first token on."""
        state = self.initial_state(len(coarse[0]), coarse[0].device, coarse[0].dtype)
        steps: list[tuple[Tensor, Tensor]] = []
        for token in range(coarse[0].shape[1]):
            added, state = self.step((coarse[0][:, token, None], coarse[1][:, token, None]), state)
            steps.append(added)
        upper, lower = zip(*steps, strict=True)
        return torch.cat(upper, dim=1), torch.cat(lower, dim=1)

    def _expect(self, hidden: Tensor) -> Tensor:
        """Return the expected residual ``[B, T, Du + Dl]``, each book's given that expected before it."""
        sofar: list[Tensor | None] = [None, None]
        for place, (number, level) in enumerate(self._places()):
            chances = torch.softmax(self.predictor.logits(place, hidden, sofar), dim=-1)
            book = cast(HalfResidual, self.halves[number]).codebooks[level]
            sofar[number] = _sum(sofar[number], torch.matmul(chances, book.vectors))
        return torch.cat([part for part in sofar if part is not None], dim=-1)

    def _places(self) -> list[tuple[int, int]]:
        """Return half and book of each of the predictor's heads."""
        return [(number, level) for number in range(2) for level in range(self.config.books)]


def _sum(sofar: Tensor | None, vectors: Tensor) -> Tensor:
    return vectors if sofar is None else sofar + vectors
