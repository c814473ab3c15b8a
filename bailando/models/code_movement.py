"""How fast the body would move in each code that could come next, from the pose that it is in.

The beat of a dance is in how its speed rises and falls, and a code alone tells half of it: the other half is
the way from the pose before. Decoding each code that could be drawn would tell all and cost hundreds of
decodings a step. `CodeMovement` has learned from decoded sequences what the decoder would do: the pace in
each frame of the next token as a sum of a part of the body's state, one of the upper code and one of the
lower code; what a code adds is the product of few factors of the state and few of the code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bailando.engine.groove import SPAN
from bailando.models.config import ModelConfig


@dataclass(frozen=True)
class CodeMovementConfig(ModelConfig):
    """Sizes of a `CodeMovement`.

    Parameters
    ----------
    codes
        Of each codebook.
    pose_channels
        Of both half bodies together.
    frames
        Of a code.
    hidden
        Width of the two hidden layers.
    factors
        Of a code, and of the state for each frame.
    """

    codes: int
    pose_channels: int
    frames: int = 8
    hidden: int = 128
    factors: int = 32

    def __post_init__(self) -> None:
        self._require_at_least(1, "codes", "pose_channels", "hidden", "factors")
        self._require_at_least(SPAN + 1, "frames")


class CodeMovement(nn.Module):
    """The pace of each code that could follow: the standardised logarithm of the joints' mean speed.

    The logarithm, because a few movements are very fast: a beat that counts speed itself makes them more, and
    the calm ones no calmer.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: CodeMovementConfig) -> None:
        super().__init__()
        self.config = config
        features, width = 2 * config.pose_channels, config.hidden
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.hidden = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.of_body = nn.Linear(width, config.frames)
        self.factors = nn.Linear(width, 2 * config.frames * config.factors)
        nn.init.zeros_(self.factors.weight)
        nn.init.zeros_(self.factors.bias)
        self.of_code = nn.Parameter(torch.zeros(2, config.codes, config.frames))
        scale = config.factors**-0.5
        self.code_factors = nn.Parameter(torch.randn(2, config.codes, config.factors) * scale)

    def forward(self, body: Tensor, codes: Tensor) -> Tensor:
        """Return the pace ``[..., 8]`` of codes ``[2, ...]`` after bodies ``[..., features]``."""
        hidden = self.hidden((body - self.mean) / self.deviation)
        shape = *body.shape[:-1], 2, self.config.frames, self.config.factors
        factors = self.factors(hidden).reshape(shape)
        pace: Tensor = self.of_body(hidden)
        for half in (0, 1):
            of_code = self.code_factors[half][codes[half]].unsqueeze(-1)
            pace = pace + self.of_code[half][codes[half]] + (factors[..., half, :, :] @ of_code).squeeze(-1)
        return pace


def body_state(upper: Tensor, lower: Tensor, frames: int = 8) -> Tensor:
    """Return the pose channels at the end of each token and how they changed, ``[B, T, 2 channels]``.

    As `bailando.engine.groove.body_features` gives them of one token.

    Parameters
    ----------
    upper, lower : Tensor, ``[B, frames T, channels]``
    """
    pose = torch.cat((upper, lower), dim=-1)
    last = pose[:, frames - 1 :: frames]
    return torch.cat((last, last - pose[:, frames - 1 - SPAN :: frames]), dim=-1)
