"""Configuration of the root-velocity stage."""

from __future__ import annotations

from dataclasses import dataclass

from bailando.training.optimiser_config import OptimiserConfig, require


@dataclass(frozen=True)
class RootStageConfig:
    """The root-velocity branch of the published layout, trained alone after the VQ-VAEs.

    Parameters
    ----------
    optimiser
        See there.
    window_frames
        Length of the random windows, a multiple of 8.
    evaluate_every, save_every
        Steps between evaluations on the held-out recordings, and between checkpoints.
    """

    optimiser: OptimiserConfig
    window_frames: int = 240
    evaluate_every: int = 250
    save_every: int = 250

    def __post_init__(self) -> None:
        require(
            self.window_frames >= 16 and self.window_frames % 8 == 0,
            f"window_frames is {self.window_frames}, expected a multiple of 8 from 16 up",
        )
        require(
            self.evaluate_every >= 1 and self.save_every >= 1, "evaluate_every and save_every must be >= 1"
        )
