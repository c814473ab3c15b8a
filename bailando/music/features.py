"""Causal music features at 60 Hz: one definition with a streaming and an offline face.

Frame n covers samples 400 n ... 400 (n + 1) at 24 kHz and depends on nothing later; its beat
channels are read out for the end of that interval, so they speak of *now*, not of one window ago.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.errors import ConfigError
from bailando.music.beats import BeatSpec, BeatState, BeatTracker

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]

_ONSETS = ("onset", "onset_low", "onset_mid", "onset_high")
_OTHER_CHANNELS = ("level", "brightness")
_BEAT_CHANNELS = ("beat_sin", "beat_cos", "tempo_octave", "beat_confidence", "beat_pulse")
REFERENCE_BPM = 120.0


@dataclass(frozen=True)
class FeatureSpec:
    """Definition of the features; a bundle carries it, and the runtime reads it from there.

    Parameters
    ----------
    version
        Version of the definition below these numbers; only 1 exists.
    sample_rate_hz, hop_length, n_fft
        Rate, frame step and window length, samples. The window ends with its frame.
    n_mels, min_hz, max_hz
        Mel bands and their range.
    min_bpm, max_bpm
        Range of the beat tracker.
    """

    version: int = 1
    sample_rate_hz: int = 24000
    hop_length: int = 400
    n_fft: int = 1024
    n_mels: int = 40
    min_hz: float = 40.0
    max_hz: float = 9000.0
    min_bpm: float = 60.0
    max_bpm: float = 200.0

    def __post_init__(self) -> None:
        if self.version != 1:
            raise ConfigError(f"feature version {self.version}: expected 1; update the program or the bundle")
        if not 0 < self.hop_length <= self.n_fft <= 1 << 16 or self.sample_rate_hz <= 0:
            raise ConfigError(
                f"hop_length {self.hop_length}, n_fft {self.n_fft}: expected 0 < hop_length <= n_fft <= 65536"
            )
        if not 8 <= self.n_mels <= 512:
            raise ConfigError(f"n_mels {self.n_mels}: expected 8 to 512")
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate_hz / 2:
            raise ConfigError(
                f"mel range {self.min_hz}..{self.max_hz} Hz: expected 0 <= min_hz < max_hz <= "
                f"{self.sample_rate_hz / 2} Hz"
            )
        BeatSpec(self.frame_rate_hz, self.min_bpm, self.max_bpm)

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.hop_length

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Name of each channel, in order."""
        mels = tuple(f"mel_{band}" for band in range(self.n_mels))
        return mels + _ONSETS + _OTHER_CHANNELS + _BEAT_CHANNELS

    @property
    def frame_dim(self) -> int:
        """Number of channels F."""
        return len(self.channel_names)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain dictionary that goes into a manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FeatureSpec:
        """Build a spec from `to_dict`'s result.

        Raises
        ------
        ConfigError
            A key is unknown or a value is out of range or of the wrong type.
        """
        floats = {field.name: isinstance(field.default, float) for field in fields(cls)}
        unknown = sorted(set(values) - set(floats))
        if unknown:
            raise ConfigError(f"feature spec: unknown keys {unknown}; expected some of {sorted(floats)}")
        checked: dict[str, Any] = {}
        for name, value in values.items():
            allowed = (int, float) if floats[name] else (int,)
            if isinstance(value, bool) or not isinstance(value, allowed):
                kind = "a number" if floats[name] else "a whole number"
                raise ConfigError(f"feature spec: {name} is {value!r}; expected {kind}")
            checked[name] = float(value) if floats[name] else value
        return cls(**checked)


@dataclass(frozen=True)
class FeatureState:
    """All that the extractor remembers; arrays are never written in place.

    Attributes
    ----------
    history
        The last n_fft - hop_length samples, float32.
    log_mel
        Level-corrected log mel spectrum of the frame before, (n_mels,).
    loudness
        Slow mean of the mel power, by which frames are divided.
    heard_frames
        Frames with sound so far, up to the time constant of `loudness`.
    onset_levels
        Running peak of each onset channel, (4,).
    beat
        State of the beat tracker.
    """

    history: Float32Array
    log_mel: FloatArray
    loudness: float
    heard_frames: int
    onset_levels: FloatArray
    beat: BeatState

    def copy(self) -> FeatureState:
        """Return a copy that shares no array."""
        return replace(
            self,
            history=self.history.copy(),
            log_mel=self.log_mel.copy(),
            onset_levels=self.onset_levels.copy(),
            beat=self.beat.copy(),
        )


_SAMPLE_LIMIT = 1e4
# -80 dB of full scale: below it a frame is silence and does not pull the loudness down.
_SILENCE_POWER = 1e-8
_LOUDNESS_FRAMES = 480
_LOG_GAIN = 10.0
_LOG_MEL_SCALE = 4.0
# Share of the onset channels in the envelope that the beat tracker hears, chosen on songs.
_ONSET_MIX = np.array([1.0, 1.0, 0.0, 0.5])
_ONSET_DECAY = float(np.exp(-1.0 / (4.0 * 60.0)))
_ONSET_FLOOR = 0.05
_PULSE_SHARPNESS = 4.0
_CHUNK_FRAMES = 512


class FeatureExtractor:
    """Immutable extractor; `step` and `extract` give bit-identical values for every chunking.

    Parameters
    ----------
    spec
        What to compute.
    each_pulse
        The beat channels count each pulse, fast ones too (see `BeatSpec`). A live dancer never listens so.
    """

    def __init__(self, spec: FeatureSpec | None = None, *, each_pulse: bool = False) -> None:
        self.spec = spec or FeatureSpec()
        rate_hz, low, high = self.spec.frame_rate_hz, self.spec.min_bpm, self.spec.max_bpm
        self._tracker = BeatTracker(BeatSpec(rate_hz, low, high, each_pulse=each_pulse))
        self._window = np.hanning(self.spec.n_fft + 1)[:-1].astype(np.float32)
        self._mel = _mel_filters(self.spec)
        thirds = _band_edges(self.spec)
        self._band_starts = np.array([0, *thirds])
        self._band_sizes = np.diff([0, *thirds, self.spec.n_mels])
        self._ramp = np.linspace(0.0, 1.0, self.spec.n_mels)

    def initial_state(self) -> FeatureState:
        """Return the state before any sound."""
        return FeatureState(
            history=np.zeros(self.spec.n_fft - self.spec.hop_length, dtype=np.float32),
            log_mel=np.zeros(self.spec.n_mels),
            loudness=0.0,
            heard_frames=0,
            onset_levels=np.zeros(len(_ONSETS)),
            beat=self._tracker.initial_state(),
        )

    def step(self, hops: NDArray[np.floating[Any]], state: FeatureState) -> tuple[Float32Array, FeatureState]:
        """Take n hops of samples and return their features.

        Parameters
        ----------
        hops
            (n, hop_length) samples; NaN and infinities count as 0.
        state
            What the previous call returned, or `initial_state()`.

        Returns
        -------
        features : ndarray, (n, F), float32
            Finite and bounded, channels as `FeatureSpec.channel_names`.
        state : FeatureState
            The state after these frames.
        """
        hops = np.asarray(hops, dtype=np.float32)
        if hops.ndim != 2 or hops.shape[1] != self.spec.hop_length:
            raise ValueError(f"hops of shape {hops.shape}: expected (n, {self.spec.hop_length})")
        if not len(hops):
            return np.empty((0, self.spec.frame_dim), dtype=np.float32), state
        clean = np.clip(np.nan_to_num(hops, nan=0.0, posinf=0.0, neginf=0.0), -_SAMPLE_LIMIT, _SAMPLE_LIMIT)
        power, history = self._spectra(clean, state.history)
        features = np.empty((len(hops), self.spec.frame_dim), dtype=np.float32)
        onsets, state = self._timbre(power, replace(state, history=history), features)
        beats, beat_state = self._tracker.step(onsets, state.beat)
        write_beat_channels(features, beats.phase, beats.bpm, beats.confidence)
        return features, replace(state, beat=beat_state)

    def extract(self, samples: NDArray[np.floating[Any]]) -> Float32Array:
        """Return the features (T, F) of a whole song (n,), T = n // hop_length."""
        count = len(samples) // self.spec.hop_length
        hops = np.asarray(samples[: count * self.spec.hop_length]).reshape(count, self.spec.hop_length)
        features = np.empty((count, self.spec.frame_dim), dtype=np.float32)
        state = self.initial_state()
        for start in range(0, count, _CHUNK_FRAMES):
            chunk = slice(start, start + _CHUNK_FRAMES)
            features[chunk], state = self.step(hops[chunk], state)
        return features

    def _spectra(self, hops: Float32Array, history: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return the power spectra (n, n_fft // 2 + 1) and the new history."""
        stream = np.concatenate([history, hops.ravel()])
        frames = np.lib.stride_tricks.sliding_window_view(stream, self.spec.n_fft)[:: self.spec.hop_length]
        spectra = np.fft.rfft(frames[: len(hops)] * self._window, axis=1)
        power = (spectra.real**2 + spectra.imag**2).astype(np.float32) / np.float32(
            self.spec.n_fft * self.spec.n_fft / 8
        )
        return power, stream[len(stream) - len(history) :].copy()

    def _timbre(
        self, power: Float32Array, state: FeatureState, out: Float32Array
    ) -> tuple[FloatArray, FeatureState]:
        """Fill all but the beat channels of n frames; return the onset strengths (n,) and the state."""
        mel = np.empty((len(power), self.spec.n_mels))
        for frame, spectrum in enumerate(power):
            # One product per frame: a product of many frames would round differently for each n.
            mel[frame] = self._mel @ spectrum
        mean = mel.mean(axis=1)
        loudness, state = _follow_loudness(mean, state)
        log_mel = np.log1p(_LOG_GAIN * np.sqrt(mel / loudness[:, None]))
        before = np.concatenate([state.log_mel[None], log_mel[:-1]])
        flux = np.maximum(log_mel - before, 0.0)
        bands = np.add.reduceat(flux, self._band_starts, axis=1) / self._band_sizes
        onsets = np.concatenate([flux.mean(axis=1, keepdims=True), bands], axis=1)
        levels, onset_levels = _follow_levels(onsets, state.onset_levels)
        mels = self.spec.n_mels
        out[:, :mels] = np.minimum(log_mel / _LOG_MEL_SCALE, 2.0)
        out[:, mels : mels + len(_ONSETS)] = onsets / levels
        out[:, mels + len(_ONSETS)] = np.clip(1.0 + np.log10(mean / loudness + 1e-4) / 4.0, 0.0, 2.0)
        tilt = (log_mel * self._ramp).sum(axis=1)
        out[:, mels + len(_ONSETS) + 1] = tilt / (log_mel.sum(axis=1) + 1e-3)
        strength = (onsets * _ONSET_MIX).sum(axis=1)
        return strength, replace(state, log_mel=log_mel[-1].copy(), onset_levels=onset_levels)


def write_beat_channels(
    features: Float32Array, phase: FloatArray, bpm: FloatArray, confidence: FloatArray
) -> None:
    """Fill the beat channels of features (n, F) in place.

    Parameters
    ----------
    phase, bpm, confidence : (n,)
        Place within the beat in [0, 1) at the end of each frame, tempo, trust in both in [0, 1].
    """
    angle = 2 * np.pi * phase
    beat_channels = features[:, -len(_BEAT_CHANNELS) :]
    beat_channels[:, 0] = np.sin(angle)
    beat_channels[:, 1] = np.cos(angle)
    beat_channels[:, 2] = np.log2(bpm / REFERENCE_BPM)
    beat_channels[:, 3] = confidence
    beat_channels[:, 4] = confidence * np.exp(_PULSE_SHARPNESS * (np.cos(angle) - 1))


def beat_times(features: Float32Array, spec: FeatureSpec) -> FloatArray:
    """Return the times of the beats in features (T, F), seconds from the start of the first frame.

    A beat is where the phase passes 0; its place inside the frame follows from phase and tempo.
    """
    names = spec.channel_names
    sine, cosine, octave = (
        features[:, names.index(name)].astype(np.float64) for name in ("beat_sin", "beat_cos", "tempo_octave")
    )
    phase = np.arctan2(sine, cosine) / (2 * np.pi) % 1.0
    wrapped = np.flatnonzero(np.diff(phase) < -0.5) + 1
    beats_per_s = REFERENCE_BPM * 2.0 ** octave[wrapped] / 60
    return np.asarray((wrapped + 1) / spec.frame_rate_hz - phase[wrapped] / beats_per_s)


def _follow_loudness(mean: FloatArray, state: FeatureState) -> tuple[FloatArray, FeatureState]:
    """Return the slow mean power that divides each frame (n,), never below silence, and the state."""
    loudness, heard = state.loudness, state.heard_frames
    followed = np.empty(len(mean))
    for frame, power in enumerate(mean.tolist()):
        if power > _SILENCE_POWER:
            heard = min(heard + 1, _LOUDNESS_FRAMES)
            loudness += (power - loudness) / heard
        followed[frame] = loudness
    return np.maximum(followed, _SILENCE_POWER), replace(state, loudness=loudness, heard_frames=heard)


def _follow_levels(onsets: FloatArray, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the decaying peak of each onset channel, (n, 4), and the last one."""
    levels = np.empty_like(onsets)
    for frame, onset in enumerate(onsets):
        level = np.maximum(np.maximum(onset, level * _ONSET_DECAY), _ONSET_FLOOR)
        levels[frame] = level
    return levels, level


def _band_edges(spec: FeatureSpec) -> tuple[int, int]:
    """First mel band above 200 Hz and above 2 kHz."""
    centres = _mel_points(spec)[1:-1]
    low = max(1, int(np.searchsorted(centres, 200.0)))
    mid = max(low + 1, int(np.searchsorted(centres, 2000.0)))
    return low, min(mid, spec.n_mels - 1)


def _mel_points(spec: FeatureSpec) -> FloatArray:
    """Corner frequencies of the bands, Hz, (n_mels + 2,), even on O'Shaughnessy's mel scale."""
    low, high = (2595.0 * np.log10(1 + hz / 700.0) for hz in (spec.min_hz, spec.max_hz))
    return 700.0 * np.asarray(10 ** (np.linspace(low, high, spec.n_mels + 2) / 2595.0) - 1)


def _mel_filters(spec: FeatureSpec) -> Float32Array:
    """Triangles (n_mels, n_fft // 2 + 1), each of unit sum; narrow ones keep at least their nearest bin."""
    points = _mel_points(spec)
    bins = np.arange(spec.n_fft // 2 + 1) * spec.sample_rate_hz / spec.n_fft
    rising = (bins - points[:-2, None]) / (points[1:-1] - points[:-2])[:, None]
    falling = (points[2:, None] - bins) / (points[2:] - points[1:-1])[:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    nearest = np.argmin(np.abs(bins - points[1:-1, None]), axis=1)
    filters[np.arange(spec.n_mels), nearest] += 1e-3
    unit: Float32Array = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    return unit
