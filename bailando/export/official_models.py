"""The published models as they are used: encoding, decoding, logits and greedy generation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bailando.errors import ConfigError, InputError
from bailando.models.critic import Critic
from bailando.models.gpt import CrossConditionalGPT
from bailando.models.music_context import MusicContext
from bailando.models.vqvae import PoseVQVAE

JOINTS = 24
LOWER_JOINTS = (0, 1, 2, 4, 5, 7, 8, 10, 11)
UPPER_JOINTS = tuple(joint for joint in range(JOINTS) if joint not in LOWER_JOINTS)


def _joints(positions: Tensor) -> Tensor:
    """View ``[B, T, 3 J]`` as ``[B, T, J, 3]``."""
    return positions.reshape(*positions.shape[:2], -1, 3)


class OfficialVQVAE(nn.Module):
    """Both half bodies' published VQ-VAEs over ``[B, T, 72]``.

    Parameters
    ----------
    upper, lower
        Of 15 and 9 joints; `lower` may have a root decoder.
    """

    def __init__(self, upper: PoseVQVAE, lower: PoseVQVAE) -> None:
        super().__init__()
        expected = (3 * len(UPPER_JOINTS), 3 * len(LOWER_JOINTS))
        if (upper.config.channels, lower.config.channels) != expected:
            raise InputError(
                f"halves have {upper.config.channels} and {lower.config.channels} channels, "
                f"expected {expected}"
            )
        self.upper = upper
        self.lower = lower

    def encode(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes ``[B, T / 8]`` of both halves.

        Parameters
        ----------
        positions : Tensor, ``[B, T, 72]``
            Positions relative to the root; what channels 0:3 hold is taken as zero.
        """
        upper, lower = self._split(positions)
        return self.upper.encode(upper), self.lower.encode(lower)

    def latents(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return both encoders' outputs ``[B, T / 8, code_dim]``."""
        upper, lower = self._split(positions)
        return self.upper.latent(upper), self.lower.latent(lower)

    @staticmethod
    def _split(positions: Tensor) -> tuple[Tensor, Tensor]:
        if positions.dim() != 3 or positions.shape[2] != 3 * JOINTS:
            raise ConfigError(f"positions have shape {tuple(positions.shape)}, expected [batch, time, 72]")
        joints = _joints(positions).clone()
        joints[:, :, 0] = 0.0
        return joints[:, :, list(UPPER_JOINTS)].flatten(2), joints[:, :, list(LOWER_JOINTS)].flatten(2)

    def decode_raw(self, upper_codes: Tensor, lower_codes: Tensor) -> Tensor:
        """Return ``[B, 8 T, 72]``: root velocity in channels 0:3 (m per frame), relative positions after.

        Without a root decoder, channels 0:3 are what the lower decoder gives for the root.
        """
        upper = _joints(self.upper.decode(upper_codes))
        lower = _joints(self.lower.decode(lower_codes))
        joints = upper.new_zeros(*upper.shape[:2], JOINTS, 3)
        joints[:, :, list(UPPER_JOINTS)] = upper
        joints[:, :, list(LOWER_JOINTS)] = lower
        if self.lower.root_decoder is not None:
            joints[:, :, 0] = self.lower.decode_root(lower_codes)
        return joints.flatten(2)

    def decode_integrated(self, upper_codes: Tensor, lower_codes: Tensor) -> Tensor:
        """Return ``[B, 8 T, 72]``: root position in channels 0:3, relative positions after.

        The root starts at the origin: ``pos_0 = 0``, ``pos_t = pos_{t-1} + v_{t-1}``.
        """
        raw = self.decode_raw(upper_codes, lower_codes)
        velocity = raw[..., :3]
        moved = torch.cumsum(velocity[:, :-1], dim=1)
        root = torch.cat((torch.zeros_like(velocity[:, :1]), moved), dim=1)
        return torch.cat((root, raw[..., 3:]), dim=2)

    def decode(self, upper_codes: Tensor, lower_codes: Tensor) -> Tensor:
        """Return the dance, ``[B, 8 T, 72]``: positions in the world, the root added to every joint."""
        joints = _joints(self.decode_integrated(upper_codes, lower_codes))
        return torch.cat((joints[:, :, :1], joints[:, :, 1:] + joints[:, :, :1]), dim=2).flatten(2)


class OfficialGPT(nn.Module):
    """The published GPT, with its critic and its music transformer where it has them."""

    def __init__(
        self,
        gpt: CrossConditionalGPT,
        critic: Critic | None = None,
        music_context: MusicContext | None = None,
    ) -> None:
        super().__init__()
        self.gpt = gpt
        self.critic = critic
        self.music_context = music_context

    def music_tokens(self, music: Tensor) -> Tensor:
        """Return what the GPT takes as music, ``[B, T, music_dim]``.

        Parameters
        ----------
        music : Tensor
            ``[B, T, 438]`` at 7.5 per second; with a music transformer ``[B, (T + 10) * 8, 55]`` at 60.
        """
        return music if self.music_context is None else self.music_context(music)

    def forward(self, upper: Tensor, lower: Tensor, music: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits ``[B, T, codes]`` of the codes after each step; T is at most the block.

        Parameters
        ----------
        upper, lower : Tensor, ``[B, T]`` int64
        music : Tensor
            As `music_tokens`; the music of step j is that of the codes it predicts.
        """
        logits: tuple[Tensor, Tensor] = self.gpt(self.music_tokens(music), upper, lower)
        return logits

    def value(self, upper: Tensor, lower: Tensor, music: Tensor) -> Tensor:
        """Return the critic's values ``[B, T]``."""
        if self.critic is None:
            raise ConfigError("this checkpoint has no critic; load one of the actor-critic stage")
        values: Tensor = self.critic(self.gpt.base_state(self.music_tokens(music), upper, lower))
        return values
