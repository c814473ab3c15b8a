"""Bailando++'s 55 features, causally: 60 frames a second, as its music transformer hears them.

The published features are computed on whole files at 30 720 Hz with windows of 2048 samples, centred on
their frames. The same windows, 1/15 s long, are cut here out of the engine's sound, so the bins are the
same. A frame is given `LAG_TOKENS` tokens late: then medians and differences are centred as published.
What is not: running maxima stand in for those of the file, bands above the engine's sound are guessed,
chroma comes from a spectrum and the beats from the live tracker. Columns: 20 MFCC, 20 MFCC deltas, 12
chroma (harmonic part), onset strength (percussive part), beat, tempogram at lag 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bailando.errors import ConfigError
from bailando.music.features import FeatureSpec
from bailando.music.published_features import LAG_TOKENS, MFCCS, PublishedSpec, clean
from bailando.music.published_features import RATE_HZ as CHROMA_RATE_HZ
from bailando.music.published_filters import (
    chroma_filters,
    cosine_transform,
    decimation_filters,
    slaney_mel_filters,
)

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]

KIND = "published-55"
FRAME_DIM = 55
FRAMES = 8
TOKEN_DIM = FRAMES * FRAME_DIM
RATE_HZ = 30720
N_FFT = 2048
ONSET_TOP_HZ = 11025.0
PADDING_TOKENS = 5
CONTEXT_TOKENS = 2 * PADDING_TOKENS + 1

_WINDOW_HOPS = 4
_MEDIAN_FRAMES = 31
_CENTRE = _MEDIAN_FRAMES // 2
# The frame that is given lies so many frames before the newest sound.
_DELAY = FRAMES * LAG_TOKENS
# The published onset strength, and the beats found in it, come two frames after the sound they tell of.
_ONSET_LAG = 2
_TEMPOGRAM_PAST = 192
_CHROMA_FFT, _CHROMA_HOP = 2048, CHROMA_RATE_HZ // 60
# The engine's resampling leaves the spectrum whole up to this share of the Nyquist frequency.
_TRUSTED = 0.8
# Higher bands go on from the mean of so many below, falling by this per band, as they do in songs.
_GUESS_BANDS = 8
_TILT_DB = 0.5
_RANGE_DB = 80.0


@dataclass(frozen=True)
class PublishedFrameSpec:
    """Definition of the features; a bundle carries it.

    Parameters
    ----------
    base
        The engine's own features, which run along: the beats are theirs.
    """

    base: FeatureSpec

    def __post_init__(self) -> None:
        if self.base.frame_rate_hz != 60.0 or 60 * self.base.hop_length > RATE_HZ:
            raise ConfigError(
                f"Bailando++'s features need 60 frames a second of at most {RATE_HZ} Hz, got "
                f"{self.base.frame_rate_hz:g} at {self.base.sample_rate_hz} Hz"
            )

    @property
    def dim(self) -> int:
        """Features given per token: those of `CONTEXT_TOKENS` tokens, oldest first."""
        return CONTEXT_TOKENS * TOKEN_DIM

    @property
    def lead_tokens(self) -> int:
        """So many tokens after the codes that a step takes, the sound that it needs has been heard."""
        return 1 + PADDING_TOKENS + LAG_TOKENS

    def to_dict(self) -> dict[str, Any]:
        """Return the plain dictionary that goes into a manifest."""
        return {"kind": KIND, "base": asdict(self.base)}

    def extractor(self) -> PublishedFrames:
        """Return what computes them."""
        return PublishedFrames(self)


def read_published(values: Mapping[str, Any]) -> PublishedSpec | PublishedFrameSpec | None:
    """Return the spec in a manifest's features, None if they are the engine's own.

    Raises
    ------
    ConfigError
        The kind is unknown, or a key is missing, unknown or of the wrong type.
    """
    if values.get("kind") != KIND:
        return PublishedSpec.read(values)
    if set(values) != {"kind", "base"} or not isinstance(values["base"], Mapping):
        raise ConfigError(
            f"features of kind {KIND} have keys {sorted(values)}; expected kind and base: update the program "
            "or the bundle"
        )
    return PublishedFrameSpec(FeatureSpec.from_dict(dict(values["base"])))


class PublishedFrames:
    """Turns the samples of one token after another into what the music transformer hears.

    Parameters
    ----------
    spec : PublishedFrameSpec
        What to compute.
    """

    def __init__(self, spec: PublishedFrameSpec) -> None:
        self.spec = spec
        rate_hz, size = spec.base.sample_rate_hz, _WINDOW_HOPS * spec.base.hop_length
        bins = size // 2 + 1
        self._window = np.hanning(size + 1)[:-1] * (N_FFT / size)
        mel = slaney_mel_filters(RATE_HZ, N_FFT)
        self._trusted = _bands_below(mel, _TRUSTED * rate_hz / 2)
        self._fall_db = _TILT_DB * (np.arange(len(mel) - self._trusted) + (_GUESS_BANDS + 1) / 2)
        self._mel = mel[:, :bins]
        self._onset_mel = slaney_mel_filters(RATE_HZ, N_FFT, ONSET_TOP_HZ)[:, :bins]
        self._cosines = cosine_transform(MFCCS, len(mel))
        self._chroma = chroma_filters(CHROMA_RATE_HZ, _CHROMA_FFT)
        self._decimation = decimation_filters(rate_hz, CHROMA_RATE_HZ)
        self._step = rate_hz // np.gcd(rate_hz, CHROMA_RATE_HZ)
        names = spec.base.channel_names
        self._phase = names.index("beat_sin"), names.index("beat_cos")
        self._begin(size, bins)

    def _begin(self, size: int, bins: int) -> None:
        """Begin in silence."""
        self._samples = np.zeros(size - self.spec.base.hop_length)
        self._tail = np.zeros(self._decimation.shape[1] - self._step)
        self._low = np.zeros(_CHROMA_FFT)
        self._spectra = np.zeros((_MEDIAN_FRAMES - 1, bins))
        self._mfcc = np.zeros((0, MFCCS))
        self._onset_db: FloatArray | None = None
        self._loudest_db = self._loudest_onset_db = -np.inf
        self._onsets = np.zeros(_ONSET_LAG + _TEMPOGRAM_PAST)
        self._beats = np.zeros(_DELAY + _ONSET_LAG)
        self._last_phase = 0.0
        self._context: list[Float32Array] = []

    def step(self, samples: NDArray[np.floating[Any]], frames: Float32Array) -> Float32Array:
        """Return (4840,): 8 frames of 55 features for each of 11 tokens, oldest first; see `TokenExtractor`.

        Before the first token stands the first.
        """
        sound = clean(samples)
        magnitude = self._magnitudes(sound)
        self._spectra = np.concatenate([self._spectra[-_MEDIAN_FRAMES + 1 :], magnitude])
        harmonic, percussive = self._separate()
        centre = self._spectra[_CENTRE : _CENTRE + FRAMES]
        out = np.zeros((FRAMES, FRAME_DIM), np.float32)
        out[:, :40] = self._timbre(magnitude**2)
        out[:, 40:52] = self._harmony(sound, harmonic)
        out[:, 52] = self._onset((percussive * centre) ** 2)
        out[:, 53] = self._beat(frames)
        out[:, 54] = sliding_window_view(self._onsets, _TEMPOGRAM_PAST)[1 : FRAMES + 1].max(axis=1) > 0
        self._context = [*(self._context or [out] * CONTEXT_TOKENS)[1:], out]
        return np.concatenate(self._context).ravel()

    def _magnitudes(self, sound: FloatArray) -> FloatArray:
        """Return the spectra (8, bins) of the windows that end with each frame."""
        hop = self.spec.base.hop_length
        stream = np.concatenate([self._samples, sound])
        self._samples = stream[-len(self._samples) :]
        windows = sliding_window_view(stream, len(self._window))[::hop]
        return np.asarray(np.abs(np.fft.rfft(windows * self._window, axis=1)))

    def _separate(self) -> tuple[FloatArray, FloatArray]:
        """Return the shares (8, bins) of the harmonic and percussive parts, by medians (Fitzgerald 2010)."""
        spectra = self._spectra.astype(np.float32)
        lasting = _median(sliding_window_view(spectra, _MEDIAN_FRAMES, axis=0)) ** 2
        padded = np.pad(spectra[_CENTRE : _CENTRE + FRAMES], ((0, 0), (_CENTRE, _CENTRE)), mode="reflect")
        broad = _median(sliding_window_view(padded, _MEDIAN_FRAMES, axis=1)) ** 2
        total = np.maximum(lasting + broad, 1e-20)
        return lasting / total, broad / total

    def _timbre(self, power: FloatArray) -> FloatArray:
        """Return the MFCC (8, 20) of `_DELAY` frames ago and half their change around them."""
        level_db = _decibel(power @ self._mel.T)
        known = level_db[:, self._trusted - _GUESS_BANDS : self._trusted].mean(axis=1, keepdims=True)
        level_db[:, self._trusted :] = known - self._fall_db
        self._loudest_db = max(self._loudest_db, float(level_db.max()))
        mfcc = np.maximum(level_db, self._loudest_db - _RANGE_DB) @ self._cosines.T
        if not len(self._mfcc):
            self._mfcc = np.repeat(mfcc[:1], _DELAY, axis=0)
        self._mfcc = np.concatenate([self._mfcc[-_DELAY:], mfcc])
        # A window is about the frame before the one that it ends with.
        now, before, after = (self._mfcc[first : first + FRAMES] for first in (1, 0, 2))
        return np.concatenate([now, (after - before) / 2], axis=1)

    def _harmony(self, sound: FloatArray, harmonic: FloatArray) -> FloatArray:
        """Return the chroma (8, 12) of the harmonic part, the loudest semitone 1."""
        stream = np.concatenate([self._tail, sound])
        self._tail = stream[len(stream) - len(self._tail) :]
        windows = sliding_window_view(stream, self._decimation.shape[1])[:: self._step]
        low = (windows[: len(sound) // self._step] @ self._decimation.T).ravel()
        self._low = np.concatenate([self._low[-_CHROMA_FFT:], low])
        # One hop older than the newest sound: then a window's middle is the frame that is given.
        parts = sliding_window_view(self._low, _CHROMA_FFT)[:-1:_CHROMA_HOP]
        magnitude = np.abs(np.fft.rfft(parts * np.hanning(_CHROMA_FFT + 1)[:-1], axis=1))
        fine = np.arange(magnitude.shape[1]) * (CHROMA_RATE_HZ / _CHROMA_FFT)
        coarse = np.arange(harmonic.shape[1]) * (RATE_HZ / N_FFT)
        share = np.array([np.interp(fine, coarse, row) for row in harmonic])
        chroma = np.sqrt((share * magnitude) ** 2 @ self._chroma.T)
        scaled: FloatArray = chroma / np.maximum(chroma.max(axis=1, keepdims=True), 1e-9)
        return scaled

    def _onset(self, percussive: FloatArray) -> FloatArray:
        """Return the onset strength (8,) from the percussive power spectra (8, bins)."""
        level_db = _decibel(percussive @ self._onset_mel.T)
        self._loudest_onset_db = max(self._loudest_onset_db, float(level_db.max()))
        level_db = np.maximum(level_db, self._loudest_onset_db - _RANGE_DB)
        before = level_db[:1] if self._onset_db is None else self._onset_db
        self._onset_db = level_db[-1:]
        rise = np.maximum(np.diff(level_db, axis=0, prepend=before), 0.0)
        kept = self._onsets[-_ONSET_LAG - _TEMPOGRAM_PAST :]
        self._onsets = np.concatenate([kept, np.median(rise, axis=1)])
        return self._onsets[_TEMPOGRAM_PAST : _TEMPOGRAM_PAST + FRAMES]

    def _beat(self, frames: Float32Array) -> FloatArray:
        """Return where (8,) the tracked phase passed 0, `_DELAY` frames ago and the onsets' delay more."""
        sine, cosine = (frames[:, column].astype(np.float64) for column in self._phase)
        phases = np.concatenate([[self._last_phase], np.arctan2(sine, cosine) / (2 * np.pi) % 1.0])
        self._last_phase = float(phases[-1])
        self._beats = np.concatenate([self._beats[-_DELAY - _ONSET_LAG :], np.diff(phases) < -0.5])
        return self._beats[:FRAMES]


def _bands_below(filters: FloatArray, limit_hz: float) -> int:
    """Return how many of the bands (128, bins) hear nothing above a frequency."""
    above = np.arange(filters.shape[1]) * RATE_HZ / N_FFT > limit_hz
    return int(np.count_nonzero(~filters[:, above].any(axis=1)))


def _decibel(power: FloatArray) -> FloatArray:
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-10)))


def _median(windows: Float32Array) -> Float32Array:
    """Median over the last axis, which has an odd length; sorting is faster than selecting at this size."""
    return np.asarray(np.sort(windows, axis=-1)[..., windows.shape[-1] // 2])
