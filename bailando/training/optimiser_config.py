"""What every stage configures: its optimiser."""

from __future__ import annotations

from dataclasses import dataclass

from bailando.errors import ConfigError


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with warm-up and a cosine to `final_rate` of the learning rate.

    Parameters
    ----------
    steps, batch_size
        Of the whole stage.
    learning_rate, weight_decay, warmup_steps, final_rate
        Of the optimiser; `final_rate` is a fraction.
    clip_norm
        Bound of the gradient's norm.
    max_skipped_steps
        Steps with a non-finite loss or gradient are skipped; after so many the stage stops.
    """

    steps: int
    batch_size: int
    learning_rate: float = 3e-4
    weight_decay: float = 0.0
    warmup_steps: int = 50
    final_rate: float = 0.05
    clip_norm: float = 1.0
    max_skipped_steps: int = 20

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            value = getattr(self, name)
            require(isinstance(value, int) and value >= 1, f"{name} is {value!r}, expected 1 or more")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value > 0, f"{name} is {value!r}, expected more than 0")
        require(0 <= self.final_rate <= 1, f"final_rate is {self.final_rate}, expected 0 to 1")
        require(self.weight_decay >= 0, f"weight_decay is {self.weight_decay}, expected 0 or more")


def require(condition: bool, message: str) -> None:
    """Raise `ConfigError` with the message unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def require_windows(frames: int) -> None:
    """Raise `ConfigError` unless random windows of so many frames are whole tokens, two at least."""
    require(
        frames >= 16 and frames % 8 == 0, f"window_frames is {frames}, expected a multiple of 8 from 16 up"
    )


def require_schedule(evaluate_every: int, save_every: int) -> None:
    """Raise `ConfigError` unless evaluations and checkpoints come every so many steps."""
    require(evaluate_every >= 1 and save_every >= 1, "evaluate_every and save_every must be >= 1")
