"""First stage: the pose VQ-VAEs of both half bodies, together, so that errors count on the whole body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bailando.errors import InputError
from bailando.models.residual import HalfResidual, PoseResidual
from bailando.models.vqvae import PoseVQVAE, VQVAEOutput
from bailando.motion.pose import HEIGHT, LOWER_ROTATIONS
from bailando.motion.skeleton import LOWER_JOINTS, UPPER_JOINTS
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset, Segment, Split, preset_of
from bailando.training.distributed import my_share
from bailando.training.kinematics import PoseKinematics
from bailando.training.loop import autocast, pick_device
from bailando.training.losses import vqvae_losses

NAME = "vqvae"
_ROTATION_STD_FLOOR = 0.05
_ROOT_STD_FLOOR = 1e-4
Decoding = Literal["codes", "latent", "expected"]
PoseSource = Callable[[Segment], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


class PoseWindows:
    """Random windows of what belongs to both halves; longer stretches come more often, half are mirrored.

    Parameters
    ----------
    dataset, split, frames
        From where, and how long.
    poses
        Gives two arrays (2, T, C) of a segment, plain then mirrored; our pose channels by default.
    """

    def __init__(self, dataset: Dataset, split: Split, frames: int, poses: PoseSource | None = None) -> None:
        self.frames = frames
        segments = [segment for segment in dataset.of(split) if segment.frames >= frames]
        if not segments:
            raise InputError(
                f"no stretch of motion has {frames} frames to {split}: give longer motion or shorten windows"
            )
        self._poses = [(poses or dataset.pose)(segment) for segment in segments]
        self._starts = torch.tensor([float(segment.frames - frames + 1) for segment in segments])

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return `count` windows of both arrays, ``[count, frames, C]`` each."""
        which = torch.multinomial(self._starts, count, replacement=True, generator=generator)
        places = torch.rand(count, generator=generator, dtype=torch.float64)
        mirrored = torch.randint(2, (count,), generator=generator)
        halves: tuple[list[Tensor], list[Tensor]] = ([], [])
        for number, place, mirror in zip(which.tolist(), places.tolist(), mirrored.tolist(), strict=True):
            start = int(place * float(self._starts[number]))
            for half, array in zip(halves, self._poses[number], strict=True):
                half.append(torch.from_numpy(np.array(array[mirror, start : start + self.frames])))
        return torch.stack(halves[0]), torch.stack(halves[1])


def new_models(config: TrainConfig, dataset: Dataset) -> tuple[PoseVQVAE, PoseVQVAE]:
    """Return untrained upper and lower VQ-VAEs of the configured sizes, seeded."""
    sizes = preset_of(config.model, dataset)
    stage = config.vqvae
    tokens = stage.optimiser.batch_size * stage.window_frames // sizes.upper.frames_per_code
    restart_below = stage.restart_fraction * tokens / sizes.upper.codebook_size
    torch.manual_seed(config.seed)
    upper = PoseVQVAE(replace(sizes.upper, restart_below=restart_below))
    lower = PoseVQVAE(replace(sizes.lower, restart_below=restart_below))
    return upper, lower


class HalvesStage:
    """What stages that train both halves' VQ-VAEs have in common.

    Parameters
    ----------
    config, dataset
        What to train, on what.
    """

    name = NAME
    patience = 0

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        self.config = config
        self.optimiser = config.vqvae.optimiser
        self.evaluate_every = config.vqvae.evaluate_every
        self.save_every = config.vqvae.save_every
        self.device = pick_device(config)
        self.dataset = dataset
        self.upper, self.lower = (model.to(self.device) for model in new_models(config, dataset))
        self._model = nn.ModuleDict({"upper": self.upper, "lower": self.lower})

    @property
    def model(self) -> nn.Module:
        """Both halves."""
        return self._model


class VQVAEStage(HalvesStage):
    """The stage as `Trainer` runs it; see `HalvesStage`."""

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        super().__init__(config, dataset)
        _set_normalisers(self.upper, self.lower, dataset)
        self.kinematics = PoseKinematics().to(self.device)
        self.windows = PoseWindows(dataset, "train", config.vqvae.window_frames)

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch and return the losses and the batch's perplexities."""
        quantise = step >= self.config.vqvae.warmup_steps
        targets = self.windows.draw(self.optimiser.batch_size, generator)
        upper, lower = (my_share(half).to(self.device) for half in targets)
        with autocast(self.config, self.device):
            outputs = forward_half(self.upper, upper, quantise), forward_half(self.lower, lower, quantise)
        losses = vqvae_losses(
            (self.upper, self.lower), (upper, lower), outputs, self.kinematics, self.config.vqvae.losses
        )
        perplexities = {
            "upper_perplexity": outputs[0].perplexity,
            "lower_perplexity": outputs[1].perplexity,
        }
        return losses | perplexities

    def evaluate(self) -> dict[str, float]:
        """Return the held-out reconstruction error (``score``, mm) and the codebooks' perplexities."""
        if not bool(self.upper.codebook.initialised):
            return {}
        segments = self.dataset.of("held_out") or self.dataset.of("train")
        return reconstruction(self.upper, self.lower, self.kinematics, self.dataset, segments)


def forward_half(model: PoseVQVAE, pose: Tensor, quantise: bool) -> VQVAEOutput:
    """Run a VQ-VAE, or its encoder and decoder alone."""
    if quantise:
        return cast(VQVAEOutput, model(pose))
    made = model.denormalise(model.decoder(model.latent(pose)))
    nothing = torch.zeros((), device=pose.device)
    return VQVAEOutput(made, nothing, nothing, nothing, torch.zeros(0, dtype=torch.int64))


def reconstruction(
    upper: PoseVQVAE,
    lower: PoseVQVAE,
    kinematics: PoseKinematics,
    dataset: Dataset,
    segments: list[Segment],
    *,
    residual: PoseResidual | None = None,
    decoding: Decoding = "codes",
) -> dict[str, float]:
    """Encode and decode whole stretches of motion.

    Parameters
    ----------
    residual
        Residual codes to add to the first ones.
    decoding
        ``codes``; ``latent``: the encoders' own outputs, not quantised; ``expected``: the first codes with
        the residual that a dancer expects of them.

    Returns
    -------
    dict
        ``score``: mean joint error in mm, heading and place on the floor taken out; ``upper_mm`` and
        ``lower_mm``; ``jitter_ratio``: mean joint acceleration over the data's; perplexity and share of
        codes in use of each book.
    """
    device = upper.mean.device
    totals = torch.zeros(5)
    counts = torch.zeros(2, upper.config.codebook_size)
    further: list[Tensor] = []
    for segment in segments:
        for pair in whole_poses(dataset, segment, upper.config.frames_per_code):
            wanted = [half.to(device) for half in pair]
            codes = [model.encode(half) for model, half in zip((upper, lower), wanted, strict=True)]
            for row, code in enumerate(codes):
                counts[row] += torch.bincount(code.cpu().reshape(-1), minlength=counts.shape[1])
            vectors, finer = _vectors((upper, lower), wanted, codes, residual, decoding)
            further.append(finer)
            made = [model.decode_vectors(x) for model, x in zip((upper, lower), vectors, strict=True)]
            totals += _errors(kinematics(*made), kinematics(*wanted))
    distance = totals[:3] / totals[3] * 1000
    figures = {"score": float(distance[0]), "upper_mm": float(distance[1]), "lower_mm": float(distance[2])}
    figures["jitter_ratio"] = float(totals[4] / totals[3])
    figures |= book_figures(("upper", "lower"), counts)
    if residual is not None and decoding == "codes":
        figures |= _further_figures(torch.cat(further), residual.config.codes)
    return figures


def _vectors(
    models: tuple[PoseVQVAE, PoseVQVAE],
    poses: Sequence[Tensor],
    codes: Sequence[Tensor],
    residual: PoseResidual | None,
    decoding: Decoding,
) -> tuple[list[Tensor], Tensor]:
    """Return what both halves' decoders are given, and the residual codes in it ``[T, 2 N]``."""
    coarse = [model.codebook.decode(code) for model, code in zip(models, codes, strict=True)]
    nothing = torch.zeros((codes[0].numel(), 0), dtype=torch.int64)
    if residual is None:
        if decoding == "latent":
            return [model.latent(pose) for model, pose in zip(models, poses, strict=True)], nothing
        return coarse, nothing
    if decoding == "expected":
        added = residual.predict((coarse[0], coarse[1]))
        return [first + more for first, more in zip(coarse, added, strict=True)], nothing
    found = [
        cast(HalfResidual, half)(model.normalise(pose), first)
        for half, model, pose, first in zip(residual.halves, models, poses, coarse, strict=True)
    ]
    if decoding == "latent":
        return [part.latent for part in found], nothing
    whole = [first + torch.stack(part.levels).sum(0) for first, part in zip(coarse, found, strict=True)]
    return whole, torch.cat([part.codes for part in found], dim=-1).flatten(0, 1).cpu()


def _further_figures(codes: Tensor, size: int) -> dict[str, float]:
    """Return perplexity and share of codes in use of all residual books, from their codes ``[T, 2 N]``."""
    counts = torch.stack([torch.bincount(column, minlength=size).float() for column in codes.T])
    books = len(counts) // 2
    names = [f"{half}_residual_{level + 1}" for half in ("upper", "lower") for level in range(books)]
    return book_figures(names, counts)


def whole_poses(dataset: Dataset, segment: Segment, frames: int) -> list[tuple[Tensor, Tensor]]:
    """Return both halves ``[1, T, C]``, plain and mirrored, T the segment's largest multiple of `frames`."""
    whole = segment.frames // frames * frames
    upper, lower = (np.array(half[:, None, :whole]) for half in dataset.pose(segment))
    return list(zip(torch.from_numpy(upper), torch.from_numpy(lower), strict=True))


def book_figures(names: Sequence[str], counts: Tensor) -> dict[str, float]:
    """Return perplexity and share of codes in use of the books named, from each code's uses ``[N, K]``."""
    figures = {}
    for name, row in zip(names, counts, strict=True):
        probability = row / row.sum()
        entropy = -(probability * torch.log(probability.clamp_min(1e-12))).sum()
        figures[f"{name}_perplexity"] = float(torch.exp(entropy))
        figures[f"{name}_usage"] = float((row > 0).float().mean())
    return figures


def _errors(made: Tensor, wanted: Tensor) -> Tensor:
    """Return sums over frames: joint error of body, upper and lower half (m), frames, jitter ratio."""
    error = torch.linalg.vector_norm(made - wanted, dim=-1)
    frames = float(error.shape[0] * error.shape[1])
    parts = [error, error[..., list(UPPER_JOINTS)], error[..., list(LOWER_JOINTS)]]
    sums = [float(part.mean(-1).sum()) for part in parts]
    jerks = [torch.linalg.vector_norm(x.diff(n=2, dim=1), dim=-1).mean() for x in (made, wanted)]
    ratio = float(jerks[0] / jerks[1].clamp_min(1e-6))
    return torch.tensor([*sums, frames, ratio * frames])


def _set_normalisers(upper: PoseVQVAE, lower: PoseVQVAE, dataset: Dataset) -> None:
    """Set both normalisers from the training motion, mirrored copies included."""
    poses = [dataset.pose(segment) for segment in dataset.of("train")]
    for number, model in enumerate((upper, lower)):
        values = np.concatenate([pose[number].reshape(-1, pose[number].shape[-1]) for pose in poses])
        std = values.std(axis=0)
        rotations = slice(None) if number == 0 else LOWER_ROTATIONS
        std[rotations] = np.maximum(std[rotations], _ROTATION_STD_FLOOR)
        if number == 1:
            std[HEIGHT:] = np.maximum(std[HEIGHT:], _ROOT_STD_FLOOR)
        mean = values.mean(axis=0)
        model.set_normaliser(torch.from_numpy(mean), torch.from_numpy(std))


def load_models(
    config: TrainConfig, dataset: Dataset, weights: dict[str, Tensor]
) -> tuple[PoseVQVAE, PoseVQVAE]:
    """Return the trained upper and lower VQ-VAEs in evaluation mode."""
    upper, lower = new_models(config, dataset)
    both = nn.ModuleDict({"upper": upper, "lower": lower})
    both.load_state_dict(weights)
    return cast(PoseVQVAE, both["upper"].eval()), cast(PoseVQVAE, both["lower"].eval())
