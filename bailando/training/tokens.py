"""Motion as codes: every stretch at all eight frame offsets, plain and mirrored, with its music tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bailando.errors import InputError
from bailando.models.vqvae import PoseVQVAE
from bailando.training.dataset import Dataset, Split


class Batch(NamedTuple):
    """Windows of T tokens.

    ``music`` ``[B, T, 8 F]``, ``upper`` and ``lower`` ``[B, T]`` int64, ``style`` ``[B]`` int64. Music token
    j covers the frames of code j; the model predicts code j + 1 from both.
    """

    music: Tensor
    upper: Tensor
    lower: Tensor
    style: Tensor


@dataclass(frozen=True, eq=False)
class Sequence:
    """The codes of one stretch of motion at one offset, plain or mirrored, and where its music lies."""

    upper: Tensor
    lower: Tensor
    style: int
    music: npt.NDArray[np.float16]
    first_frame: int


class TokenSequences:
    """All sequences of one side of the split.

    Parameters
    ----------
    sequences
        Drawn from in proportion to their length.
    frames_per_token
        Feature frames concatenated to a music token.
    """

    def __init__(self, sequences: list[Sequence], frames_per_token: int) -> None:
        self.sequences = sequences
        self.frames_per_token = frames_per_token

    @property
    def token_count(self) -> int:
        """Codes of each half in all sequences."""
        return sum(len(sequence.upper) for sequence in self.sequences)

    def draw(self, tokens: int, count: int, generator: torch.Generator) -> Batch:
        """Return random windows; the song is one of those drawn for the motion."""
        usable = [sequence for sequence in self.sequences if len(sequence.upper) > tokens]
        if not usable:
            raise InputError(f"no motion is longer than {tokens} tokens: shorten window_tokens")
        starts = torch.tensor([float(len(sequence.upper) - tokens) for sequence in usable])
        which = torch.multinomial(starts, count, replacement=True, generator=generator).tolist()
        chances = torch.rand((count, 2), generator=generator, dtype=torch.float64).tolist()
        return _stack(
            [
                self._window(
                    usable[number],
                    int(place * float(starts[number] + 1)),
                    tokens,
                    int(draw * len(usable[number].music)),
                )
                for number, (place, draw) in zip(which, chances, strict=True)
            ]
        )

    def all_windows(self, tokens: int, batch_size: int) -> Iterator[Batch]:
        """Yield consecutive windows of all sequences at offset 0, each with another of its songs."""
        windows = []
        for number, sequence in enumerate(self.sequences):
            if sequence.first_frame % self.frames_per_token:
                continue
            for place, start in enumerate(range(0, len(sequence.upper) - tokens + 1, tokens // 2)):
                windows.append(self._window(sequence, start, tokens, (number + place) % len(sequence.music)))
        for first in range(0, len(windows), batch_size):
            yield _stack(windows[first : first + batch_size])

    def _window(self, sequence: Sequence, start: int, tokens: int, draw: int) -> Batch:
        first = sequence.first_frame + start * self.frames_per_token
        frames = np.array(sequence.music[draw, first : first + tokens * self.frames_per_token], np.float32)
        return Batch(
            music=torch.from_numpy(frames.reshape(tokens, -1)),
            upper=sequence.upper[start : start + tokens],
            lower=sequence.lower[start : start + tokens],
            style=torch.tensor(sequence.style),
        )


@torch.no_grad()
def tokenise(dataset: Dataset, split: Split, upper: PoseVQVAE, lower: PoseVQVAE) -> TokenSequences:
    """Encode one side of the split.

    Parameters
    ----------
    dataset, split
        The motion, and which side of it.
    upper, lower
        Trained VQ-VAEs in evaluation mode.
    """
    frames = upper.config.frames_per_code
    device = upper.mean.device
    sequences = []
    for segment in dataset.of(split):
        poses = [np.asarray(half) for half in dataset.pose(segment)]
        music = dataset.music(segment)
        for offset in range(frames):
            length = (segment.frames - offset) // frames * frames
            window = slice(offset, offset + length)
            codes = [
                model.encode(torch.from_numpy(np.array(half[:, window])).to(device)).cpu()
                for model, half in zip((upper, lower), poses, strict=True)
            ]
            sequences += [
                Sequence(
                    upper=codes[0][mirror],
                    lower=codes[1][mirror],
                    style=dataset.styles.index(segment.style),
                    music=music,
                    first_frame=dataset.preroll_frames + offset,
                )
                for mirror in range(2)
            ]
    return TokenSequences(sequences, frames)


def _stack(windows: list[Batch]) -> Batch:
    return Batch(*(torch.stack(parts) for parts in zip(*windows, strict=True)))
