"""Causal, anticipating estimate of tempo and beat phase from an onset envelope.

A Bayes filter over a grid of tempo and beat phase (the bar-pointer model of Whiteley, Cemgil and
Godsill 2006, for beats alone): each cell predicts when the next beat comes, each new onset value
re-weights the cells. Every frame costs the same, nothing looks ahead, and because the state is a
*prediction* the phase can be read out for the present moment although an onset is only seen a
frame or two after it sounded.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bailando.errors import ConfigError

FloatArray = NDArray[np.float64]

# A circle of this many phase bins per tempo; the beat lies in the middle of the axis, so that the
# bins an onset can touch are one contiguous slice.
PHASE_BINS = 64
_CENTRE = PHASE_BINS // 2
# Spread of the phase per frame in bins^2. Three taps with a given mean and variance exist for every
# fractional shift only from 0.25 up.
_PHASE_VARIANCE = 0.26


@dataclass(frozen=True)
class BeatSpec:
    """Constants of the beat tracker.

    Parameters
    ----------
    frame_rate_hz
        Rate of the onset envelope, Hz.
    min_bpm, max_bpm
        Range of tempi, beats per minute.
    tempo_bins
        Number of tempi, spaced evenly in log tempo.
    centre_bpm, octave_spread
        Centre and width (octaves) of the preferred tempi.
    onset_delay_frames
        How much later than the sound the onset envelope peaks, frames.
    each_pulse
        Each pulse is a beat, however fast; else fast ones are counted by twos (`BY_TWOS_BPM`).
    """

    frame_rate_hz: float = 60.0
    min_bpm: float = 60.0
    max_bpm: float = 200.0
    tempo_bins: int = 60
    centre_bpm: float = 125.0
    octave_spread: float = 0.6
    onset_delay_frames: float = 1.3
    each_pulse: bool = False

    def __post_init__(self) -> None:
        if not 20.0 <= self.min_bpm < self.max_bpm <= 400.0:
            raise ConfigError(
                f"tempo range {self.min_bpm}..{self.max_bpm} bpm: expected 20 <= min_bpm < max_bpm <= 400"
            )
        if self.tempo_bins < 8:
            raise ConfigError(f"tempo_bins {self.tempo_bins}: expected at least 8")


@dataclass(frozen=True)
class BeatState:
    """Everything the tracker remembers; arrays are never written in place.

    Attributes
    ----------
    belief
        Probability of each cell, (tempo_bins, PHASE_BINS).
    tempo_index
        Tempo row that is followed at present.
    challenge_frames
        For how long another tempo has been better.
    phase
        Beat phase given out last, in [0, 1).
    log2_tempo
        log2 of the tempo given out last, in beats per frame.
    onset_level
        Running peak level of the onset envelope.
    onset_mean
        Running mean of the normalised onsets.
    onset_power, onset_alignment
        Running sums of squared onsets, plain and times the cosine of the phase they fell on.
    confidence
        Confidence given out last.
    by_twos
        1 while two pulses count as one beat, else 0.
    second
        1 from the second pulse of a pair on, 0 from the first.
    accent
        Running sum of the onsets, positive near the first pulse of a pair and negative near the second.
    """

    belief: FloatArray
    tempo_index: int
    challenge_frames: int
    phase: float
    log2_tempo: float
    onset_level: float
    onset_mean: float
    onset_power: float
    onset_alignment: float
    confidence: float
    by_twos: int
    second: int
    accent: float

    def copy(self) -> BeatState:
        """Return a copy that shares no array."""
        return replace(self, belief=self.belief.copy())


@dataclass(frozen=True)
class Beats:
    """Estimates of n frames, each for the *end* of its frame.

    Attributes
    ----------
    bpm, phase, confidence
        (n,) float64: tempo; phase in [0, 1), 0 on the beat; confidence 0..1.
    beat
        (n,) bool: a beat fell inside the frame.
    """

    bpm: FloatArray
    phase: FloatArray
    confidence: FloatArray
    beat: NDArray[np.bool_]


# Raise it when the tracker hears anything otherwise: prepared music is then made anew.
TRACKER_REVISION = 2
# How strongly one full-scale onset speaks for the cells on their beat, in nats.
_ONSET_WEIGHT = 4.0
# Onsets weaker than this (of the running peak) speak against a beat.
_ONSET_THRESHOLD = 0.22
_BEAT_HALF_WIDTH_FRAMES = 2.5
# Per frame: share of a cell that leaks to each neighbouring tempo, and to any tempo and phase.
_TEMPO_LEAK = 0.012
_RESET_LEAK = 1e-3
# Nobody dances to each of 190 pulses a minute: between these tempi a cost sets in that grows to so many
# nats a second, so that semiquavers of a song at 98 bpm are not its beat. Tempi below are drawn nowhere.
_TOO_FAST_BPM = (182.0, 192.0)
_TOO_FAST_COST = 3.0
_LEVEL_DECAY_S = 4.0
_MEAN_DECAY_S = 3.0
# Another tempo must be this much likelier for this long before it is followed.
_SWITCH_RATIO = 1.6
_SWITCH_FRAMES = 45
_PHASE_GAIN = 0.12
_TEMPO_GAIN = 0.08
# A tempo further away than this is taken over at once.
_JUMP_OCTAVES = 0.12
_CONFIDENCE_GAIN = 0.05
# Above the first tempo every second pulse is a beat, below the second one each is: steps to each pulse of
# fast music are hurried, and people dance to it by twos.
BY_TWOS_BPM = (145.0, 138.0)
# Which pulse of a pair is the beat: the stronger one. They change places once the other was stronger by this
# share of the mean onset; less is no reason to change step.
_ACCENT_DECAY_S = 6.0
_ACCENT_TO_EXCHANGE = 0.15
# Onsets below this are silence; a mean (of the peak) above that is music in full swing.
_LEVEL_FLOOR = 1e-3
_FULL_ACTIVITY = 0.04
# Mean cosine of the onsets' phases from which a beat is plain. Songs full of semiquavers stay near 0
# like noise, so that alone it takes away no more than this share of the confidence.
_FULL_ALIGNMENT = 0.1
_ALIGNMENT_SHARE = 0.6


class BeatTracker:
    """Immutable tracker; all that changes is in the `BeatState` handed in and out.

    Parameters
    ----------
    spec
        Its constants.
    """

    def __init__(self, spec: BeatSpec | None = None) -> None:
        self.spec = spec or BeatSpec()
        spec = self.spec
        self._log2_tempi = np.linspace(
            np.log2(spec.min_bpm / 60 / spec.frame_rate_hz),
            np.log2(spec.max_bpm / 60 / spec.frame_rate_hz),
            spec.tempo_bins,
        )
        octaves = self._log2_tempi - np.log2(spec.centre_bpm / 60 / spec.frame_rate_hz)
        prior = np.exp(-0.5 * (octaves / spec.octave_spread) ** 2)
        self._prior = prior / prior.sum()
        self._taps, weights = _advance_taps(2.0**self._log2_tempi)
        self._weights = weights
        if not spec.each_pulse:
            cost = _cost_of_speed(spec, self._log2_tempi)
            self._weights = weights * np.exp(-cost / spec.frame_rate_hz)[:, None]
        self._beat_slice, self._beat_shape = _beat_window(2.0**self._log2_tempi)
        angles = 2 * np.pi * (np.arange(PHASE_BINS) - _CENTRE) / PHASE_BINS
        self._circle = np.exp(1j * angles)
        self._reset = _RESET_LEAK * np.repeat(self._prior[:, None] / PHASE_BINS, PHASE_BINS, axis=1)
        self._level_keep = math.exp(-1.0 / (_LEVEL_DECAY_S * spec.frame_rate_hz))
        self._mean_keep = math.exp(-1.0 / (_MEAN_DECAY_S * spec.frame_rate_hz))
        self._accent_keep = math.exp(-1.0 / (_ACCENT_DECAY_S * spec.frame_rate_hz))
        # Rows within about 5 % count as one tempo.
        step = self._log2_tempi[1] - self._log2_tempi[0]
        self._reach = max(1, round(np.log2(1.05) / step))

    def initial_state(self) -> BeatState:
        """Return the state before any sound: no phase is likelier than another."""
        belief = np.repeat(self._prior[:, None] / PHASE_BINS, PHASE_BINS, axis=1)
        best = int(np.argmax(self._prior))
        tempo = float(self._log2_tempi[best])
        return BeatState(belief, best, 0, 0.0, tempo, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0.0)

    def step(self, onsets: FloatArray, state: BeatState) -> tuple[Beats, BeatState]:
        """Take the next onset strengths (n,), any scale, and return the estimates of the n frames."""
        count = len(onsets)
        bpm, phase, confidence = np.empty(count), np.empty(count), np.empty(count)
        beat = np.zeros(count, dtype=np.bool_)
        for frame in range(count):
            state, struck = self._advance(float(onsets[frame]), state)
            state = self._count(struck, state)
            bpm[frame] = 2.0 ** (state.log2_tempo - state.by_twos) * 60 * self.spec.frame_rate_hz
            phase[frame] = (state.phase + state.second) / 2 if state.by_twos else state.phase
            beat[frame] = struck and not (state.by_twos and state.second)
            confidence[frame] = state.confidence
        return Beats(bpm, phase, confidence, beat), state

    def _advance(self, onset: float, state: BeatState) -> tuple[BeatState, bool]:
        relative, state = self._hear(onset, state)
        activity = min(1.0, state.onset_mean / _FULL_ACTIVITY)
        belief = self._predict(state.belief)
        belief = self._update(belief, _ONSET_WEIGHT * activity * (relative - _ONSET_THRESHOLD))
        tempo_index, challenge = self._follow(belief, state)
        state = replace(state, belief=belief, tempo_index=tempo_index, challenge_frames=challenge)
        return self._read_out(activity, state)

    def _hear(self, onset: float, state: BeatState) -> tuple[float, BeatState]:
        """Return the onset as a share of its running peak, and the state with its statistics."""
        onset = min(max(onset, 0.0), 1e6) if math.isfinite(onset) else 0.0
        level = max(onset, state.onset_level * self._level_keep, 1e-6)
        relative = onset / level if level > _LEVEL_FLOOR else 0.0
        keep, power = self._mean_keep, relative * relative
        # The onset sounded onset_delay_frames ago; this frame ends one frame after the last one.
        age = self.spec.onset_delay_frames - 1.0
        sounded_at = 2 * math.pi * (state.phase - age * 2.0**state.log2_tempo)
        keep_accent, in_pair = self._accent_keep, sounded_at / 2 + math.pi * state.second
        return relative, replace(
            state,
            accent=keep_accent * state.accent + (1 - keep_accent) * relative * math.cos(in_pair),
            onset_level=level,
            onset_mean=keep * state.onset_mean + (1 - keep) * relative,
            onset_power=keep * state.onset_power + (1 - keep) * power,
            onset_alignment=keep * state.onset_alignment + (1 - keep) * power * math.cos(sounded_at),
        )

    def _predict(self, belief: FloatArray) -> FloatArray:
        """Move every cell by one frame and let tempi drift."""
        flat = belief.ravel()
        moved: FloatArray = flat[self._taps[0]]
        moved *= self._weights[0]
        for taps, weights in zip(self._taps[1:], self._weights[1:], strict=True):
            tap = flat[taps]
            tap *= weights
            moved += tap
        leak = moved * _TEMPO_LEAK
        moved -= leak
        moved[1:-1] -= leak[1:-1]
        moved[1:] += leak[:-1]
        moved[:-1] += leak[1:]
        moved *= 1 - _RESET_LEAK
        moved += self._reset
        return moved

    def _update(self, belief: FloatArray, evidence: float) -> FloatArray:
        """Weigh the cells that are on their beat by exp(evidence) and normalise, in place."""
        belief[:, self._beat_slice] *= np.exp(evidence * self._beat_shape)
        belief *= 1.0 / belief.sum()
        return belief

    def _follow(self, belief: FloatArray, state: BeatState) -> tuple[int, int]:
        """Choose the tempo row to follow: drift freely, jump only to a lasting winner."""
        tempo = belief.sum(axis=1)
        smooth = np.convolve(tempo, np.ones(2 * self._reach + 1), mode="same")
        index = state.tempo_index
        low, high = max(0, index - self._reach), min(len(tempo), index + self._reach + 1)
        local = low + int(np.argmax(smooth[low:high]))
        best = int(np.argmax(smooth))
        if abs(best - index) <= self._reach:
            return local, 0
        challenge = state.challenge_frames + 1 if smooth[best] > _SWITCH_RATIO * smooth[local] else 0
        if challenge > _SWITCH_FRAMES:
            return best, 0
        return local, challenge

    def _read_out(self, activity: float, state: BeatState) -> tuple[BeatState, bool]:
        """Steer tempo and phase towards the belief around the followed row; tell of a beat."""
        rows = slice(max(0, state.tempo_index - self._reach), state.tempo_index + self._reach + 1)
        local = state.belief[rows]
        mass = max(float(local.sum()), 1e-12)
        target = float(local.sum(axis=1) @ self._log2_tempi[rows]) / mass
        jump = abs(target - state.log2_tempo) > _JUMP_OCTAVES
        log2_tempo = target if jump else state.log2_tempo + _TEMPO_GAIN * (target - state.log2_tempo)
        step = 2.0**log2_tempo
        resultant = complex(local.sum(axis=0) @ self._circle) / mass
        sure = abs(resultant)
        measured = cmath.phase(resultant) / (2 * math.pi) + self.spec.onset_delay_frames * step
        predicted = state.phase + step
        error = (measured - predicted + 0.5) % 1.0 - 0.5
        moved = predicted + error if jump else max(state.phase, predicted + _PHASE_GAIN * sure * error)
        aligned = state.onset_alignment / max(state.onset_power, 1e-9) / _FULL_ALIGNMENT
        plain = 1.0 - _ALIGNMENT_SHARE * (1.0 - min(1.0, max(0.0, aligned)))
        trust = sure * activity * min(1.0, 1.5 * mass) * plain
        confidence = state.confidence + _CONFIDENCE_GAIN * (trust - state.confidence)
        state = replace(state, log2_tempo=log2_tempo, phase=moved % 1.0, confidence=confidence)
        return state, moved >= 1.0

    def _count(self, struck: bool, state: BeatState) -> BeatState:
        """Count pulses by ones or twos; the pulse that was just struck may turn out to be the beat."""
        if self.spec.each_pulse:
            return state
        bpm = 2.0**state.log2_tempo * 60 * self.spec.frame_rate_hz
        by_twos = int(bpm > BY_TWOS_BPM[state.by_twos])
        if not struck:
            return replace(state, by_twos=by_twos)
        if state.accent < -_ACCENT_TO_EXCHANGE * state.onset_mean:
            return replace(state, by_twos=by_twos, accent=-state.accent)
        return replace(state, by_twos=by_twos, second=1 - state.second)


def _cost_of_speed(spec: BeatSpec, log2_tempi: FloatArray) -> FloatArray:
    """What each tempo pays for being too fast to dance to, nats per second."""
    slow, fast = _TOO_FAST_BPM
    share = np.clip((2.0**log2_tempi * 60 * spec.frame_rate_hz - slow) / (fast - slow), 0.0, 1.0)
    return np.asarray(_TOO_FAST_COST * share * share * (3.0 - 2.0 * share))


def _advance_taps(beats_per_frame: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Flat source indices and weights, each (3, tempo, phase), of the move by one frame."""
    shift = beats_per_frame[:, None] * PHASE_BINS
    whole = np.round(shift)
    rest = shift - whole
    rows = np.arange(len(beats_per_frame))[:, None] * PHASE_BINS
    columns = np.arange(PHASE_BINS)[None, :]
    taps = [rows + (columns - whole.astype(np.intp) - k) % PHASE_BINS for k in (-1, 0, 1)]
    outer = _PHASE_VARIANCE + rest**2
    weights = [(outer - rest) / 2, 1 - outer, (outer + rest) / 2]
    return np.array(taps, dtype=np.intp), np.array(weights)


def _beat_window(beats_per_frame: FloatArray) -> tuple[slice, FloatArray]:
    """The phase bins an onset can touch, and the shape (tempo, bins) of its evidence."""
    half = _BEAT_HALF_WIDTH_FRAMES * beats_per_frame[:, None] * PHASE_BINS
    reach = int(np.ceil(half.max()))
    offset = np.arange(-reach, reach + 1)[None, :]
    shape = np.where(np.abs(offset) < half, 0.5 + 0.5 * np.cos(np.pi * offset / half), 0.0)
    return slice(_CENTRE - reach, _CENTRE + reach + 1), shape
