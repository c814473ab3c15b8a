"""The streaming features against librosa offline: cost, and how far they differ.

python benchmarks/features.py [--song SONG] [--seconds 60] [--rounds 3] [--json FILE]

Cost: our extractor token by token (8 frames, 133.3 ms of sound) as in a live run, by part, and the whole song
at once, against librosa's mel spectrogram, onset strength and beat tracker with the same window and hop;
resampling from 44.1 kHz on our side is told apart. One thread's processor time, in turns.

Difference: ours are causal (a window ends with its frame) and scaled by the loudness so far, librosa's are
centred and see the whole song. So each mel band is compared by its correlation with librosa's in decibels,
the onsets by theirs at the lag where it is largest.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import thread_time_ns
from typing import Any

import librosa
import numpy as np
from measure import percentiles, show, take_turns, write_json
from numpy.typing import NDArray

from bailando.music.audio import StreamResampler, load_mono
from bailando.music.beats import BeatSpec, BeatTracker
from bailando.music.features import FeatureExtractor, FeatureSpec

FRAMES_PER_TOKEN = 8
INPUT_RATE_HZ = 44100
WARM_UP_TOKENS = 20
LAGS = range(-6, 7)
DEMO = Path(__file__).parents[1] / "bailando" / "assets" / "demo" / "demo.ogg"
Array = NDArray[Any]


def timed(step: Any, parts: list[Array]) -> Array:
    """Return the processor time of `step` on each part, ms, without the first tokens."""
    spent = []
    for part in parts:
        started_ns = thread_time_ns()
        step(part)
        spent.append((thread_time_ns() - started_ns) / 1e6)
    return np.array(spent[WARM_UP_TOKENS:])


class Stream:
    """Something with `initial_state` and `step`, and its state."""

    def __init__(self, unit: Any) -> None:
        self._unit, self._state = unit, unit.initial_state()

    def __call__(self, part: Array) -> None:
        """Take the next part."""
        _, self._state = self._unit.step(part, self._state)


def tokens_of(values: Array) -> list[Array]:
    """Cut frames into tokens."""
    whole = len(values) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN
    return list(values[:whole].reshape(-1, FRAMES_PER_TOKEN, *values.shape[1:]))


def by_token(song: Path, samples: Array, extractor: FeatureExtractor, features: Array) -> dict[str, Any]:
    """Return percentiles of the cost of a token, ms, all of it and by part."""
    spec = extractor.spec
    hops = samples[: len(features) * spec.hop_length].reshape(-1, spec.hop_length)
    onset = features[:, spec.channel_names.index("onset")].astype(np.float64)
    whole = timed(Stream(extractor), tokens_of(hops))
    tracker = timed(Stream(BeatTracker(BeatSpec())), tokens_of(onset))
    block = INPUT_RATE_HZ * FRAMES_PER_TOKEN // 60
    original = load_mono(song, INPUT_RATE_HZ)[: len(whole) * block]
    blocks = list(original[: len(original) // block * block].reshape(-1, block))
    rows = {
        "features, all": whole,
        "of that the beat tracker": tracker,
        "resampling from 44.1 kHz": timed(
            StreamResampler(INPUT_RATE_HZ, spec.sample_rate_hz).process, blocks
        ),
    }
    return {name: percentiles(values) for name, values in rows.items()}


def mel_options(spec: FeatureSpec) -> dict[str, Any]:
    """Return librosa's options for our window, hop and bands."""
    options = {"sr": spec.sample_rate_hz, "n_fft": spec.n_fft, "hop_length": spec.hop_length}
    return options | {"n_mels": spec.n_mels, "fmin": spec.min_hz, "fmax": spec.max_hz, "htk": True}


def whole_song(samples: Array, extractor: FeatureExtractor, rounds: int) -> dict[str, float]:
    """Return how many seconds of sound a second of processor time takes care of, ours and librosa's."""
    spec, seconds = extractor.spec, len(samples) / extractor.spec.sample_rate_hz
    onsets = librosa.onset.onset_strength(y=samples, **mel_options(spec))
    options = {"sr": spec.sample_rate_hz, "hop_length": spec.hop_length}
    spent = take_turns(
        {
            "ours: mel, onsets, beats": lambda: extractor.extract(samples),
            "librosa: mel spectrogram": lambda: librosa.feature.melspectrogram(
                y=samples, **mel_options(spec)
            ),
            "librosa: onset strength": lambda: librosa.onset.onset_strength(y=samples, **mel_options(spec)),
            "librosa: beats of onsets": lambda: librosa.beat.beat_track(onset_envelope=onsets, **options),
        },
        rounds,
        warm_up=1,
    )
    return {name: seconds / (float(np.median(values)) / 1e3) for name, values in spent.items()}


def correlation(ours: Array, theirs: Array, lag: int) -> float:
    """Return the correlation of ours with theirs `lag` frames earlier."""
    count = len(ours) - abs(lag)
    late, early = max(lag, 0), max(-lag, 0)
    return float(np.corrcoef(ours[late : late + count], theirs[early : early + count])[0, 1])


def difference(samples: Array, features: Array, spec: FeatureSpec) -> dict[str, float]:
    """Return correlations with librosa's features, and how many ms ours come after theirs."""
    power = librosa.feature.melspectrogram(y=samples, **mel_options(spec))
    decibels = librosa.power_to_db(power, top_db=80.0).T[: len(features)]
    onsets = librosa.onset.onset_strength(y=samples, **mel_options(spec))[: len(features)]
    own_onsets = features[:, spec.channel_names.index("onset")]
    of_mel = {
        lag: float(np.median([correlation(features[:, n], decibels[:, n], lag) for n in range(spec.n_mels)]))
        for lag in LAGS
    }
    of_onset = {lag: correlation(own_onsets, onsets, lag) for lag in LAGS}
    frame_ms = 1e3 / spec.frame_rate_hz
    mel_lag, onset_lag = (max(found, key=found.__getitem__) for found in (of_mel, of_onset))
    return {
        "mel_correlation": of_mel[mel_lag],
        "mel_lag_ms": mel_lag * frame_ms,
        "onset_correlation": of_onset[onset_lag],
        "onset_lag_ms": onset_lag * frame_ms,
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--song", type=Path, default=DEMO)
    parser.add_argument("--seconds", type=float, default=60.0, help="how much of the song")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the whole song")
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    extractor = FeatureExtractor()
    spec = extractor.spec
    samples = load_mono(options.song, spec.sample_rate_hz)[: round(options.seconds * spec.sample_rate_hz)]
    features = extractor.extract(samples)
    rows = by_token(options.song, samples, extractor, features)
    show("ms per token, one thread", rows)
    speed = whole_song(samples, extractor, options.rounds)
    for name, factor in speed.items():
        print(f"{name:28}{factor:9.0f} x real time")
    apart = difference(samples, features, spec)
    print(", ".join(f"{name} {value:.3f}" for name, value in apart.items()))
    record = {"unit": "ms", "song": options.song.name, "seconds": len(samples) / spec.sample_rate_hz}
    record |= {"results": rows, "times_real_time": speed, "difference": apart}
    write_json(options.json, "features", record)


if __name__ == "__main__":
    main()
