"""The music front end as a step graph: one hop of sound in, one frame of features out.

With it a game runs the whole chain without Python. The Fourier transform is two small products (the
Cooley-Tukey factorisation), so that no runtime needs an operator of its own for it.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bailando.export.beat_graph import BeatStep
from bailando.export.graphs import StepGraph
from bailando.models.streaming import State
from bailando.music import features
from bailando.music.features import FeatureExtractor, FeatureSpec

FloatArray = NDArray[np.float64]

_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_SERIES_LIMIT = 0.01
_OWN_STATE = ("history", "log_mel", "loudness", "heard_frames", "onset_levels")


class PowerSpectrum(nn.Module):
    """Power at the frequencies of a real frame, as rows x columns of its factorised transform.

    With n = N2 n1 + n2 and k = k1 + N1 k2: N1 x N2 products, a twiddle, and again products.

    Parameters
    ----------
    window : ndarray, (n_fft,)
    """

    window: Tensor
    first: Tensor
    twiddle: Tensor
    second: Tensor

    def __init__(self, window: NDArray[np.float32]) -> None:
        super().__init__()
        size = len(window)
        rows = max(n for n in range(1, math.isqrt(size) + 1) if size % n == 0)
        self.rows, self.columns = rows, size // rows
        k1, n1, n2 = np.arange(rows), np.arange(rows), np.arange(self.columns)
        first = np.exp(-2j * np.pi * np.outer(k1, n1) / rows)
        twiddle = np.exp(-2j * np.pi * np.outer(k1, n2) / size)
        # Only frequencies up to the middle are wanted: k2 = 0 ... columns / 2.
        k2 = np.arange(self.columns // 2 + 1)
        second = np.exp(-2j * np.pi * np.outer(n2, k2) / self.columns)
        stacked = np.block([[second.real, second.imag], [-second.imag, second.real]])
        constants = {
            "window": np.asarray(window, np.float64).reshape(rows, self.columns),
            "first": np.concatenate([first.real, first.imag]),
            "twiddle": np.stack([twiddle.real, twiddle.imag]),
            "second": stacked,
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, np.float32)))
        self.frequencies = k1[:, None] + rows * k2[None, :]

    def forward(self, frame: Tensor) -> Tensor:
        """Return ``[B, rows * (columns / 2 + 1)]``, frequencies in the order of `frequencies`."""
        batch = frame.shape[0]
        framed = frame.reshape(batch, self.rows, self.columns) * self.window
        half = torch.matmul(self.first, framed)
        real, imaginary = half[:, : self.rows], half[:, self.rows :]
        turned = (
            real * self.twiddle[0] - imaginary * self.twiddle[1],
            real * self.twiddle[1] + imaginary * self.twiddle[0],
        )
        spectrum = torch.matmul(torch.cat(turned, dim=2), self.second)
        wanted = self.columns // 2 + 1
        real, imaginary = spectrum[:, :, :wanted], spectrum[:, :, wanted:]
        return (real * real + imaginary * imaginary).reshape(batch, -1)


class FeaturesStep(nn.Module):
    """One frame of `FeatureExtractor` for a batch of listeners, float32.

    Parameters
    ----------
    spec : FeatureSpec
        What to compute.
    """

    mel: Tensor
    bands: Tensor
    ramp: Tensor
    onset_mix: Tensor

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        extractor = FeatureExtractor(spec)
        self.spec = spec
        self.spectrum = PowerSpectrum(extractor._window)
        self.beat = BeatStep(extractor._tracker)
        constants = {
            "mel": _ordered_filters(extractor, self.spectrum.frequencies).T,
            "bands": _band_means(extractor).T,
            "ramp": extractor._ramp,
            "onset_mix": features._ONSET_MIX,
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, np.float32)))

    def initial_state(self, batch: int) -> State:
        """Return the state before any sound: zeros."""
        spec = self.spec
        own = {
            "history": torch.zeros(batch, spec.n_fft - spec.hop_length),
            "log_mel": torch.zeros(batch, spec.n_mels),
            "loudness": torch.zeros(batch),
            "heard_frames": torch.zeros(batch, dtype=torch.int64),
            "onset_levels": torch.zeros(batch, len(features._ONSETS)),
        }
        return own | self.beat.initial_state(batch)

    def forward(self, audio: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        """Take a hop ``[B, hop_length]``; return the features ``[B, F]``, then the state after it."""
        names = (*_OWN_STATE, *self.beat.initial_state(1))
        state = dict(zip(names, values, strict=True))
        stream = torch.cat((state["history"], _clean(audio)), dim=1)
        mel = torch.matmul(self.spectrum(stream), self.mel)
        timbre, strength, state = self._timbre(mel, state | {"history": stream[:, audio.shape[1] :]})
        state = state | self.beat(strength, {name: state[name] for name in names[len(_OWN_STATE) :]})
        return torch.cat((timbre, self._beat_channels(state)), dim=1), *(state[name] for name in names)

    def _timbre(self, mel: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """All channels but the beat's, the onset strength ``[B]``, and the state."""
        mean = mel.mean(dim=1)
        loudness, heard = _follow_loudness(mean, state)
        level = loudness.clamp_min(features._SILENCE_POWER)
        log_mel = _log1p(features._LOG_GAIN * torch.sqrt(mel / level[:, None]))
        flux = torch.relu(log_mel - state["log_mel"])
        onsets = torch.matmul(flux, self.bands)
        faded = (state["onset_levels"] * features._ONSET_DECAY).clamp_min(features._ONSET_FLOOR)
        levels = torch.maximum(onsets, faded)
        loud = 1.0 + torch.log(mean / level + 1e-4) / (4.0 * math.log(10.0))
        tilt = (log_mel * self.ramp).sum(dim=1) / (log_mel.sum(dim=1) + 1e-3)
        channels = (
            (log_mel / features._LOG_MEL_SCALE).clamp_max(2.0),
            onsets / levels,
            loud.clamp(0.0, 2.0)[:, None],
            tilt[:, None],
        )
        strength = (onsets * self.onset_mix).sum(dim=1)
        after = {"log_mel": log_mel, "loudness": loudness, "heard_frames": heard, "onset_levels": levels}
        return torch.cat(channels, dim=1), strength, state | after

    def _beat_channels(self, state: State) -> Tensor:
        phase, log2_tempo = self.beat.counted(state)
        angle = 2 * math.pi * phase
        cosine, confidence = torch.cos(angle), state["confidence"]
        octave = log2_tempo + math.log2(60 * self.spec.frame_rate_hz / features.REFERENCE_BPM)
        pulse = confidence * torch.exp(features._PULSE_SHARPNESS * (cosine - 1))
        return torch.stack((torch.sin(angle), cosine, octave, confidence, pulse), dim=1)


def _clean(audio: Tensor) -> Tensor:
    """Count NaN and infinities as 0 and limit the rest, without operators that not all runtimes have."""
    finite = torch.where(audio.abs() <= _LARGEST_FLOAT, audio, 0.0)
    return finite.clamp(-features._SAMPLE_LIMIT, features._SAMPLE_LIMIT)


def _log1p(x: Tensor) -> Tensor:
    """Logarithm of 1 + x, by its series where 1 + x would lose the digits of a near-silent band."""
    series = x * (1.0 - x * (0.5 - x / 3.0))
    return torch.where(x < _SERIES_LIMIT, series, torch.log(1.0 + x))


def _follow_loudness(mean: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """Slow mean of the power ``[B]`` and how many frames it holds; silence leaves both."""
    heard = state["heard_frames"]
    sounds = mean > features._SILENCE_POWER
    heard = torch.where(sounds, (heard + 1).clamp_max(features._LOUDNESS_FRAMES), heard)
    change = (mean - state["loudness"]) / heard.clamp_min(1).to(mean.dtype)
    return state["loudness"] + torch.where(sounds, change, 0.0), heard


def _ordered_filters(extractor: FeatureExtractor, frequencies: NDArray[np.int64]) -> FloatArray:
    """Mel filters (n_mels, frequencies) on plain squared magnitudes, in the order of the transform."""
    size, bins = extractor.spec.n_fft, extractor.spec.n_fft // 2 + 1
    places = frequencies.ravel()
    scale = 1.0 / (size * size / 8)
    known = extractor._mel[:, np.minimum(places, bins - 1)].astype(np.float64)
    return np.asarray(known * (places < bins) * scale)


def _band_means(extractor: FeatureExtractor) -> FloatArray:
    """Weights (onsets, n_mels) that average the flux over all bands and over each third."""
    mels = extractor.spec.n_mels
    edges = [*extractor._band_starts.tolist(), mels]
    weights = np.zeros((len(edges), mels))
    weights[0] = 1.0 / mels
    for row, (start, end) in enumerate(itertools.pairwise(edges), 1):
        weights[row, start:end] = 1.0 / (end - start)
    return weights


def features_step_graph(spec: FeatureSpec, batch: int = 1) -> StepGraph:
    """Return the music front end as a graph for `batch` listeners.

    Input ``audio`` is ``[B, hop_length]`` samples at `spec.sample_rate_hz`, output ``features`` ``[B, F]``.
    """
    module = FeaturesStep(spec).eval()
    return StepGraph(
        name="features_step",
        module=module,
        inputs={"audio": torch.zeros(batch, spec.hop_length)},
        outputs=("features",),
        state=module.initial_state(batch),
    )
