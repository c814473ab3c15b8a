"""The stage of the critic: how fast the body moves in each code, learned from decoded sequences.

Sequences of training codes whose halves now and then go on elsewhere (`spliced`): a dancer that is not the
data puts codes together that the data has not.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bailando.errors import ConfigError
from bailando.models.code_movement import CodeMovement, CodeMovementConfig, body_state
from bailando.models.dancer_decoder import DancerDecoder
from bailando.models.residual import PoseResidual
from bailando.models.vqvae import PoseVQVAE
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset, Split
from bailando.training.distributed import my_share
from bailando.training.kinematics import PoseKinematics
from bailando.training.loop import pick_device
from bailando.training.representation import half_poses
from bailando.training.rollout import joint_speed
from bailando.training.tokens import encode_from

NAME = "movement"
SIDES: tuple[Split, ...] = ("train", "held_out")
VERTICAL_SHARE = 0.3
"""What of the joints' vertical movement counts as speed: with all of it, dancers bob on the beat."""
STANDING_M = 0.002
"""Metres a frame that are added to speeds before their logarithm: those below are one stand."""
_SEED = 5
_LEAST_DEVIATION = 1e-3
_DECODED_AT_ONCE = 64


class Decoded(NamedTuple):
    """Bodies ``[N, T - 1, features]``, codes after each ``[2, N, T - 1]``, and the logarithms of the speeds
    in those ``[N, T - 1, 8]``.
    """

    body: Tensor
    codes: Tensor
    pace: Tensor


class MovementStage:
    """The stage as `Trainer` runs it.

    Parameters
    ----------
    config, dataset
        What to train, on what.
    vqvaes, residual
        How codes are decoded.
    """

    name = NAME
    patience = 0

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        vqvaes: tuple[PoseVQVAE, PoseVQVAE],
        residual: PoseResidual | None = None,
    ) -> None:
        if config.movement is None:
            raise ConfigError("the configuration has no movement section: add one or use --preset live")
        if vqvaes[0].config.decoder != "causal":
            raise ConfigError("movement is for models with causal decoders: use the sizes live or tiny")
        self.stage = config.movement
        self.optimiser = self.stage.optimiser
        self.evaluate_every, self.save_every = self.stage.evaluate_every, self.stage.save_every
        self.device = pick_device(config)
        halves = tuple(half.to(self.device).eval().requires_grad_(False) for half in vqvaes)
        self.decoder = DancerDecoder(halves[0], halves[1], residual).to(self.device)
        self.kinematics = PoseKinematics().to(self.device)
        generator = torch.Generator().manual_seed(config.seed + _SEED)
        length = self.stage.stretch_tokens
        learned, judged = (motion_codes(dataset, split, *halves) for split in SIDES)
        self.train = self._decode(spliced(learned, self.stage.stretches, length, generator))
        self.held_out = self._decode(spliced(judged, self.stage.stretches // 10, length, generator))
        self.pace_mean, self.pace_deviation = self.train.pace.mean(), self.train.pace.std()
        torch.manual_seed(config.seed + _SEED)
        self._model = CodeMovement(new_movement_config(*halves)).to(self.device)
        self._model.mean.copy_(self.train.body.mean(dim=(0, 1)))
        self._model.deviation.copy_(self.train.body.std(dim=(0, 1)).clamp_min(_LEAST_DEVIATION))

    @property
    def model(self) -> nn.Module:
        """The `CodeMovement`."""
        return self._model

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw stretches and return the mean square error of the standardised paces."""
        drawn = torch.randint(len(self.train.body), (self.optimiser.batch_size,), generator=generator)
        return {"total": self._error(self.train, my_share(drawn).to(self.device))}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return on held-out motion the share of the paces' variance that is not explained (``score``)."""
        rows = torch.arange(len(self.held_out.body), device=self.device)
        return {"score": float(self._error(self.held_out, rows) / self._standard(self.held_out.pace).var())}

    def _error(self, decoded: Decoded, rows: Tensor) -> Tensor:
        told = self._model(decoded.body[rows], decoded.codes[:, rows])
        return F.mse_loss(told, self._standard(decoded.pace[rows]))

    def _standard(self, pace: Tensor) -> Tensor:
        return (pace - self.pace_mean) / self.pace_deviation

    @torch.no_grad()
    def _decode(self, codes: Tensor) -> Decoded:
        codes = codes.to(self.device)
        frames = self.decoder.upper.config.frames_per_code
        bodies, after = [], []
        for part in codes.chunk(-(-codes.shape[1] // _DECODED_AT_ONCE), dim=1):
            upper, lower = self.decoder(part[0], part[1])
            bodies.append(body_state(upper, lower, frames)[:, :-1])
            pace = paces(upper, lower, self.kinematics)[:, frames - 1 :]
            after.append(pace.reshape(len(pace), -1, frames))
        return Decoded(torch.cat(bodies), codes[..., 1:], torch.cat(after))


def new_movement_config(upper: PoseVQVAE, lower: PoseVQVAE) -> CodeMovementConfig:
    """Return the sizes that fit two VQ-VAEs."""
    channels = upper.config.channels + lower.config.channels
    return CodeMovementConfig(upper.config.codebook_size, channels, upper.config.frames_per_code)


def motion_codes(dataset: Dataset, split: Split, upper: PoseVQVAE, lower: PoseVQVAE) -> list[Tensor]:
    """Return the code pairs of one side's motion, of each stretch ``[2, T]`` int64 on the CPU."""
    found: list[Tensor] = []
    for segment in dataset.of(split) or dataset.of("train"):
        poses = half_poses(dataset, segment, upper)
        halves = [encode_from(half, pose) for half, pose in zip((upper, lower), poses, strict=True)]
        found += torch.stack(halves, dim=1).unbind(0)
    return found


def paces(upper: Tensor, lower: Tensor, kinematics: PoseKinematics) -> Tensor:
    """Return the logarithm of the joints' mean speed in each frame but the first, ``[B, T - 1]``.

    Parameters
    ----------
    upper, lower : Tensor, ``[B, T, 90]`` and ``[B, T, 62]``
    kinematics
        Of the body.
    """
    positions = kinematics(upper, lower) * upper.new_tensor((1.0, VERTICAL_SHARE, 1.0))
    return torch.log(joint_speed(positions, lower) + STANDING_M)


def spliced(
    stretches: list[Tensor], count: int, tokens: int, generator: torch.Generator, jump_chance: float = 0.25
) -> Tensor:
    """Return code pairs ``[2, count, tokens]`` of stretches ``[2, T]``; each half now and then jumps."""
    every = torch.cat(stretches, dim=1)
    is_last = torch.zeros(every.shape[1], dtype=torch.bool)
    is_last[torch.tensor([stretch.shape[1] for stretch in stretches]).cumsum(0) - 1] = True
    shape = (2, count)
    place = torch.randint(every.shape[1], (count,), generator=generator).expand(shape)
    places = [place]
    for _ in range(tokens - 1):
        jumps = (torch.rand(shape, generator=generator) < jump_chance) | is_last[place]
        anywhere = torch.randint(every.shape[1], shape, generator=generator)
        place = torch.where(jumps, anywhere, place + 1)
        places.append(place)
    upper, lower = torch.stack(places, dim=-1)
    return torch.stack((every[0][upper], every[1][lower]))
