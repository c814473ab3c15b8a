"""Puts the dancer and the music of one moment into a frame."""

from __future__ import annotations

from bailando.engine.frame import Frame
from bailando.engine.listener import MusicReading
from bailando.engine.timeline import Pose

_BEAT_REFRACTORY_FRAMES = 12


class BeatCounter:
    """Says which frames hold a beat: the predicted phase wraps there, and no beat was just before."""

    def __init__(self) -> None:
        self._last_phase = 1.0
        self._last_beat = -_BEAT_REFRACTORY_FRAMES

    def is_beat(self, number: int, reading: MusicReading) -> bool:
        """Whether a beat falls into frame `number`, by the newest reading; call it for every frame."""
        phase = reading.phase_at(number)
        wrapped = phase < self._last_phase - 0.5
        self._last_phase = phase
        if not wrapped or reading.bpm <= 0 or number - self._last_beat < _BEAT_REFRACTORY_FRAMES:
            return False
        self._last_beat = number
        return True


def make_frame(number: int, pose: Pose, reading: MusicReading, beat: bool) -> Frame:
    """Put pose and music together."""
    return Frame(
        number=number,
        positions=pose.positions,
        rotations=pose.rotations,
        root_position=pose.root_position,
        contacts=pose.contacts,
        beat=beat,
        bpm=reading.bpm,
        phase=reading.phase_at(number),
        confidence=reading.confidence,
        level=reading.level,
        onset=reading.onset,
    )
