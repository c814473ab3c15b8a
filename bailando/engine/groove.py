"""The beat of a dance: what each code that could come next is worth on the coming beat, from the pose now.

The GPT gives codes as likely as in the dances that it learned from; whether they fall on the beat it hardly
notices. A bundle may bring a critic, which knows how fast the body would move in each code from the pose that
it is in. Before a code is drawn, its logit is raised by what it is worth: to be slow near a beat and fast
between two. That policy, the pretrained one times ``exp(worth)``, is the one of largest worth less its
divergence from the pretrained one (Todorov, "Efficient computation of optimal actions", PNAS 2009), with the
worth of the next token in the place of that of all to come.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bailando.errors import BundleError, ConfigError
from bailando.music.features import REFERENCE_BPM, FeatureSpec

Float32Array = NDArray[np.float32]

CRITIC_FILE = "groove.npz"
MAX_GROOVE = 2.0
"""Largest share of a bundle's strength of the beat that can be asked for."""
SPAN = 2
"""Frames between the last pose of a token and the one that its change is taken from."""
LIMITS: Mapping[str, tuple[float, float]] = {
    "strength": (0.0, 1000.0),
    "restraint": (-10.0, 10.0),
    "lead_frames": (-60.0, 60.0),
    "sure": (1e-3, 1.0),
}
"""Least and largest value of each field of a `GrooveSpec`."""
_HALVES = 2


@dataclass(frozen=True)
class GrooveSpec:
    """How much the beat counts, as a bundle's manifest says.

    Parameters
    ----------
    strength : float
        Nats for each standard deviation of the pace (logarithm of the speed); 0: none.
    restraint : float
        What speed costs on and off the beat, for each nat of strength: between beats it gains more than it
        loses near them, the more the stronger the beat is.
    lead_frames : float
        How far ahead of the sound the body is to be slow: pauses follow slowness.
    sure : float
        Confidence of the beat tracker from which the strength is whole; below it is less in proportion.
    """

    strength: float
    restraint: float
    lead_frames: float
    sure: float

    def __post_init__(self) -> None:
        for name, (least, largest) in LIMITS.items():
            if not least <= (value := getattr(self, name)) <= largest:
                raise ConfigError(f"{name} is {value}, expected {least:g} to {largest:g}")


def check_groove(share: float) -> float:
    """Return ``share``, or raise ConfigError if it lies outside 0 to 2."""
    if not 0.0 <= share <= MAX_GROOVE:
        raise ConfigError(
            f"groove is {share}; give a number from 0 (no beat) to {MAX_GROOVE:g}, 1 is as the bundle says"
        )
    return share


class GrooveCritic:
    """How fast the body would move in each code.

    Its arrays are those of `bailando.models.code_movement.CodeMovement`, by the same names.

    Parameters
    ----------
    arrays
        float32; see `read`.
    """

    def __init__(self, arrays: dict[str, Float32Array]) -> None:
        self._arrays = arrays
        self._frames = arrays["of_code"].shape[2]

    @classmethod
    def read(cls, data: bytes, codes: tuple[int, int], features: int, frames: int) -> GrooveCritic:
        """Read ``groove.npz``.

        Raises
        ------
        BundleError
            If it is no such file, or its arrays do not fit each other or the bundle.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                arrays = {name: np.asarray(found[name], np.float32) for name in found.files}
            hidden, factors = arrays["hidden.0.bias"].shape[0], arrays["code_factors"].shape[2]
            expected = {
                "mean": (features,),
                "deviation": (features,),
                "hidden.0.weight": (hidden, features),
                "hidden.0.bias": (hidden,),
                "hidden.2.weight": (hidden, hidden),
                "hidden.2.bias": (hidden,),
                "factors.weight": (_HALVES * frames * factors, hidden),
                "factors.bias": (_HALVES * frames * factors,),
                "of_code": (_HALVES, codes[0], frames),
                "code_factors": (_HALVES, codes[0], factors),
            }
        except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile, zlib.error) as error:
            reason = " ".join(str(error).split())[:120]
            raise BundleError(f"{CRITIC_FILE} cannot be read ({reason}): export the bundle again") from None
        fits = {name: arrays[name].shape for name in expected if name in arrays} == expected
        if not fits or codes[0] != codes[1] or not all(np.isfinite(a).all() for a in arrays.values()):
            raise BundleError(f"{CRITIC_FILE} does not fit the bundle: export the bundle again")
        if not (arrays["deviation"] > 0).all():
            raise BundleError(f"{CRITIC_FILE} has a deviation of zero or less: export the bundle again")
        return cls(arrays)

    def worth(self, body: Float32Array, weights: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return the sums of all codes' paces times weights, up to a constant.

        Parameters
        ----------
        body : (features,)
            As `body_features` gives it.
        weights : (8,)
            Of the frames of the next token.

        Returns
        -------
        upper, lower : (K,) float32
        """
        a = self._arrays
        hidden = (body - a["mean"]) / a["deviation"]
        for layer in ("hidden.0", "hidden.2"):
            hidden = _silu(a[f"{layer}.weight"] @ hidden + a[f"{layer}.bias"])
        factors = (a["factors.weight"] @ hidden + a["factors.bias"]).reshape(_HALVES, self._frames, -1)
        upper, lower = (
            a["of_code"][half] @ weights + a["code_factors"][half] @ (weights @ factors[half])
            for half in range(_HALVES)
        )
        return upper, lower


@dataclass(frozen=True)
class Groove:
    """A bundle's critic and how it is used.

    Parameters
    ----------
    critic, spec, features
        How fast codes move, how much that counts, and where the music tells the beat.
    """

    critic: GrooveCritic
    spec: GrooveSpec
    features: FeatureSpec

    def worth(
        self, body: Float32Array, heard: NDArray[np.floating[Any]], share: float = 1.0
    ) -> tuple[Float32Array, Float32Array]:
        """Return what is added to the upper and lower logits, ``(K,)`` each.

        Parameters
        ----------
        body
            See `body_features`.
        heard
            See `beat_weights`.
        share
            Of the strength that the bundle names.
        """
        return self.critic.worth(body, beat_weights(heard, self.features, self.spec, share))


def body_features(upper: Float32Array, lower: Float32Array) -> Float32Array:
    """Return the pose channels of the last frame and how they changed, ``(2 (90 + 62),)``.

    Parameters
    ----------
    upper, lower : (frames, channels)
        Of one token, as the decoder gives them.
    """
    pose = np.concatenate((upper, lower), axis=-1)
    return np.concatenate((pose[-1], pose[-1] - pose[-1 - SPAN]))


@lru_cache(maxsize=8)
def beat_channels(spec: FeatureSpec) -> list[int]:
    """Return which channels tell sine and cosine of the beat's phase, tempo in octaves, and confidence."""
    names = ("beat_sin", "beat_cos", "tempo_octave", "beat_confidence")
    return [spec.channel_names.index(name) for name in names]


def beat_weights(
    heard: NDArray[np.floating[Any]], spec: FeatureSpec, groove: GrooveSpec, share: float = 1.0
) -> Float32Array:
    """Return what speed in each frame of the next token adds to the logit of a code, ``(frames,)``.

    Parameters
    ----------
    heard : (frames, F)
        Music features of the last token.
    spec
        Which channels tell the beat.
    groove, share
        How much the beat counts, and how much of that.
    """
    sine, cosine, octave, confidence = heard[-1, beat_channels(spec)]
    beats_per_frame = REFERENCE_BPM * 2.0 ** float(octave) / 60 / spec.frame_rate_hz
    ahead = np.arange(1, len(heard) + 1) + groove.lead_frames
    phase = math.atan2(float(sine), float(cosine)) + 2 * math.pi * beats_per_frame * ahead
    strength = share * groove.strength * min(1.0, max(0.0, float(confidence)) / groove.sure)
    restraint = groove.restraint * strength
    return np.asarray(-strength * (np.cos(phase) + restraint) / len(heard), dtype=np.float32)


def _silu(x: Float32Array) -> Float32Array:
    """Return ``x`` times its logistic function, which is written so that nothing overflows."""
    return np.asarray(0.5 * x * (1 + np.tanh(0.5 * x)), dtype=np.float32)
