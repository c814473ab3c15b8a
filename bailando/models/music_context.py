"""Music transformer of Bailando++: frame-rate features with a little of the future, one vector per token.

Source: Siyao et al., Bailando++, TPAMI 2023 (musical contextual encoding).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bailando.errors import ConfigError
from bailando.models.attention import TransformerBlock
from bailando.models.config import ModelConfig


@dataclass(frozen=True)
class MusicContextConfig(ModelConfig):
    """Sizes of a music transformer.

    Parameters
    ----------
    features
        Music features per frame.
    width, heads, layers, dropout
        Of the transformer.
    reach
        Frames that attention reaches to either side.
    frames_per_token
        Frames that are joined into one output.
    padding_tokens
        Tokens of music before the first and after the last output that must be given as well.
    """

    features: int = 55
    width: int = 768
    heads: int = 12
    layers: int = 3
    reach: int = 40
    frames_per_token: int = 8
    padding_tokens: int = 5
    dropout: float = 0.1

    def __post_init__(self) -> None:
        self._require_at_least(1, "features", "width", "heads", "layers", "frames_per_token")
        self._require_at_least(0, "reach", "padding_tokens")
        self._require_fraction("dropout")
        if self.width % self.heads:
            raise ConfigError(f"MusicContextConfig: width {self.width} is no multiple of {self.heads} heads")


class MusicContext(nn.Module):
    """Transformer over frames with a banded two-sided mask, then a linear layer over each token's frames."""

    def __init__(self, config: MusicContextConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear(config.features, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.downsample = nn.Linear(config.frames_per_token * config.width, config.width)

    def forward(self, music: Tensor) -> Tensor:
        """Return ``[B, T, width]`` for frames ``[B, (T + 2 * padding_tokens) * 8, features]``."""
        config = self.config
        tokens = music.shape[1] // config.frames_per_token
        if music.shape[1] % config.frames_per_token or tokens <= 2 * config.padding_tokens:
            raise ConfigError(
                f"music has {music.shape[1]} frames, expected a multiple of {config.frames_per_token} "
                f"and more than {2 * config.padding_tokens * config.frames_per_token}; pad it on both sides"
            )
        frame = torch.arange(music.shape[1], device=music.device)
        mask = (frame[:, None] - frame[None, :]).abs() <= config.reach
        x = self.dropout(self.embedding(music))
        for block in self.blocks:
            x = block(x, mask)
        joined: Tensor = self.downsample(x.reshape(x.shape[0], tokens, -1))
        return joined[:, config.padding_tokens : tokens - config.padding_tokens]
