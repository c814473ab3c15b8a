"""What a session is between two tokens, as plain data: what can be changed then, and what it remembers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailando.engine.backends import Arrays
from bailando.engine.body import BodyMemory
from bailando.engine.energy import check_energy
from bailando.engine.groove import check_groove
from bailando.engine.sampling import GeneratorState, SamplingConfig

Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class SessionOptions:
    """What may be changed between two tokens of a dance; see `Dancer.session`."""

    style: str
    temperature: float
    top_k: int
    top_p: float
    energy: float
    groove: float = 1.0

    def __post_init__(self) -> None:
        check_energy(self.energy)
        check_groove(self.groove)
        SamplingConfig(self.temperature, self.top_k, self.top_p)

    @property
    def sampling(self) -> SamplingConfig:
        """How codes are drawn."""
        return SamplingConfig(self.temperature, self.top_k, self.top_p)


@dataclass(frozen=True)
class Snapshot:
    """All of a session at one token boundary; its arrays are copies."""

    token: int
    beginning: bool
    cut: bool
    seed: int
    upper_code: int
    lower_code: int
    gpt_state: Arrays
    decoder_state: Arrays
    recent_codes: tuple[tuple[int, int], ...]
    own_style: int | None
    generator: GeneratorState
    body: BodyMemory
    options: SessionOptions
    rejected_logits: int
    rejected_poses: int
    pose: Float32Array | None
