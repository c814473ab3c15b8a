"""From samples to music tokens: what all dancers of a show hear alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.dancer import Dancer
from bailando.engine.silence import DEFAULT_THRESHOLD_DB, SilenceGate
from bailando.engine.tempo import TempoOverride
from bailando.music.features import REFERENCE_BPM, FeatureExtractor

Float32Array = NDArray[np.float32]
# The feature is 1 at the average loudness and changes by 1 in 40 dB; music lies on both sides of it.
_AVERAGE_TO_METER = 0.25


@dataclass(frozen=True)
class MusicReading:
    """What the features said at the end of one feature frame.

    Attributes
    ----------
    frame : int
        Number of the feature frame; it covers the media time [frame / 60, (frame + 1) / 60) s.
    bpm, phase, confidence : float
        Tempo, place within the beat in [0, 1) at the end of the frame, trust in both in [0, 1].
    level, onset : float
        Loudness and onset strength, both in [0, 1]. The level is a meter of 40 dB about the average loudness
        of late: that is 0.75, what is 30 dB below it 0, 10 dB above it 1.
    """

    frame: int = -1
    bpm: float = 0.0
    phase: float = 0.0
    confidence: float = 0.0
    level: float = 0.0
    onset: float = 0.0

    def phase_at(self, frame: int) -> float:
        """Return the phase at the beginning of another frame, were the tempo to stay."""
        return (self.phase + (frame - self.frame - 1) * self.bpm / 3600.0) % 1.0


@dataclass(frozen=True)
class MusicToken:
    """Music of one token: features for the GPT, and whether it has been silent."""

    features: Float32Array
    silent: bool


class Listener:
    """Turns samples into music tokens; the result does not depend on how samples are cut.

    Parameters
    ----------
    dancer : Dancer
    silence_threshold_db : float
        See `SilenceGate`.

    Attributes
    ----------
    samples : int
        Samples taken so far, at `sample_rate_hz`.
    replaced_samples : int
        NaN and infinite samples, which count as silence.
    reading : MusicReading
        The newest feature frame in words.
    tempo : TempoOverride
        A beat that somebody gave instead of the tracker.
    """

    def __init__(self, dancer: Dancer, silence_threshold_db: float = DEFAULT_THRESHOLD_DB) -> None:
        spec = dancer.feature_spec
        self.sample_rate_hz = spec.sample_rate_hz
        self.samples = 0
        self.replaced_samples = 0
        self.reading = MusicReading()
        self.tempo = TempoOverride(spec.channel_names)
        self._gate = SilenceGate(silence_threshold_db)
        self._hop_length = spec.hop_length
        self._frames_per_token = dancer.manifest.frames_per_token
        self._extractor = FeatureExtractor(spec)
        self._feature_state = self._extractor.initial_state()
        self._columns = {name: column for column, name in enumerate(spec.channel_names)}
        self._tail: Float32Array = np.empty(0, np.float32)
        self._features: Float32Array = np.empty((0, spec.frame_dim), np.float32)
        self._hops: Float32Array = np.empty((0, spec.hop_length), np.float32)
        self._frames = 0
        published = dancer.published_spec
        self._published = None if published is None else published.extractor()

    def hear(self, samples: NDArray[np.floating[Any]]) -> None:
        """Take samples (n,), mono, at `sample_rate_hz`: whole hops become features, the rest waits."""
        samples = np.asarray(samples, np.float32)
        finite = np.isfinite(samples)
        self.replaced_samples += int(samples.size - np.count_nonzero(finite))
        self.samples += samples.size
        stream = np.concatenate([self._tail, np.where(finite, samples, np.float32(0))])
        count = len(stream) // self._hop_length
        self._tail = stream[count * self._hop_length :]
        if count == 0:
            return
        hops = stream[: count * self._hop_length].reshape(count, self._hop_length)
        features, self._feature_state = self._extractor.step(hops, self._feature_state)
        features = self.tempo.apply(features, self._frames)
        self._features = np.concatenate([self._features, features])
        self._hops = np.concatenate([self._hops, hops])
        self._frames += count
        self.reading = self._read(features[-1])

    def next_token(self) -> MusicToken | None:
        """Take the oldest music token; None while its music is incomplete."""
        if len(self._features) < self._frames_per_token:
            return None
        features, self._features = np.split(self._features, [self._frames_per_token])
        hops, self._hops = np.split(self._hops, [self._frames_per_token])
        self._gate.hear(hops)
        if self._published is not None:
            features = self._published.step(hops.ravel(), features)
        return MusicToken(features, self._gate.silent)

    def _read(self, features: Float32Array) -> MusicReading:
        """Put one feature frame into words."""
        values = {name: float(features[column]) for name, column in self._columns.items()}
        angle = np.arctan2(values["beat_sin"], values["beat_cos"])
        return MusicReading(
            frame=self._frames - 1,
            bpm=REFERENCE_BPM * 2.0 ** values["tempo_octave"],
            phase=float(angle / (2 * np.pi)) % 1.0,
            confidence=min(max(values["beat_confidence"], 0.0), 1.0),
            level=min(max(values["level"] - _AVERAGE_TO_METER, 0.0), 1.0),
            onset=min(max(values["onset"], 0.0), 1.0),
        )
