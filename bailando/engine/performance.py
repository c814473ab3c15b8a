"""From samples to motion: the one path that both the live engine and the offline generator take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.dancer import Dancer
from bailando.engine.session import MotionChunk, Session
from bailando.music.features import REFERENCE_BPM, FeatureExtractor
from bailando.music.published_features import PublishedFeatures

Float32Array = NDArray[np.float32]


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
        Loudness and onset strength, both in [0, 1].
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


class Performance:
    """Features, music tokens and one dance; the result does not depend on how samples are cut.

    Parameters
    ----------
    dancer : Dancer
    session : Session
        A fresh session of that dancer.

    Attributes
    ----------
    samples : int
        Samples taken so far, at `sample_rate_hz`.
    replaced_samples : int
        NaN and infinite samples, which count as silence.
    reading : MusicReading
        The newest feature frame in words.
    """

    def __init__(self, dancer: Dancer, session: Session) -> None:
        spec = dancer.feature_spec
        self.session = session
        self.sample_rate_hz = spec.sample_rate_hz
        self.samples = 0
        self.replaced_samples = 0
        self.reading = MusicReading()
        self._hop_length = spec.hop_length
        self._frames_per_token = dancer.manifest.frames_per_token
        self._skip_tokens = dancer.manifest.music_lead_tokens
        self._extractor = FeatureExtractor(spec)
        self._feature_state = self._extractor.initial_state()
        self._columns = {name: column for column, name in enumerate(spec.channel_names)}
        self._tail: Float32Array = np.empty(0, np.float32)
        self._features: Float32Array = np.empty((0, spec.frame_dim), np.float32)
        self._frames = 0
        self._delay_tokens = dancer.delay_tokens
        published = dancer.published_spec
        self._published = None if published is None else PublishedFeatures(published)
        self._hops: Float32Array = np.empty((0, spec.hop_length), np.float32)

    def feed(self, samples: NDArray[np.floating[Any]]) -> list[MotionChunk]:
        """Take samples and return the chunks that became ready.

        Token j is ready once the audio up to 8 j / 60 s was fed, or so many tokens later as the bundle
        looks ahead; token 0 of one without comes with the first call, which may be empty.

        Parameters
        ----------
        samples : (n,) float32
            Mono, at `sample_rate_hz`.
        """
        chunks = [] if self.session.token else [self.session.step(None)]
        self._hear(np.asarray(samples, np.float32))
        while len(self._features) >= self._frames_per_token:
            token = self._next_token()
            if self._skip_tokens:
                self._skip_tokens -= 1
            else:
                chunks.append(self.session.step(token))
        return [chunk for chunk in chunks if chunk.first_frame >= 0]

    def finish(self) -> list[MotionChunk]:
        """End the sound: return the chunks that were waiting for more of it, which is silence now."""
        heard = self.samples
        silence = self._delay_tokens * self._frames_per_token * self._hop_length
        chunks = self.feed(np.zeros(silence, np.float32)) if silence else []
        self.samples = heard
        return chunks

    def _next_token(self) -> Float32Array:
        """Take one music token off the queue."""
        token, self._features = np.split(self._features, [self._frames_per_token])
        if self._published is None:
            return token
        hops, self._hops = np.split(self._hops, [self._frames_per_token])
        return self._published.step(hops.ravel(), token)

    def _hear(self, samples: Float32Array) -> None:
        """Turn whole hops into features and keep the rest."""
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
        self._features = np.concatenate([self._features, features])
        if self._published is not None:
            self._hops = np.concatenate([self._hops, hops])
        self._frames += count
        self.reading = self._read(features[-1])

    def _read(self, features: Float32Array) -> MusicReading:
        """Put one feature frame into words."""
        values = {name: float(features[column]) for name, column in self._columns.items()}
        angle = np.arctan2(values["beat_sin"], values["beat_cos"])
        return MusicReading(
            frame=self._frames - 1,
            bpm=REFERENCE_BPM * 2.0 ** values["tempo_octave"],
            phase=float(angle / (2 * np.pi)) % 1.0,
            confidence=min(max(values["beat_confidence"], 0.0), 1.0),
            level=min(max(values["level"], 0.0), 1.0),
            onset=min(max(values["onset"], 0.0), 1.0),
        )


def frame_count(samples: int, sample_rate_hz: int, frame_rate_hz: int = 60) -> int:
    """Return how many frames cover a song of so many samples (the last one may reach beyond)."""
    return -(-samples * frame_rate_hz // sample_rate_hz)
