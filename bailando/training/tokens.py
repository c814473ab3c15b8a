"""Motion as codes: every stretch encoded at all frame offsets, plain and mirrored, with its music."""

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
from bailando.training.dataset import Dataset, Segment, Split
from bailando.training.representation import half_poses


class Batch(NamedTuple):
    """Windows of T tokens; where one feature frame tells of all eight, a music token is F wide.

    ``music`` ``[B, T, 8 F]``, ``upper`` and ``lower`` ``[B, T]`` int64, ``style`` ``[B]`` int64. Music token
    j covers the frames of code j; the model predicts code j + 1 from both (with a music lead, from music
    j + 1). ``upper_seen`` and ``lower_seen`` are the codes that the model is told: those danced, or those of
    frames before or after.
    """

    music: Tensor
    upper: Tensor
    lower: Tensor
    upper_seen: Tensor
    lower_seen: Tensor
    style: Tensor


@dataclass(frozen=True, eq=False)
class Sequence:
    """One stretch of motion, plain or mirrored, as codes.

    Parameters
    ----------
    upper, lower : Tensor, ``[frames - 7]`` int64
        Code number n stands for the frames n to n + 7.
    style
        Number of its style.
    music : ndarray, ``(draws, preroll + frames, F)``
        Features of the songs drawn for it.
    first_frame
        Feature frame of its frame 0.
    music_frames
        Last feature frames of a token that are told.
    """

    upper: Tensor
    lower: Tensor
    style: int
    music: npt.NDArray[np.float16]
    first_frame: int
    music_frames: int = 8


class TokenSequences:
    """All sequences of one side of the split.

    Parameters
    ----------
    sequences
        Drawn from in proportion to their length.
    frames_per_token
        Frames of a code, and feature frames concatenated to a music token.
    """

    def __init__(self, sequences: list[Sequence], frames_per_token: int) -> None:
        self.sequences = sequences
        self.frames_per_token = frames_per_token

    @property
    def longest_tokens(self) -> int:
        """Tokens of the longest sequence."""
        return max((self._tokens(sequence) for sequence in self.sequences), default=0)

    def draw(self, tokens: int, count: int, generator: torch.Generator, shift_frames: int = 0) -> Batch:
        """Return random windows at any frame; the song is one of those drawn for the motion.

        Parameters
        ----------
        tokens, count
            Length T and number B of the windows.
        generator
            The only source of chance.
        shift_frames
            The codes seen wander up to so many frames to either side of those danced.
        """
        usable = [sequence for sequence in self.sequences if self._tokens(sequence) > tokens]
        if not usable:
            raise InputError(f"no motion is longer than {tokens} tokens: shorten window_tokens")
        span = (tokens - 1) * self.frames_per_token
        starts = torch.tensor([float(len(sequence.upper) - span) for sequence in usable])
        which = torch.multinomial(starts, count, replacement=True, generator=generator).tolist()
        chances = torch.rand((count, 2), generator=generator, dtype=torch.float64).tolist()
        shifts = wander(shift_frames, (count, tokens), generator)
        return _stack(
            [
                self._window(
                    usable[number],
                    int(place * float(starts[number])),
                    shift,
                    int(draw * len(usable[number].music)),
                )
                for number, (place, draw), shift in zip(which, chances, shifts, strict=True)
            ]
        )

    def all_windows(self, tokens: int, batch_size: int) -> Iterator[Batch]:
        """Yield half-overlapping windows of all sequences from frame 0 on, each with another of its songs."""
        windows = []
        unshifted = torch.zeros(tokens, dtype=torch.int64)
        for number, sequence in enumerate(self.sequences):
            for place, start in enumerate(range(0, self._tokens(sequence) - tokens + 1, max(1, tokens // 2))):
                draw = (number + place) % len(sequence.music)
                windows.append(self._window(sequence, start * self.frames_per_token, unshifted, draw))
        for first in range(0, len(windows), batch_size):
            yield _stack(windows[first : first + batch_size])

    def _tokens(self, sequence: Sequence) -> int:
        return (len(sequence.upper) - 1) // self.frames_per_token + 1

    def _window(self, sequence: Sequence, start: int, shift: Tensor, draw: int) -> Batch:
        tokens, size = len(shift), self.frames_per_token
        first = sequence.first_frame + start
        frames = np.array(sequence.music[draw, first : first + tokens * size], np.float32)
        danced = start + size * torch.arange(tokens)
        seen = (danced + shift).clamp(0, len(sequence.upper) - 1)
        return Batch(
            music=torch.from_numpy(
                frames.reshape(tokens, size, -1)[:, -sequence.music_frames :].reshape(tokens, -1)
            ),
            upper=sequence.upper[danced],
            lower=sequence.lower[danced],
            upper_seen=sequence.upper[seen],
            lower_seen=sequence.lower[seen],
            style=torch.tensor(sequence.style),
        )


def wander(reach: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return random walks ``[B, T]`` of steps -1, 0, 1, reflected at ``reach`` to either side."""
    if not reach:
        return torch.zeros(shape, dtype=torch.int64)
    steps = torch.randint(-1, 2, shape, generator=generator)
    steps[:, 0] = torch.randint(-reach, reach + 1, shape[:1], generator=generator)
    # Unfolded, the reflected walk is a free one on a circle of twice the width.
    circle = (steps.cumsum(dim=1) + reach) % (4 * reach)
    return torch.where(circle > 2 * reach, 4 * reach - circle, circle) - reach


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
    sequences = []
    for segment in dataset.of(split):
        codes = [
            _encode(model, np.asarray(half))
            for model, half in zip((upper, lower), half_poses(dataset, segment, upper), strict=True)
        ]
        sequences += [_sequence(dataset, segment, codes[0][mirror], codes[1][mirror]) for mirror in range(2)]
    return TokenSequences(sequences, upper.config.frames_per_code)


def _sequence(dataset: Dataset, segment: Segment, upper: Tensor, lower: Tensor) -> Sequence:
    return Sequence(
        upper=upper,
        lower=lower,
        style=dataset.styles.index(segment.style),
        music=dataset.music(segment),
        first_frame=dataset.preroll_frames,
        music_frames=dataset.music_frames,
    )


def _encode(model: PoseVQVAE, poses: npt.NDArray[np.float32]) -> Tensor:
    """Return the codes ``[B, T - 7]`` that start at each frame of poses ``(B, T, C)``."""
    size = model.config.frames_per_code
    count = poses.shape[1] - size + 1
    codes = torch.zeros((len(poses), count), dtype=torch.int64)
    for offset in range(min(size, count)):
        codes[:, offset::size] = encode_from(model, poses[:, offset:])
    return codes


@torch.no_grad()
def encode_from(model: PoseVQVAE, poses: npt.NDArray[np.float32]) -> Tensor:
    """Return the codes ``[B, T // 8]`` of poses ``(B, T, C)``, on the CPU; last frames may be left over."""
    size = model.config.frames_per_code
    whole = torch.from_numpy(np.array(poses[:, : poses.shape[1] // size * size]))
    return model.encode(whole.to(model.mean.device)).cpu()


def _stack(windows: list[Batch]) -> Batch:
    return Batch(*(torch.stack(parts) for parts in zip(*windows, strict=True)))
