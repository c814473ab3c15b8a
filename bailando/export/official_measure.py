"""What a live dance of published checkpoints gives up, measured: the future and the whole file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bailando.export.official_graphs import WindowDecoderStep
from bailando.export.official_models import LOWER_JOINTS, UPPER_JOINTS, OfficialVQVAE
from bailando.music.audio import StreamResampler
from bailando.music.features import FeatureExtractor
from bailando.music.published_features import HOP, LAG_TOKENS, RATE_HZ, PublishedSpec
from bailando.music.published_frames import FRAME_DIM, FRAMES, ONSET_TOP_HZ, TOKEN_DIM, PublishedFrameSpec
from bailando.music.published_frames import RATE_HZ as FRAME_RATE_HZ

LOOKAHEADS = (0, 1, 2, 4, 6, 8, 12, 16, 25)
FULL_LOOKAHEAD = 25
MAX_TRUNCATION = 0.02
_SETTLING_TOKENS = 40
_GROUPS = {
    "mfcc": slice(0, 20),
    "mfcc_delta": slice(20, 40),
    "chroma": slice(40, 52),
    "onset": slice(52, 53),
    "beat": slice(53, 54),
    "tempogram": slice(54, 438),
}

Codes = torch.Tensor


@torch.no_grad()
def truncation_errors(vqvae: OfficialVQVAE, upper: Codes, lower: Codes) -> dict[int, float]:
    """Return, per look-ahead, the error of decoding with so much future only.

    Parameters
    ----------
    vqvae
        The checkpoint.
    upper, lower : Tensor, ``[1, T]`` int64
        A dance of it, T well above `FULL_LOOKAHEAD`.

    Returns
    -------
    dict of int to float
        Root-mean-square error of the joints as a fraction of their deviation over the dance.
    """
    tokens = upper.shape[1] - FULL_LOOKAHEAD
    frames = vqvae.lower.config.frames_per_code
    whole = vqvae.decode_raw(upper, lower)[0, : tokens * frames].reshape(tokens, frames, 24, 3)
    expected = torch.cat([whole[:, :, list(half)].flatten(2) for half in (UPPER_JOINTS, LOWER_JOINTS[1:])], 2)
    spread = float((expected - expected.mean(dim=(0, 1))).square().mean().sqrt())
    errors = {}
    for lookahead in LOOKAHEADS:
        upper_pose, lower_pose = _decode_all(vqvae, upper, lower, lookahead, tokens)
        got = torch.cat([upper_pose, lower_pose[..., 3:]], dim=2)
        errors[lookahead] = float((got - expected).square().mean().sqrt()) / max(spread, 1e-9)
    return errors


def _decode_all(
    vqvae: OfficialVQVAE, upper: Codes, lower: Codes, lookahead: int, tokens: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode the first `tokens` tokens at once, each as the step graph would."""
    step = WindowDecoderStep(vqvae, lookahead)
    newest = torch.arange(tokens) + lookahead
    places = newest[:, None] + torch.arange(-step.length, 0)[None]
    windows = [codes[0, places.clamp_min(0)] for codes in (upper, lower)]
    seen = newest.clamp_max(step.length)
    upper_pose, lower_pose, *_ = step(upper[0, newest], lower[0, newest], *windows, seen)
    return upper_pose, lower_pose


def choose_lookahead(errors: Mapping[int, float]) -> int:
    """Return the shortest look-ahead whose truncation stays within `MAX_TRUNCATION`."""
    return min((n for n, error in errors.items() if error <= MAX_TRUNCATION), default=FULL_LOOKAHEAD)


def published_tokens(
    spec: PublishedSpec | PublishedFrameSpec, samples: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the causal features (tokens, spec.dim) of a whole song at the base features' rate."""
    frames = FeatureExtractor(spec.base).extract(samples)
    published = spec.extractor()
    token = 8 * spec.base.hop_length
    count = len(frames) // 8
    tokens = [
        published.step(samples[token * j : token * (j + 1)], frames[8 * j : 8 * j + 8]) for j in range(count)
    ]
    return np.array(tokens, np.float32).reshape(count, -1)


def feature_approximation(
    spec: PublishedSpec | PublishedFrameSpec, song: NDArray[np.float32], rate_hz: int
) -> dict[str, Any]:
    """Compare the causal features with those that librosa computes on the whole file.

    Parameters
    ----------
    spec
        Either kind; onset, beat and tempogram are compared even where it leaves them zero.
    song : (n,)
        Mono, at `rate_hz`: not the engine's rate, so that what its sound has lost counts as well.

    Returns
    -------
    dict
        Per group of columns the root-mean-square error over the deviation and the correlation; or why
        nothing was measured.
    """
    if find_spec("librosa") is None:
        return {"not_measured": "librosa is not installed"}
    ours, offline, per_token = _both_features(spec, song, rate_hz)
    lag, settling = LAG_TOKENS * per_token, _SETTLING_TOKENS * per_token
    end = min(len(ours), len(offline) + lag)
    ours, theirs = ours[settling:end], offline[settling - lag : end - lag]
    if len(ours) < settling:
        return {"not_measured": f"{len(song) / rate_hz:.1f} s of music are too few; give a longer --music"}
    # A tempogram at lag 0 alone tells only whether there was an onset at all.
    groups = {name: columns for name, columns in _GROUPS.items() if columns.stop <= ours.shape[1]}
    figures = {name: _compare(ours[:, columns], theirs[:, columns]) for name, columns in groups.items()}
    return {"lag_tokens": LAG_TOKENS, "tokens": len(ours) // per_token, "groups": figures}


def _both_features(
    spec: PublishedSpec | PublishedFrameSpec, song: NDArray[np.float32], rate_hz: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
    """Return the causal features (n, F), librosa's (m, 438), and how many rows make a token."""
    heard = resample(song, rate_hz, spec.base.sample_rate_hz)
    if isinstance(spec, PublishedFrameSpec):
        ours = published_tokens(spec, heard)[:, -TOKEN_DIM:].reshape(-1, FRAME_DIM)
        return ours, _offline_features(song, rate_hz, FRAME_RATE_HZ, fmax=ONSET_TOP_HZ), FRAMES
    ours = published_tokens(PublishedSpec(spec.base, rhythm=True), heard)
    return ours, _offline_features(song, rate_hz, RATE_HZ), 1


def resample(samples: NDArray[np.float32], rate_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Return a whole song at another rate, as the engine hears a file."""
    resampler = StreamResampler(rate_hz, to_hz)
    return np.concatenate([resampler.process(samples), resampler.finish()])


def _compare(ours: NDArray[np.float32], theirs: NDArray[np.float64]) -> dict[str, float]:
    spread = max(float(theirs.std()), 1e-9)
    error = float(np.sqrt(np.mean((ours - theirs) ** 2))) / spread
    flat = float(ours.std()) < 1e-9 or float(theirs.std()) < 1e-9
    correlation = 0.0 if flat else float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])
    return {"rms_over_deviation": round(error, 3), "correlation": round(correlation, 3)}


def _offline_features(
    samples: NDArray[np.float32], rate_hz: int, to_hz: int, **onset_mel: Any
) -> NDArray[np.float64]:
    """Return librosa's features (frames, 438) of a whole file, by the published recipe at `to_hz`."""
    import librosa

    song = librosa.resample(samples, orig_sr=rate_hz, target_sr=to_hz)
    harmonic, percussive = librosa.effects.hpss(song)
    at: dict[str, Any] = {"sr": to_hz, "hop_length": HOP}
    mfcc = librosa.feature.mfcc(y=song, n_mfcc=20, **at)
    chroma = librosa.feature.chroma_cqt(y=harmonic, n_octaves=5, **at)
    onset = librosa.onset.onset_strength(y=percussive, aggregate=np.median, **onset_mel, **at)
    _, beats = librosa.beat.beat_track(onset_envelope=onset, **at)
    tempogram = librosa.feature.tempogram(onset_envelope=onset, **at)
    one_hot = np.zeros((1, len(onset)))
    one_hot[0, beats] = 1.0
    delta = librosa.feature.delta(mfcc, width=3)
    rows = np.concatenate([mfcc, delta, chroma, onset[None], one_hot, tempogram])
    return np.asarray(rows.T, dtype=np.float64)
