"""The published models' 438 features, causally: one vector per music token, 7.5 a second.

The published features are computed on whole files with windows centred on their frames. Here the
window of each token ends with it (so a vector is about the frame `LAG_TOKENS` before), running maxima
stand in for those of the file, and the tempogram sees the past alone, as at the end of a file. Columns:
20 MFCC, 20 MFCC deltas, 12 chroma (harmonic part), onset strength (percussive part), beat, tempogram of
384 lags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bailando.errors import ConfigError
from bailando.music.features import FeatureSpec
from bailando.music.published_filters import (
    chroma_filters,
    cosine_transform,
    decimation_filters,
    slaney_mel_filters,
)

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]

KIND = "published-438"
DIM = 438
RATE_HZ = 3840
HOP = 512
N_FFT = 2048
MFCCS = 20
LAGS = 384
ONSET, BEAT, TEMPOGRAM = 52, 53, slice(54, 438)
RHYTHM = slice(52, 438)
LAG_TOKENS = 2
"""A vector stands for the published frame so many tokens before the one it ends with."""
# The published onset strength comes two frames after the sound it tells of.
_ONSET_LAG = LAG_TOKENS + 1
_MEDIAN_FRAMES = 31
_RANGE_DB = 80.0


@dataclass(frozen=True)
class PublishedSpec:
    """Definition of the features; a bundle carries it.

    Parameters
    ----------
    base
        The engine's own features, which run along: the beats are theirs.
    rhythm
        Whether onset, beat and tempogram are computed. False leaves them zero, as they were when the
        published weights were trained: the pinned audio library gave zeros at 3840 Hz.
    """

    base: FeatureSpec
    rhythm: bool = False

    def __post_init__(self) -> None:
        token = 8 * self.base.hop_length
        if token * RATE_HZ != HOP * self.base.sample_rate_hz:
            raise ConfigError(
                f"published features need 8 hops that last {HOP / RATE_HZ:.4f} s, got {token} samples at "
                f"{self.base.sample_rate_hz} Hz"
            )

    @property
    def dim(self) -> int:
        """Features per token."""
        return DIM

    @property
    def lead_tokens(self) -> int:
        """So many tokens after the codes that a step takes, the sound that it needs has been heard."""
        return 1 + LAG_TOKENS

    def extractor(self) -> PublishedFeatures:
        """Return what computes them."""
        return PublishedFeatures(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain dictionary that goes into a manifest."""
        return {"kind": KIND, "rhythm": self.rhythm, "base": asdict(self.base)}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> PublishedSpec | None:
        """Return the spec in a manifest's features, None if they are the engine's own.

        Raises
        ------
        ConfigError
            The kind is unknown, or a key is missing, unknown or of the wrong type.
        """
        kind = values.get("kind")
        if kind is None:
            return None
        if (
            kind != KIND
            or set(values) != {"kind", "rhythm", "base"}
            or not isinstance(values["base"], Mapping)
        ):
            raise ConfigError(
                f"features are of kind {kind!r} with keys {sorted(values)}; expected {KIND} with rhythm and "
                "base: update the program or the bundle"
            )
        if not isinstance(values["rhythm"], bool):
            raise ConfigError(f"features.rhythm is {values['rhythm']!r}; expected true or false")
        return cls(FeatureSpec.from_dict(dict(values["base"])), values["rhythm"])


class TokenExtractor(Protocol):
    """What turns the sound of one token after another into what a published model hears of it."""

    def step(self, samples: NDArray[np.floating[Any]], frames: Float32Array) -> Float32Array:
        """Take the next token's sound.

        Parameters
        ----------
        samples : (8 * hop_length,)
            At the base features' rate; NaN and infinities count as 0.
        frames : (8, F)
            The base features of the same sound.

        Returns
        -------
        (dim,) float32
            Finite; of the spec's width.
        """
        ...


def clean(samples: NDArray[np.floating[Any]]) -> FloatArray:
    """Return samples that can be computed with: NaN and infinities are 0, the rest is bounded."""
    bounded = np.clip(np.nan_to_num(samples, posinf=0.0, neginf=0.0), -1e4, 1e4)
    return np.asarray(bounded, np.float64)


class PublishedFeatures:
    """Turns the samples of one token after another into feature vectors.

    Parameters
    ----------
    spec : PublishedSpec
        What to compute.
    """

    def __init__(self, spec: PublishedSpec) -> None:
        self.spec = spec
        self._decimation = decimation_filters(spec.base.sample_rate_hz, RATE_HZ)
        self._step = spec.base.sample_rate_hz // np.gcd(spec.base.sample_rate_hz, RATE_HZ)
        self._window = np.hanning(N_FFT + 1)[:-1]
        self._mel = slaney_mel_filters(RATE_HZ, N_FFT)
        self._cosines = cosine_transform(MFCCS, len(self._mel))
        self._chroma = chroma_filters(RATE_HZ, N_FFT)
        names = spec.base.channel_names
        self._phase = names.index("beat_sin"), names.index("beat_cos")
        self._tail = np.zeros(self._decimation.shape[1] - self._step)
        self._samples = np.zeros(N_FFT)
        self._spectra = np.zeros((_MEDIAN_FRAMES, N_FFT // 2 + 1))
        self._heard = 0
        self._loudest_db = -np.inf
        self._loudest_beat_db = -np.inf
        self._mfcc = np.zeros((3, MFCCS))
        self._chroma_before = np.zeros(12)
        self._beat_db = np.zeros(len(self._mel))
        self._envelope = np.zeros(LAGS // 2 + _ONSET_LAG)
        self._last_phase = 0.0

    def step(self, samples: NDArray[np.floating[Any]], frames: Float32Array) -> Float32Array:
        """Return the vector (438,) of the next token; see `TokenExtractor`."""
        self._decimate(clean(samples))
        spectrum = np.fft.rfft(self._samples * self._window)
        power = spectrum.real**2 + spectrum.imag**2
        magnitude = np.sqrt(power)
        self._spectra = np.concatenate([self._spectra[1:], magnitude[None]])
        self._heard = min(self._heard + 1, _MEDIAN_FRAMES)
        out = np.zeros(DIM, np.float32)
        out[:40] = self._timbre(power)
        harmonic, percussive = self._separate(magnitude)
        chroma = self._chroma @ (harmonic * magnitude) ** 2
        chroma = np.sqrt(chroma)
        out[40:52], self._chroma_before = self._chroma_before, chroma / max(float(chroma.max()), 1e-9)
        if self.spec.rhythm:
            self._rhythm(percussive**2 * power, frames, out)
        return out

    def _decimate(self, samples: FloatArray) -> None:
        """Append the token at 3840 Hz to the analysis window."""
        stream = np.concatenate([self._tail, samples.astype(np.float64)])
        taps = self._decimation.shape[1]
        windows = np.lib.stride_tricks.sliding_window_view(stream, taps)[:: self._step]
        count = len(samples) // self._step
        decimated = (windows[:count] @ self._decimation.T).ravel()
        self._tail = stream[len(stream) - len(self._tail) :]
        self._samples = np.concatenate([self._samples, decimated])[-N_FFT:]

    def _timbre(self, power: FloatArray) -> FloatArray:
        """Return the 20 MFCC of the token before and half their change from the one before to the newest."""
        level_db = 10.0 * np.log10(np.maximum(self._mel @ power, 1e-10))
        self._loudest_db = max(self._loudest_db, float(level_db.max()))
        mfcc = self._cosines @ np.maximum(level_db, self._loudest_db - _RANGE_DB)
        if self._heard == 1:
            self._mfcc[:] = mfcc
        self._mfcc = np.concatenate([self._mfcc[1:], mfcc[None]])
        return np.concatenate([self._mfcc[1], (self._mfcc[2] - self._mfcc[0]) / 2])

    def _separate(self, magnitude: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the shares (bins,) of the harmonic and percussive parts, by medians (Fitzgerald 2010)."""
        lasting = np.median(self._spectra[-self._heard :], axis=0) ** 2
        reach = _MEDIAN_FRAMES // 2
        padded = np.pad(magnitude, reach, mode="reflect")
        broad = np.median(np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN_FRAMES), axis=1) ** 2
        total = np.maximum(lasting + broad, 1e-20)
        return lasting / total, broad / total

    def _rhythm(self, percussive: FloatArray, frames: Float32Array, out: Float32Array) -> None:
        """Fill onset, beat and tempogram from the percussive power spectrum."""
        level_db = 10.0 * np.log10(np.maximum(self._mel @ percussive, 1e-10))
        self._loudest_beat_db = max(self._loudest_beat_db, float(level_db.max()))
        level_db = np.maximum(level_db, self._loudest_beat_db - _RANGE_DB)
        rise = np.maximum(level_db - self._beat_db, 0.0) if self._heard > 1 else np.zeros(len(level_db))
        self._beat_db = level_db
        self._envelope = np.concatenate([self._envelope[1:], [float(np.median(rise))]])
        heard = self._envelope[:-_ONSET_LAG]
        out[ONSET] = heard[-1]
        out[BEAT] = self._has_beat(frames)
        out[TEMPOGRAM] = _tempogram(heard)

    def _has_beat(self, frames: Float32Array) -> float:
        """Whether the tracked phase passes 0 within the token."""
        sine, cosine = (frames[:, column].astype(np.float64) for column in self._phase)
        phases = np.concatenate([[self._last_phase], np.arctan2(sine, cosine) / (2 * np.pi) % 1.0])
        self._last_phase = float(phases[-1])
        return float(np.any(np.diff(phases) < -0.5))


def _tempogram(envelope: FloatArray) -> FloatArray:
    """Autocorrelation (384,) of the last 192 onsets under half a window, scaled to a maximum of 1."""
    ramp = np.linspace(envelope[-1], 0.0, LAGS - len(envelope))
    windowed = np.concatenate([envelope, ramp]) * np.hanning(LAGS + 1)[:-1]
    spectrum = np.fft.rfft(windowed, 2 * LAGS)
    lags = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[:LAGS]
    scaled: FloatArray = lags / max(float(np.abs(lags).max()), 1e-12)
    return scaled
