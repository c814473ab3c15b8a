"""Pose VQ-VAE: eight (``2 ** levels``) frames of a half body become one code, and back.

Source: Siyao et al., Bailando, CVPR 2022, section 3.2. The published layout is
``decoder="two_sided"`` and, for the lower body, a root-velocity decoder; the live preset has a causal
decoder, so that each code gives its eight frames at once, with no look-ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from bailando.errors import ConfigError
from bailando.models.codebook import Codebook
from bailando.models.config import ModelConfig
from bailando.models.streaming import (
    PADDINGS,
    Padding,
    ResidualBlock,
    StreamingConv1d,
    StreamingConvTranspose1d,
    StreamingModule,
    StreamingStack,
)


@dataclass(frozen=True)
class PoseVQVAEConfig(ModelConfig):
    """Sizes of a pose VQ-VAE.

    Parameters
    ----------
    channels
        Pose channels in, and out of the main decoder.
    width
        Channels of the convolutions.
    codebook_size, code_dim
        Codes, and channels of each.
    levels
        Halvings of the frame rate; one code is ``2 ** levels`` frames.
    dilations
        Of the residual blocks of each level, in the encoder's order (the decoder reverses them).
    encoder, decoder
        Padding of the convolutions: ``causal`` or ``two_sided``.
    context_dilations
        Extra residual blocks of the decoder at token rate, which widen its past.
    root_channels
        Outputs of a second decoder for the root velocity; 0 for none.
    probability_channels
        So many last channels are probabilities: not normalised, through a logistic function.
    codebook_decay, restart_below
        See `Codebook`.
    """

    channels: int
    width: int = 512
    codebook_size: int = 512
    code_dim: int = 512
    levels: int = 3
    dilations: tuple[int, ...] = (1, 3, 9)
    encoder: Padding = "two_sided"
    decoder: Padding = "causal"
    context_dilations: tuple[int, ...] = ()
    root_channels: int = 0
    probability_channels: int = 0
    codebook_decay: float = 0.99
    restart_below: float = 1.0

    def __post_init__(self) -> None:
        self._require_at_least(1, "channels", "width", "codebook_size", "code_dim", "levels")
        self._require_at_least(0, "root_channels", "probability_channels")
        self._require_one_of("encoder", PADDINGS)
        self._require_one_of("decoder", PADDINGS)
        self._require_fraction("codebook_decay")
        if any(d < 1 for d in (*self.dilations, *self.context_dilations)):
            raise ConfigError(f"PoseVQVAEConfig: dilations {self.dilations} must all be at least 1")
        if self.probability_channels > self.channels:
            raise ConfigError(
                f"PoseVQVAEConfig: probability_channels {self.probability_channels} "
                f"exceeds channels {self.channels}"
            )

    @property
    def frames_per_code(self) -> int:
        """Frames that one code stands for."""
        return int(2**self.levels)


class PoseEncoder(StreamingStack):
    """Per level a halving convolution and residual blocks, then a convolution to the code's channels."""

    def __init__(self, config: PoseVQVAEConfig) -> None:
        layers: list[StreamingModule] = []
        for level in range(config.levels):
            in_channels = config.width if level else config.channels
            layers.append(StreamingConv1d(in_channels, config.width, 4, stride=2, padding=config.encoder))
            layers += [ResidualBlock(config.width, d, padding=config.encoder) for d in config.dilations]
        layers.append(StreamingConv1d(config.width, config.code_dim, 3, padding=config.encoder))
        super().__init__(layers)


class PoseDecoder(StreamingStack):
    """A convolution from the code, residual blocks at token rate, then per level blocks and a doubling."""

    def __init__(self, config: PoseVQVAEConfig, out_channels: int) -> None:
        padding, width = config.decoder, config.width
        layers: list[StreamingModule] = [StreamingConv1d(config.code_dim, width, 3, padding=padding)]
        layers += [ResidualBlock(width, d, padding=padding) for d in config.context_dilations]
        for _ in range(config.levels):
            layers += [ResidualBlock(width, d, padding=padding) for d in reversed(config.dilations)]
            layers.append(StreamingConvTranspose1d(width, width, padding=padding))
        layers.append(StreamingConv1d(width, out_channels, 3, padding=padding))
        super().__init__(layers)


class VQVAEOutput(NamedTuple):
    """What `PoseVQVAE.forward` returns: the pose ``[B, T, C]``, three scalars and the codes ``[B, T/8]``."""

    reconstruction: Tensor
    commitment_loss: Tensor
    perplexity: Tensor
    usage: Tensor
    codes: Tensor


class PoseVQVAE(nn.Module):
    """Encoder, codebook and decoder of one half body, with its normaliser.

    Poses go in and come out in their own units; the per-channel ``mean`` and ``std`` are buffers.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: PoseVQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PoseEncoder(config)
        self.codebook = Codebook(
            config.codebook_size,
            config.code_dim,
            decay=config.codebook_decay,
            restart_below=config.restart_below,
        )
        self.decoder = PoseDecoder(config, config.channels)
        self.root_decoder = PoseDecoder(config, config.root_channels) if config.root_channels else None
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))

    @torch.no_grad()
    def set_normaliser(self, mean: Tensor, std: Tensor) -> None:
        """Set the per-channel mean and deviation ``[C]``; probability channels keep 0 and 1."""
        if mean.shape != self.mean.shape or std.shape != self.std.shape:
            raise ConfigError(
                f"normaliser has shapes {tuple(mean.shape)} and {tuple(std.shape)}, "
                f"expected ({self.config.channels},) for both"
            )
        if not bool((std > 0).all()):
            raise ConfigError("normaliser has a deviation of zero or less; floor the deviations first")
        scaled = self.config.channels - self.config.probability_channels
        self.mean[:scaled].copy_(mean[:scaled])
        self.std[:scaled].copy_(std[:scaled])

    def normalise(self, pose: Tensor) -> Tensor:
        """Return ``(pose - mean) / std``."""
        return (pose - self.mean) / self.std

    def denormalise(self, decoded: Tensor) -> Tensor:
        """Return decoder outputs in pose units, probabilities through the logistic function."""
        scaled = self.config.channels - self.config.probability_channels
        if scaled == self.config.channels:
            return decoded * self.std + self.mean
        pose = decoded[..., :scaled] * self.std[:scaled] + self.mean[:scaled]
        return torch.cat((pose, torch.sigmoid(decoded[..., scaled:])), dim=-1)

    def encode(self, pose: Tensor) -> Tensor:
        """Return the codes ``[B, T / 8]`` of poses ``[B, T, C]``.

        Raises
        ------
        ConfigError
            If T is not a multiple of the frames per code or C is not the configured number.
        """
        return self.codebook.encode(self.latent(pose))

    def latent(self, pose: Tensor) -> Tensor:
        """Return the encoder's output ``[B, T / 8, code_dim]`` before quantisation."""
        frames = self.config.frames_per_code
        if pose.dim() != 3 or pose.shape[1] % frames or pose.shape[2] != self.config.channels:
            raise ConfigError(
                f"pose has shape {tuple(pose.shape)}, expected [batch, a multiple of {frames}, "
                f"{self.config.channels}]; crop the sequence"
            )
        return cast(Tensor, self.encoder(self.normalise(pose)))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the poses ``[B, 8 T, C]`` of codes ``[B, T]``."""
        return self.decode_vectors(self.codebook.decode(codes))

    def decode_vectors(self, vectors: Tensor) -> Tensor:
        """Return the poses ``[B, 8 T, C]`` of vectors ``[B, T, code_dim]``: codes', or anything near them."""
        return self.denormalise(self.decoder(vectors))

    def decode_root(self, codes: Tensor) -> Tensor:
        """Return the root velocities ``[B, 8 T, root_channels]`` of codes ``[B, T]``."""
        if self.root_decoder is None:
            raise ConfigError("this VQ-VAE has no root decoder; configure root_channels")
        return cast(Tensor, self.root_decoder(self.codebook.decode(codes)))

    def forward(self, pose: Tensor) -> VQVAEOutput:
        """Encode, quantise and decode ``[B, T, C]``; in training mode the codebook learns too."""
        quantised = self.codebook(self.latent(pose))
        return VQVAEOutput(
            reconstruction=self.denormalise(self.decoder(quantised.vectors)),
            commitment_loss=quantised.commitment_loss,
            perplexity=quantised.perplexity,
            usage=quantised.usage,
            codes=quantised.codes,
        )
