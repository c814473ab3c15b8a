"""Second stage of the live form: residual codes, for what the VQ-VAEs' one code a half body leaves out.

The first codes stay as they are, so that the GPT can be trained before or after. Trained are a second encoder
of each half, its residual books, the decoders (from the trained ones on) and the predictor of residual codes.
See `bailando.models.residual`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from bailando.errors import ConfigError
from bailando.models.residual import PoseResidual, Residual
from bailando.models.vqvae import PoseVQVAE, VQVAEOutput
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset, preset_of
from bailando.training.distributed import my_share
from bailando.training.kinematics import PoseKinematics
from bailando.training.loop import autocast, pick_device
from bailando.training.losses import vqvae_losses
from bailando.training.residual_config import ResidualStageConfig
from bailando.training.vqvae_stage import PoseWindows, reconstruction

NAME = "residual"
_SEED = 3


class ResidualStage:
    """The stage as `Trainer` runs it.

    Parameters
    ----------
    config, dataset
        What to train, on what.
    upper, lower
        The trained VQ-VAEs; their decoders are trained further, in place.

    Raises
    ------
    ConfigError
        If the configuration has no such stage or its model no residual codes.
    """

    name = NAME
    patience = 0

    def __init__(self, config: TrainConfig, dataset: Dataset, upper: PoseVQVAE, lower: PoseVQVAE) -> None:
        if config.residual is None:
            raise ConfigError("the configuration has no residual section: add one or use --preset live")
        self.config = config
        self.stage: ResidualStageConfig = config.residual
        self.optimiser = self.stage.optimiser
        self.evaluate_every = self.stage.evaluate_every
        self.save_every = self.stage.save_every
        self.device = pick_device(config)
        self.dataset = dataset
        self.halves = upper.to(self.device), lower.to(self.device)
        self.residual = new_residual(config, dataset, self.halves).to(self.device)
        for half in self.halves:
            half.requires_grad_(False)
            half.decoder.requires_grad_(True)
        self._model = nn.ModuleDict(
            {"upper": self.halves[0], "lower": self.halves[1], "residual": self.residual}
        )
        self.kinematics = PoseKinematics().to(self.device)
        self.windows = PoseWindows(dataset, "train", self.stage.window_frames)

    @property
    def model(self) -> nn.Module:
        """Both VQ-VAEs (``upper``, ``lower``) and their residual codes (``residual``)."""
        return self._model

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch and return the VQ-VAEs' losses and the predictor's cross-entropy, nats a code."""
        targets = self.windows.draw(self.optimiser.batch_size, generator)
        chance = my_share(torch.rand(self.optimiser.batch_size, generator=generator)).to(self.device)
        poses = tuple(my_share(half).to(self.device) for half in targets)
        with autocast(self.config, self.device):
            pairs = [
                self.residual.quantise(number, half, pose)
                for number, (half, pose) in enumerate(zip(self.halves, poses, strict=True))
            ]
            coarse, residuals = zip(*pairs, strict=True)
            likelihoods, expected = self.residual.log_likelihoods(coarse, residuals)
            parts = torch.split(expected.detach(), [half.config.code_dim for half in self.halves], dim=-1)
            outputs = tuple(
                self._decoded(half, first, residual, part, chance)
                for half, first, residual, part in zip(self.halves, coarse, residuals, parts, strict=True)
            )
        losses = vqvae_losses(
            self.halves,
            cast(tuple[Tensor, Tensor], poses),
            cast(tuple[VQVAEOutput, VQVAEOutput], outputs),
            self.kinematics,
            self.stage.losses,
        )
        losses["prediction"] = -likelihoods.float().mean()
        losses["total"] = losses["total"] + self.stage.prediction * losses["prediction"]
        return losses

    def _decoded(
        self, half: PoseVQVAE, coarse: Tensor, residual: Residual, expected: Tensor, chance: Tensor
    ) -> VQVAEOutput:
        """Decode each window with all of its residual, or with what is expected of it, or without."""
        whole = coarse + torch.stack(residual.levels).sum(0)
        vectors = residual.latent + (whole - residual.latent).detach()
        draw = chance[:, None, None]
        vectors = torch.where(draw < self.stage.expected_share, coarse + expected, vectors)
        vectors = torch.where(draw > 1 - self.stage.coarse_share, coarse, vectors)
        nothing = torch.zeros((), device=coarse.device)
        made = half.decode_vectors(vectors)
        return VQVAEOutput(made, residual.commitment_loss, nothing, nothing, residual.codes)

    def evaluate(self) -> dict[str, float]:
        """Return the held-out reconstruction error (``score``, mm) and figures of `reconstruction`.

        Besides, in mm, ``coarse_mm`` from the first codes alone and ``expected_mm`` with the residual that a
        dancer expects of them.
        """
        segments = self.dataset.of("held_out") or self.dataset.of("train")
        upper, lower = self.halves
        rest = self.kinematics, self.dataset, segments
        figures = reconstruction(upper, lower, *rest, residual=self.residual)
        figures["coarse_mm"] = reconstruction(upper, lower, *rest)["score"]
        expected = reconstruction(upper, lower, *rest, residual=self.residual, decoding="expected")
        return figures | {"expected_mm": expected["score"], "expected_jitter_ratio": expected["jitter_ratio"]}


def new_residual(config: TrainConfig, dataset: Dataset, halves: tuple[PoseVQVAE, PoseVQVAE]) -> PoseResidual:
    """Return untrained residual codes of the configured sizes, seeded, that begin as the VQ-VAEs' encoders.

    Raises
    ------
    ConfigError
        If the model has none.
    """
    sizes = preset_of(config.model, dataset).residual
    if sizes is None or config.residual is None:
        raise ConfigError(f"the model {config.model!r} has no residual codes: use --preset live")
    stage = config.residual
    tokens = stage.optimiser.batch_size * stage.window_frames // halves[0].config.frames_per_code
    torch.manual_seed(config.seed + _SEED)
    sizes = replace(sizes, restart_below=stage.restart_fraction * tokens / sizes.codes)
    residual = PoseResidual(sizes, halves[0].config, halves[1].config)
    residual.begin_as(halves)
    return residual
