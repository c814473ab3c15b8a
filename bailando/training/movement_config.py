"""Configuration of the stage that learns how fast codes move, and of the beat that a dancer makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailando.engine.groove import GrooveSpec
from bailando.training.optimiser_config import OptimiserConfig, require, require_schedule


@dataclass(frozen=True)
class MovementStageConfig:
    """What is learned from, and what the finished dancer does with it.

    Parameters
    ----------
    optimiser
        See there.
    beat
        How much the beat counts in the finished dancer.
    stretches, stretch_tokens
        Sequences that are decoded, and their length.
    evaluate_every, save_every
        Steps between evaluations on held-out motion, and between checkpoints.
    """

    optimiser: OptimiserConfig
    beat: GrooveSpec = field(default_factory=lambda: GrooveSpec(9.0, 0.03, 2.0, 0.6))
    stretches: int = 1280
    stretch_tokens: int = 48
    evaluate_every: int = 120
    save_every: int = 120

    def __post_init__(self) -> None:
        require(self.stretches >= 10, f"stretches is {self.stretches}, expected 10 or more")
        require(self.stretch_tokens >= 2, f"stretch_tokens is {self.stretch_tokens}, expected 2 or more")
        require_schedule(self.evaluate_every, self.save_every)
