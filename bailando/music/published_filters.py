"""Filter banks of the published features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MELS = 128
OCTAVES = 5
BINS_PER_OCTAVE = 36
C1_HZ = 32.703195662574829
_TAPS_PER_PHASE = 24


def decimation_filters(in_rate_hz: int, out_rate_hz: int) -> FloatArray:
    """Low-pass filters (phases, taps): inputs that end with a block of in/gcd samples -> out/gcd outputs.

    Windowed sincs (Kaiser, beta 8) that pass up to 0.9 of the new Nyquist frequency; a phase's newest
    input is the last sample of the block, so that every output has the same small delay.
    """
    divisor = int(np.gcd(in_rate_hz, out_rate_hz))
    step, phases = in_rate_hz // divisor, out_rate_hz // divisor
    ratio = in_rate_hz / out_rate_hz
    half = _TAPS_PER_PHASE / 2 * ratio
    taps = int(np.ceil(2 * half)) + step
    # Output p of a block is due at input (p + 1) * ratio; its filter is centred `half` before that.
    centres = taps - step + (np.arange(phases) + 1) * ratio - half
    distance = np.arange(taps)[None, :] - centres[:, None]
    cutoff = 0.9 / ratio
    inside = np.clip(1.0 - (distance / half) ** 2, 0.0, None)
    kernel = np.sinc(distance * cutoff) * np.i0(8.0 * np.sqrt(inside)) * (np.abs(distance) < half)
    filters: FloatArray = kernel / kernel.sum(axis=1, keepdims=True)
    return filters


def _hz_to_slaney_mel(hz: FloatArray) -> FloatArray:
    """Slaney's scale: linear below 1 kHz, 27 mels per factor of 6.4 above."""
    above = 15.0 + 27.0 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)


def _slaney_mel_to_hz(mel: FloatArray) -> FloatArray:
    above = 1000.0 * 6.4 ** ((np.maximum(mel, 15.0) - 15.0) / 27.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, above)


def slaney_mel_filters(rate_hz: int, n_fft: int, top_hz: float | None = None) -> FloatArray:
    """Triangles (128, n_fft // 2 + 1) of equal area from 0 to `top_hz`, by default the Nyquist frequency."""
    top = float(_hz_to_slaney_mel(np.array(rate_hz / 2.0 if top_hz is None else top_hz)))
    points = _slaney_mel_to_hz(np.linspace(0.0, top, MELS + 2))
    bins = np.arange(n_fft // 2 + 1) * rate_hz / n_fft
    rising = (bins - points[:-2, None]) / np.diff(points)[:-1, None]
    falling = (points[2:, None] - bins) / np.diff(points)[1:, None]
    triangles: FloatArray = np.maximum(0.0, np.minimum(rising, falling))
    return triangles * (2.0 / (points[2:] - points[:-2]))[:, None]


def cosine_transform(outputs: int, inputs: int) -> FloatArray:
    """Orthonormal cosine transform of type 2, (outputs, inputs)."""
    order, place = np.arange(outputs)[:, None], np.arange(inputs)[None, :] + 0.5
    basis: FloatArray = np.cos(np.pi * order * place / inputs) * np.sqrt(2.0 / inputs)
    basis[0] /= np.sqrt(2.0)
    return basis


def chroma_filters(rate_hz: int, n_fft: int) -> FloatArray:
    """Power per semitone class (12, n_fft // 2 + 1), C first: five octaves of a third of a semitone.

    Each band is a Gaussian as wide as its constant-Q filter or as the window resolves.
    """
    count = OCTAVES * BINS_PER_OCTAVE
    centres = C1_HZ * 2.0 ** (np.arange(count) / BINS_PER_OCTAVE)
    resolution = rate_hz / n_fft
    width = np.maximum(centres * (2.0 ** (1 / BINS_PER_OCTAVE) - 1), resolution)
    bins = np.arange(n_fft // 2 + 1) * resolution
    bands = np.exp(-0.5 * ((bins - centres[:, None]) / (0.5 * width[:, None])) ** 2)
    per_class = BINS_PER_OCTAVE // 12
    classes = ((np.arange(count) + per_class // 2) // per_class) % 12
    filters: FloatArray = np.zeros((12, len(bins)))
    np.add.at(filters, classes, bands / centres[:, None])
    return filters
