"""The beat tracker as tensors of fixed size: one frame of `bailando.music.beats` without branches.

Every choice of the tracker is an ArgMax, a mask or a Where, so that the step is a static graph. Its
numbers are read from the tracker's module: there is one definition of them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bailando.models.streaming import State
from bailando.music import beats
from bailando.music.beats import BeatTracker

_TINY = 1e-12
_LN2 = math.log(2.0)


class BeatStep(nn.Module):
    """One frame of the beat tracker for a batch of listeners, float32.

    Parameters
    ----------
    tracker : BeatTracker
        Whose frame it is.
    """

    taps: Tensor
    weights: Tensor
    drift: Tensor
    reset: Tensor
    evidence: Tensor
    neighbours: Tensor
    tempi: Tensor
    circle: Tensor
    first_belief: Tensor

    def __init__(self, tracker: BeatTracker) -> None:
        super().__init__()
        self.tracker = tracker
        count = len(tracker._log2_tempi)
        shape = np.zeros((count, beats.PHASE_BINS))
        shape[:, tracker._beat_slice] = tracker._beat_shape
        rows = np.arange(count)
        near = np.abs(rows[:, None] - rows[None, :]) <= tracker._reach
        self.first_tempo = int(np.argmax(tracker._prior))
        first = tracker.initial_state()
        constants = {
            "weights": tracker._weights,
            "drift": _drift(count),
            "reset": tracker._reset,
            "evidence": shape,
            "neighbours": near,
            "tempi": tracker._log2_tempi,
            "circle": np.stack([tracker._circle.real, tracker._circle.imag], axis=1),
            "first_belief": first.belief,
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(np.asarray(value, np.float32)))
        self.register_buffer("taps", torch.from_numpy(tracker._taps.ravel()))

    def initial_state(self, batch: int) -> State:
        """Return zeros; the first frame puts the tracker's start values in place of them."""
        tempi, bins = self.first_belief.shape
        return {
            "started": torch.zeros(batch, dtype=torch.int64),
            "belief": torch.zeros(batch, tempi, bins),
            "tempo_index": torch.zeros(batch, dtype=torch.int64),
            "challenge_frames": torch.zeros(batch, dtype=torch.int64),
            "phase": torch.zeros(batch),
            "log2_tempo": torch.zeros(batch),
            "onset_level": torch.zeros(batch),
            "onset_mean": torch.zeros(batch),
            "onset_power": torch.zeros(batch),
            "onset_alignment": torch.zeros(batch),
            "confidence": torch.zeros(batch),
            "by_twos": torch.zeros(batch, dtype=torch.int64),
            "second": torch.zeros(batch, dtype=torch.int64),
            "accent": torch.zeros(batch),
        }

    def forward(self, onset: Tensor, state: State) -> State:
        """Take the onset strength ``[B]`` of one frame; return the state after it, which is the answer."""
        state = self._started(state)
        relative, state = self._hear(onset, state)
        activity = (state["onset_mean"] / beats._FULL_ACTIVITY).clamp_max(1.0)
        strength = beats._ONSET_WEIGHT * activity * (relative - beats._ONSET_THRESHOLD)
        state = state | {"belief": self._weigh(self._predict(state["belief"]), strength)}
        struck, state = self._read_out(activity, self._follow(state))
        return self._count(struck, state)

    def counted(self, state: State) -> tuple[Tensor, Tensor]:
        """Return phase and log2 tempo as given out, both of the pulse or of every second one."""
        by_twos = state["by_twos"] == 1
        second = state["second"].to(state["phase"].dtype)
        phase = torch.where(by_twos, (state["phase"] + second) / 2, state["phase"])
        return phase, torch.where(by_twos, state["log2_tempo"] - 1.0, state["log2_tempo"])

    def _started(self, state: State) -> State:
        """Replace the zeros of a session's first frame by the tracker's start values."""
        new = state["started"] == 0
        first = self.tempi[self.first_tempo]
        return state | {
            "started": state["started"].clamp_min(1),
            "belief": torch.where(new[:, None, None], self.first_belief, state["belief"]),
            "tempo_index": torch.where(new, self.first_tempo, state["tempo_index"]),
            "log2_tempo": torch.where(new, first, state["log2_tempo"]),
        }

    def _hear(self, onset: Tensor, state: State) -> tuple[Tensor, State]:
        """`BeatTracker._hear`."""
        spec, keep = self.tracker.spec, self.tracker._mean_keep
        onset = onset.clamp(0.0, 1e6)
        level = torch.maximum(onset, state["onset_level"] * self.tracker._level_keep).clamp_min(1e-6)
        relative = torch.where(level > beats._LEVEL_FLOOR, onset / level, 0.0)
        power = relative * relative
        age = spec.onset_delay_frames - 1.0
        sounded_at = 2 * math.pi * (state["phase"] - age * _exp2(state["log2_tempo"]))
        keep_accent = self.tracker._accent_keep
        in_pair = sounded_at / 2 + math.pi * state["second"].to(relative.dtype)
        return relative, state | {
            "accent": keep_accent * state["accent"] + (1 - keep_accent) * relative * torch.cos(in_pair),
            "onset_level": level,
            "onset_mean": keep * state["onset_mean"] + (1 - keep) * relative,
            "onset_power": keep * state["onset_power"] + (1 - keep) * power,
            "onset_alignment": keep * state["onset_alignment"] + (1 - keep) * power * torch.cos(sounded_at),
        }

    def _predict(self, belief: Tensor) -> Tensor:
        """`BeatTracker._predict`: the three taps are one Gather, the drift between tempi a product."""
        batch = belief.shape[0]
        sources = belief.reshape(batch, -1).index_select(1, self.taps)
        moved = (sources.reshape(batch, *self.tracker._taps.shape) * self.weights).sum(dim=1)
        return torch.matmul(self.drift, moved) + self.reset

    def _weigh(self, belief: Tensor, strength: Tensor) -> Tensor:
        """`BeatTracker._update`."""
        weighed = belief * torch.exp(strength[:, None, None] * self.evidence)
        return weighed / weighed.sum(dim=(1, 2), keepdim=True)

    def _follow(self, state: State) -> State:
        """`BeatTracker._follow`: rows out of reach are masked."""
        smooth = torch.matmul(state["belief"].sum(dim=2), self.neighbours)
        index = state["tempo_index"]
        reachable = self.neighbours.index_select(0, index)
        masked = smooth * reachable
        local, best = masked.argmax(dim=1), smooth.argmax(dim=1)
        distant = (best - index).abs() > self.tracker._reach
        better = smooth.amax(dim=1) > beats._SWITCH_RATIO * masked.amax(dim=1)
        challenge = torch.where(distant & better, state["challenge_frames"] + 1, 0)
        switch = challenge > beats._SWITCH_FRAMES
        return state | {
            "tempo_index": torch.where(switch, best, local),
            "challenge_frames": torch.where(switch, 0, challenge),
        }

    def _read_out(self, activity: Tensor, state: State) -> tuple[Tensor, State]:
        """`BeatTracker._read_out`: whether a pulse was struck, and the state."""
        rows = self.neighbours.index_select(0, state["tempo_index"])
        local = state["belief"] * rows[:, :, None]
        mass = local.sum(dim=(1, 2)).clamp_min(_TINY)
        target = torch.matmul(local.sum(dim=2), self.tempi) / mass
        change = target - state["log2_tempo"]
        jump = change.abs() > beats._JUMP_OCTAVES
        log2_tempo = torch.where(jump, target, state["log2_tempo"] + beats._TEMPO_GAIN * change)
        step = _exp2(log2_tempo)
        across, along = (torch.matmul(local.sum(dim=1), self.circle) / mass[:, None]).unbind(dim=1)[::-1]
        sure = torch.sqrt(across * across + along * along)
        measured = _angle(across, along) / (2 * math.pi) + self.tracker.spec.onset_delay_frames * step
        predicted = state["phase"] + step
        error = _fraction(measured - predicted + 0.5) - 0.5
        steered = torch.maximum(state["phase"], predicted + beats._PHASE_GAIN * sure * error)
        moved = torch.where(jump, predicted + error, steered)
        aligned = state["onset_alignment"] / state["onset_power"].clamp_min(1e-9) / beats._FULL_ALIGNMENT
        plain = 1.0 - beats._ALIGNMENT_SHARE * (1.0 - aligned.clamp(0.0, 1.0))
        trust = sure * activity * (1.5 * mass).clamp_max(1.0) * plain
        return moved >= 1.0, state | {
            "log2_tempo": log2_tempo,
            "phase": _fraction(moved),
            "confidence": state["confidence"] + beats._CONFIDENCE_GAIN * (trust - state["confidence"]),
        }

    def _count(self, struck: Tensor, state: State) -> State:
        """`BeatTracker._count`."""
        bpm = _exp2(state["log2_tempo"]) * (60 * self.tracker.spec.frame_rate_hz)
        above, below = beats.BY_TWOS_BPM
        by_twos = bpm > torch.where(state["by_twos"] == 1, below, above)
        exchange = struck & (state["accent"] < -beats._ACCENT_TO_EXCHANGE * state["onset_mean"])
        turn = struck & ~exchange
        return state | {
            "by_twos": by_twos.to(torch.int64),
            "second": torch.where(turn, 1 - state["second"], state["second"]),
            "accent": torch.where(exchange, -state["accent"], state["accent"]),
        }


def _drift(tempi: int) -> NDArray[np.float64]:
    """Matrix (tempo, tempo) of the leak to neighbouring tempi, less what is reset."""
    leak = beats._TEMPO_LEAK
    drift = np.diag(np.full(tempi, 1 - 2 * leak)) + leak * (np.eye(tempi, k=1) + np.eye(tempi, k=-1))
    drift[0, 0] = drift[-1, -1] = 1 - leak
    return np.asarray(drift * (1 - beats._RESET_LEAK))


def _exp2(x: Tensor) -> Tensor:
    return torch.exp(x * _LN2)


def _fraction(x: Tensor) -> Tensor:
    return x - torch.floor(x)


def _angle(y: Tensor, x: Tensor) -> Tensor:
    """Angle of (x, y) in -π..π by an arc tangent that never divides by zero."""
    radius = torch.sqrt(x * x + y * y)
    acute = 2 * torch.atan(y / (radius + x.abs()).clamp_min(_TINY))
    return torch.where(x >= 0, acute, torch.where(y >= 0, math.pi, -math.pi) - acute)
