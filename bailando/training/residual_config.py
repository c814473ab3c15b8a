"""Configuration of the stage that adds residual codes."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailando.training.optimiser_config import OptimiserConfig, require, require_schedule, require_windows
from bailando.training.vqvae_config import VQVAELossConfig


@dataclass(frozen=True)
class ResidualStageConfig:
    """Residual codes of trained VQ-VAEs, and the predictor that dances with them.

    Parameters
    ----------
    optimiser, losses
        See there; the losses are the VQ-VAEs' own.
    window_frames
        Length of the random windows, a multiple of 8.
    expected_share
        Fraction of the windows decoded with the residual that the predictor expects, as a dance is.
    coarse_share
        Fraction decoded from the first codes alone.
    prediction
        Weight of the predictor's cross-entropy, mean over the books.
    restart_fraction
        A code used less than this fraction of its fair share of a batch is restarted.
    evaluate_every, save_every
        Steps between evaluations on the held-out recordings, and between checkpoints.
    """

    optimiser: OptimiserConfig
    losses: VQVAELossConfig = field(default_factory=VQVAELossConfig)
    window_frames: int = 256
    expected_share: float = 0.25
    coarse_share: float = 0.1
    prediction: float = 0.1
    restart_fraction: float = 0.05
    evaluate_every: int = 250
    save_every: int = 250

    def __post_init__(self) -> None:
        require_windows(self.window_frames)
        for name in ("expected_share", "coarse_share", "restart_fraction"):
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} is {value!r}, expected 0 <= {name} < 1")
        require(
            self.expected_share + self.coarse_share < 1,
            f"expected_share and coarse_share are {self.expected_share} and {self.coarse_share}, expected "
            "less than 1 together",
        )
        require(self.prediction >= 0, f"prediction is {self.prediction}, expected 0 or more")
        require_schedule(self.evaluate_every, self.save_every)
