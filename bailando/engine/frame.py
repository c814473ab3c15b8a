"""One frame of the dance as it leaves the engine: what every sink receives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailando.motion.skeleton import JOINT_NAMES

FRAME_RATE_HZ = 60
JOINTS = len(JOINT_NAMES)


@dataclass(frozen=True, eq=False)
class Frame:
    """The dancer and the music at frame `number`.

    Attributes
    ----------
    number
        Counts frames of 1/60 s from the start of the stream, without gaps or returns.
    positions
        (24, 3) float32, metres, world; right-handed, Y up, the dancer faces +Z, floor at Y = 0.
    rotations
        (24, 4) float32 unit quaternions xyzw, local (relative to the parent; the pelvis to the world).
    root_position
        (3,) float32, the pelvis, metres.
    contacts
        (4,) float32 probabilities: left ankle, right ankle, left toes, right toes.
    beat
        Whether a beat falls into this frame.
    bpm, phase, confidence
        Tempo, place within the beat in [0, 1), trust in both in [0, 1].
    level, onset
        Loudness and onset strength of the music, both in [0, 1].
    """

    number: int
    positions: NDArray[np.float32]
    rotations: NDArray[np.float32]
    root_position: NDArray[np.float32]
    contacts: NDArray[np.float32]
    beat: bool = False
    bpm: float = 0.0
    phase: float = 0.0
    confidence: float = 0.0
    level: float = 0.0
    onset: float = 0.0

    @property
    def time_s(self) -> float:
        """Media time of the frame, seconds."""
        return self.number / FRAME_RATE_HZ
