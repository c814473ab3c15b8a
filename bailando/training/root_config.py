"""Configuration of the root-velocity stage."""

from __future__ import annotations

from dataclasses import dataclass

from bailando.training.optimiser_config import OptimiserConfig, require_schedule, require_windows


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
        require_windows(self.window_frames)
        require_schedule(self.evaluate_every, self.save_every)
