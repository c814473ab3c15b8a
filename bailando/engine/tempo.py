"""What people know about the beat better than the tracker: a tempo hint, taps, another clock."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailando.music.beats import BY_TWOS_BPM
from bailando.music.features import REFERENCE_BPM, write_beat_channels

Float32Array = NDArray[np.float32]

FRAME_RATE_HZ = 60.0
MIN_BPM = 40.0
MAX_BPM = 240.0
_TAP_MEMORY = 8
_LONGEST_GAP_FRAMES = 120.0
_SAME_TEMPO = 0.08
_FOLLOW = 0.02


@dataclass(frozen=True)
class BeatClock:
    """A steady beat: `phase` in [0, 1) at the beginning of frame `frame`, which may be fractional."""

    bpm: float
    phase: float
    frame: float

    def phase_at(self, frame: float) -> float:
        """Return the phase at the beginning of another frame."""
        return (self.phase + (frame - self.frame) * self.bpm / (60.0 * FRAME_RATE_HZ)) % 1.0


@dataclass(frozen=True)
class SharedBeat:
    """A beat that several machines share: `beat` beats had passed at `time_ns` of this one's clock."""

    bpm: float
    beat: float
    time_ns: int

    def __post_init__(self) -> None:
        if not (1.0 <= self.bpm <= 1e4 and math.isfinite(self.beat)):
            raise ValueError(f"{self} is no beat")

    def clock(self, frame: float) -> BeatClock:
        """Return it as a clock, given the frame of its moment; tempi out of range are halved or doubled."""
        factor = 1.0
        while self.bpm * factor > BY_TWOS_BPM[0]:
            factor /= 2.0
        while self.bpm * factor < MIN_BPM:
            factor *= 2.0
        return BeatClock(self.bpm * factor, self.beat * factor % 1.0, frame)


class TempoOverride:
    """Replaces the beat channels of the features by a beat that somebody gave.

    A hint of the tempo alone takes the phase from the tracker: at once, and then slowly as long as
    the tracker hears that tempo too. Taps and clocks give the phase as well. Fast beats count by twos, as the
    tracker counts them (`BY_TWOS_BPM`).
    """

    def __init__(self, channel_names: tuple[str, ...]) -> None:
        self._columns = [channel_names.index(name) for name in ("beat_sin", "beat_cos", "tempo_octave")]
        self._clock: BeatClock | None = None
        self._hint_bpm: float | None = None
        self._taps: deque[float] = deque(maxlen=_TAP_MEMORY)
        self._tap_count = 0

    @property
    def active(self) -> bool:
        """Whether the tracker is overruled."""
        return self._clock is not None or self._hint_bpm is not None

    def clear(self) -> None:
        """Trust the tracker again."""
        self._clock = self._hint_bpm = None
        self._taps.clear()
        self._tap_count = 0

    def hint(self, bpm: float) -> None:
        """Set the tempo; the phase comes from the tracker."""
        self.clear()
        self._hint_bpm = bpm / 2 if bpm > BY_TWOS_BPM[0] else bpm

    def follow(self, clock: BeatClock) -> None:
        """Set tempo and phase."""
        self._hint_bpm = None
        self._clock = clock

    def tap(self, frame: float) -> None:
        """A beat falls on this frame; from the second tap on tempo and phase follow the taps."""
        if self._taps and not 0 < frame - self._taps[-1] < _LONGEST_GAP_FRAMES:
            self._taps.clear()
            self._tap_count = 0
        self._taps.append(frame)
        self._tap_count += 1
        if len(self._taps) < 2:
            return
        beats = np.arange(len(self._taps))
        period, first = np.polyfit(beats, np.array(self._taps), 1)
        bpm = 60.0 * FRAME_RATE_HZ / float(period)
        if MIN_BPM <= bpm <= MAX_BPM:
            last = float(first + period * beats[-1])
            beat = SharedBeat(bpm, float(self._tap_count - 1), 0)
            self.follow(beat.clock(last))

    def apply(self, features: Float32Array, first_frame: int) -> Float32Array:
        """Return features (n, F) of frames from `first_frame` on with the given beat in them."""
        if not self.active or not len(features):
            return features
        changed = features.copy()
        clocks = [self._clock_of(row, first_frame + index) for index, row in enumerate(features)]
        phases = np.array([clock.phase_at(first_frame + 1 + index) for index, clock in enumerate(clocks)])
        bpm = np.array([clock.bpm for clock in clocks])
        write_beat_channels(changed, phases, bpm, np.ones(len(features)))
        return changed

    def _clock_of(self, row: Float32Array, frame: int) -> BeatClock:
        """Return the beat at one frame, after its features were heard."""
        if self._clock is None:
            assert self._hint_bpm is not None
            self._clock = BeatClock(self._hint_bpm, self._tracked_phase(row), frame + 1)
        elif self._hint_bpm is not None:
            self._clock = self._drawn_to_tracker(self._clock, row, frame)
        return self._clock

    def _tracked_phase(self, row: Float32Array) -> float:
        sin, cos, _ = (float(row[column]) for column in self._columns)
        return float(np.arctan2(sin, cos) / (2 * np.pi)) % 1.0

    def _drawn_to_tracker(self, clock: BeatClock, row: Float32Array, frame: int) -> BeatClock:
        """Move the phase a little towards the tracker's, if that hears the hinted tempo."""
        tracked_bpm = REFERENCE_BPM * 2.0 ** float(row[self._columns[2]])
        if abs(tracked_bpm / clock.bpm - 1.0) > _SAME_TEMPO:
            return clock
        phase = clock.phase_at(frame + 1)
        error = (self._tracked_phase(row) - phase + 0.5) % 1.0 - 0.5
        return BeatClock(clock.bpm, (phase + _FOLLOW * error) % 1.0, frame + 1)
