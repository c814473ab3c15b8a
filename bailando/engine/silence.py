"""Tells music from silence, so that a dancer without music idles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bailando.errors import ConfigError

Float32Array = NDArray[np.float32]

DEFAULT_THRESHOLD_DB = -60.0
"""Root mean square of a token's sound relative to full scale; quiet music lies above -40 dB."""
IDLE_ACTIVITY = 0.2
"""Share of the wanted energy with which an idle dancer sways."""
_HOLD_TOKENS = 6
_FLOOR = 1e-10


class SilenceGate:
    """Says of each music token whether there is music; a pause in a song is still music.

    Parameters
    ----------
    threshold_db : float
        What is quieter, without its mean (a card's offset is no sound), is silence.

    Raises
    ------
    ConfigError
        If the threshold lies outside -120 to 0 dB.
    """

    def __init__(self, threshold_db: float = DEFAULT_THRESHOLD_DB) -> None:
        if not -120.0 <= threshold_db <= 0.0:
            raise ConfigError(f"silence threshold is {threshold_db} dB; give -120 to 0, -60 is usual")
        self._threshold_db = threshold_db
        self._silent_tokens = 0

    @property
    def silent(self) -> bool:
        """Whether it has been silent for 0.8 s."""
        return self._silent_tokens >= _HOLD_TOKENS

    def hear(self, samples: Float32Array) -> None:
        """Take the sound of one token, (n,) mono."""
        power = max(float(np.var(samples, dtype=np.float64)), _FLOOR)
        quiet = 10.0 * np.log10(power) < self._threshold_db
        self._silent_tokens = self._silent_tokens + 1 if quiet else 0
