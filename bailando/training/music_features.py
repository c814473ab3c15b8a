"""What a model can be told of music, behind one interface: our features, the published ones, EnCodec's.

EnCodec (Défossez et al. 2022) through `transformers` (extra ``encodec``), with weights that the user has;
nothing is downloaded.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from bailando.errors import ConfigError, InputError
from bailando.music.features import FeatureExtractor, FeatureSpec
from bailando.music.published_features import DIM, PublishedSpec

FRAME_RATE_HZ = 60
FRAMES_PER_TOKEN = 8
CHOICES = "causal, published or encodec:FOLDER"
Float32Array = npt.NDArray[np.float32]


class MusicFeatures(Protocol):
    """Features of a song at 60 Hz; frame n depends on nothing after the end of its interval."""

    music_frames: Literal[1, 8]
    """Frames that make a music token: all eight, or the last, which tells of all of them."""

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples that `extract` takes."""
        ...

    @property
    def frame_dim(self) -> int:
        """Number of channels F."""
        ...

    def extract(self, samples: Float32Array) -> Float32Array:
        """Return the features (T, F) of mono samples (n,); T is the number of whole frames."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the plain definition, to be kept with a data set or a model."""
        ...


class CausalFeatures:
    """Our features: mel bands, onsets, level, beats (see `bailando.music.features.FeatureExtractor`)."""

    music_frames: Literal[1, 8] = 8

    def __init__(self, *, each_pulse: bool = False) -> None:
        self._extractor = FeatureExtractor(each_pulse=each_pulse)
        self.spec = self._extractor.spec

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples."""
        return self.spec.sample_rate_hz

    @property
    def frame_dim(self) -> int:
        """Number of channels F."""
        return self.spec.frame_dim

    def extract(self, samples: Float32Array) -> Float32Array:
        """Return the features (T, F)."""
        return self._extractor.extract(samples)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec's dictionary."""
        return self.spec.to_dict()


class PublishedMusic:
    """The 438 features of the published models (see `bailando.music.published_features`), rhythm among them.

    They come 7.5 a second, one for a token. Codes may begin at any frame, so each frame holds the vector of
    the token that ends with it: eight streams of tokens, a frame apart.
    """

    music_frames: Literal[1, 8] = 1

    def __init__(self, *, each_pulse: bool = False) -> None:
        self.spec = PublishedSpec(FeatureSpec(), rhythm=True)
        self._each_pulse = each_pulse

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples."""
        return self.spec.base.sample_rate_hz

    @property
    def frame_dim(self) -> int:
        """Number of channels F."""
        return DIM

    def extract(self, samples: Float32Array) -> Float32Array:
        """Return the features (T, 438)."""
        base = FeatureExtractor(self.spec.base, each_pulse=self._each_pulse).extract(samples)
        hop = self.spec.base.hop_length
        hops = samples[: len(base) * hop].reshape(len(base), hop)
        features = np.zeros((len(base), DIM), np.float32)
        for last in range(FRAMES_PER_TOKEN):
            silence = ((FRAMES_PER_TOKEN - 1 - last, 0), (0, 0))
            sound, heard = np.pad(hops, silence), np.pad(base, silence)
            extractor = self.spec.extractor()
            for token, frame in enumerate(range(last, len(base), FRAMES_PER_TOKEN)):
                part = slice(token * FRAMES_PER_TOKEN, (token + 1) * FRAMES_PER_TOKEN)
                features[frame] = extractor.step(sound[part].ravel(), heard[part])
        return features

    def to_dict(self) -> dict[str, Any]:
        """Return the spec's dictionary."""
        return self.spec.to_dict()


class EncodecFeatures:
    """EnCodec's embeddings before quantisation, the newest complete one of each 60 Hz frame.

    Parameters
    ----------
    folder
        ``config.json`` and weights of a mono EnCodec model in transformers' layout, such as
        ``facebook/encodec_24khz`` downloaded by the user.

    Raises
    ------
    ConfigError
        If `transformers` is not installed.
    InputError
        If the folder holds no such model, or one that looks ahead.
    """

    music_frames: Literal[1, 8] = 8

    def __init__(self, folder: Path) -> None:
        try:
            from transformers import EncodecModel
        except ImportError:
            raise ConfigError("EnCodec needs transformers: pip install 'bailando[encodec]'") from None
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} holds no EnCodec model: give a folder of config.json and weights")
        try:
            model = EncodecModel.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers raises whatever its readers do
            raise InputError(
                f"{folder} holds no EnCodec model ({' '.join(str(error).split())[:160]})"
            ) from None
        config = model.config
        if config.audio_channels != 1 or not config.use_causal_conv:
            raise InputError(
                f"{folder} is stereo or looks ahead; expected a mono causal model (encodec_24khz)"
            )
        self.folder = folder
        self._encoder = model.encoder.eval().float()
        self._rate_hz = int(config.sampling_rate)
        self._stride = int(np.prod(config.upsampling_ratios))
        self._dim = int(config.hidden_size)

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples."""
        return self._rate_hz

    @property
    def frame_dim(self) -> int:
        """Number of channels F."""
        return self._dim

    def extract(self, samples: Float32Array) -> Float32Array:
        """Return the embeddings (T, F); zero until the first is complete."""
        frames = len(samples) * FRAME_RATE_HZ // self._rate_hz
        features = np.zeros((frames, self._dim), np.float32)
        if not frames:
            return features
        with torch.no_grad():
            embedded = self._encoder(torch.from_numpy(samples)[None, None])[0].T.numpy()
        ends = (np.arange(frames) + 1) * self._rate_hz // FRAME_RATE_HZ
        newest = np.minimum(ends // self._stride, len(embedded)) - 1
        features[newest >= 0] = embedded[newest[newest >= 0]]
        return features

    def to_dict(self) -> dict[str, Any]:
        """Return kind and sizes; the weights are the user's."""
        return {"kind": "encodec", "sample_rate_hz": self._rate_hz, "stride": self._stride, "dim": self._dim}


def check_choice(choice: str) -> None:
    """Raise `ConfigError` unless `music_features` knows the choice."""
    kind, _, folder = choice.partition(":")
    if choice not in ("causal", "published") and not (kind == "encodec" and folder):
        raise ConfigError(f"music_features is {choice!r}, expected {CHOICES}")


@lru_cache(maxsize=2)
def music_features(choice: str, each_pulse: bool = False) -> MusicFeatures:
    """Return the features of a name.

    Parameters
    ----------
    choice
        ``causal``, ``published``, or ``encodec:FOLDER`` with the folder of the user's weights.
    each_pulse
        Beats among them count each pulse; see `BeatSpec`.

    Raises
    ------
    ConfigError, InputError
        If there are no such features; see `EncodecFeatures`.
    """
    check_choice(choice)
    if choice == "causal":
        return CausalFeatures(each_pulse=each_pulse)
    if choice == "published":
        return PublishedMusic(each_pulse=each_pulse)
    return EncodecFeatures(Path(choice.partition(":")[2]))


def extract_at(features: MusicFeatures, samples: Float32Array, rate_hz: int) -> Float32Array:
    """Return the features (T, F) of samples at any rate, T as many whole frames as our own have."""
    frames = len(samples) * FRAME_RATE_HZ // rate_hz
    if features.sample_rate_hz != rate_hz:
        import soxr

        samples = soxr.resample(samples, rate_hz, features.sample_rate_hz).astype(np.float32)
    found = features.extract(samples)[:frames]
    return np.pad(found, ((0, frames - len(found)), (0, 0)))
