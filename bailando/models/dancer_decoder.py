"""Both half bodies' decoders as one streaming unit: codes of a token in, its frames out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bailando.errors import ConfigError
from bailando.models.residual import PoseResidual
from bailando.models.streaming import State, Timing, with_prefix, without_prefix
from bailando.models.vqvae import PoseVQVAE


class DancerDecoder(nn.Module):
    """What becomes ``decoder_step.onnx``.

    Parameters
    ----------
    upper, lower
        Trained VQ-VAEs with causal decoders; their weights are shared, not copied.
    residual
        Their residual codes, if they have any: those expected are added to the codes given.
    """

    def __init__(self, upper: PoseVQVAE, lower: PoseVQVAE, residual: PoseResidual | None = None) -> None:
        super().__init__()
        if upper.config.frames_per_code != lower.config.frames_per_code:
            raise ConfigError(
                f"halves disagree: {upper.config.frames_per_code} and {lower.config.frames_per_code} "
                "frames per code; train both with the same levels"
            )
        self.upper = upper
        self.lower = lower
        self.residual = residual

    @property
    def timing(self) -> Timing:
        """One code pair in, ``frames_per_code`` frames out."""
        upper, lower = self.upper.decoder.timing, self.lower.decoder.timing
        return Timing(upper.input_steps, upper.output_steps, max(upper.lookahead, lower.lookahead))

    def forward(self, upper_codes: Tensor, lower_codes: Tensor) -> tuple[Tensor, Tensor]:
        """Decode whole code sequences ``[B, T]`` into ``[B, 8 T, 90]`` and ``[B, 8 T, 62]``."""
        upper, lower = self.upper.codebook.decode(upper_codes), self.lower.codebook.decode(lower_codes)
        if self.residual is not None:
            added = self.residual.predict((upper, lower))
            upper, lower = upper + added[0], lower + added[1]
        return self.upper.decode_vectors(upper), self.lower.decode_vectors(lower)

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return zero states, prefixed ``upper_``, ``lower_`` and, with residual codes, ``residual_``."""
        upper = with_prefix("upper", self.upper.decoder.initial_state(batch, device, dtype))
        state = upper | with_prefix("lower", self.lower.decoder.initial_state(batch, device, dtype))
        if self.residual is not None:
            state |= with_prefix("residual", self.residual.initial_state(batch, device, dtype))
        return state

    def step(
        self, upper_code: Tensor, lower_code: Tensor, state: State
    ) -> tuple[tuple[Tensor, Tensor], State]:
        """Decode one code pair ``[B]`` into the next frames ``[B, 8, 90]`` and ``[B, 8, 62]``."""
        upper = self.upper.codebook.decode(upper_code).unsqueeze(1)
        lower = self.lower.codebook.decode(lower_code).unsqueeze(1)
        residual_state: State = {}
        if self.residual is not None:
            own = without_prefix("residual", state)
            (more_upper, more_lower), own = self.residual.step((upper, lower), own)
            upper, lower = upper + more_upper, lower + more_lower
            residual_state = with_prefix("residual", own)
        decoded_upper, upper_state = self.upper.decoder.step(upper, without_prefix("upper", state))
        decoded_lower, lower_state = self.lower.decoder.step(lower, without_prefix("lower", state))
        poses = self.upper.denormalise(decoded_upper), self.lower.denormalise(decoded_lower)
        decoders = with_prefix("upper", upper_state) | with_prefix("lower", lower_state)
        return poses, decoders | residual_state
