"""Configuration of the pose VQ-VAE stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailando.training.optimiser_config import OptimiserConfig, require, require_schedule, require_windows


@dataclass(frozen=True)
class VQVAELossConfig:
    """Weights of the losses of the pose VQ-VAE (each an L1 mean unless said otherwise).

    Parameters
    ----------
    channels
        Normalised pose channels.
    positions
        Joint positions by forward kinematics, decimetres, heading taken out.
    velocity, acceleration
        First and second differences of the positions (equation 3 of the paper), per frame, decimetres.
    root
        Normalised root channels (height, velocity, turn) on top of `channels`.
    contacts
        Binary cross-entropy of the contact probabilities.
    skating
        Speed on the floor of feet that are planted in the data, decimetres per frame.
    commitment
        Mean square distance of encoder outputs from their codes.
    """

    channels: float = 1.0
    positions: float = 2.0
    velocity: float = 4.0
    acceleration: float = 4.0
    root: float = 0.5
    contacts: float = 0.1
    skating: float = 2.0
    commitment: float = 0.1


@dataclass(frozen=True)
class VQVAEStageConfig:
    """The pose VQ-VAE stage: both half bodies at once.

    Parameters
    ----------
    optimiser, losses
        See there.
    window_frames
        Length of the random windows, a multiple of 8. Causal decoders must see their whole past in it.
    warmup_steps
        First steps without quantisation: the codebook is then filled from an encoder that has learned.
    restart_fraction
        A code used less than this fraction of its fair share of a batch is restarted.
    evaluate_every, save_every
        Steps between evaluations on the held-out recordings, and between checkpoints.
    """

    optimiser: OptimiserConfig
    losses: VQVAELossConfig = field(default_factory=VQVAELossConfig)
    window_frames: int = 256
    warmup_steps: int = 200
    restart_fraction: float = 0.05
    evaluate_every: int = 250
    save_every: int = 250

    def __post_init__(self) -> None:
        require_windows(self.window_frames)
        require(
            0 <= self.restart_fraction < 1, f"restart_fraction is {self.restart_fraction}, expected 0 to 1"
        )
        require_schedule(self.evaluate_every, self.save_every)
