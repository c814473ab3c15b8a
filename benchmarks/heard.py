"""Where the moments of a song are in a recording of it.

What is played while a sound server starves is lost or comes late, so that the beats a dancer heard are not
those of the file. Each moment is looked for by the waveform around it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

from bailando.engine.sources import Samples

AROUND_S = 0.2  # of the waveform, on either side of a moment
SEARCH_S = 0.25  # a player that is off by 0.1 s jumps to its time
ALIKE = 0.7  # correlation from which it is the same sound; a hole in it makes it less
SILENCE = 1e-9  # mean power


def find_moments(
    song: Samples,
    recording: Samples,
    moments_s: NDArray[np.float64],
    expected_s: NDArray[np.float64],
    rate_hz: int,
) -> NDArray[np.float64]:
    """Return when each moment of a song is in a recording, seconds (k,); NaN where it is not.

    Parameters
    ----------
    song, recording : (n,), (m,) float32
    moments_s, expected_s : (k,) float64
        Moments of the song, and where they are expected in the recording, within `SEARCH_S`.
    rate_hz : int
        Of both.
    """
    around, reach = round(AROUND_S * rate_hz), round(SEARCH_S * rate_hz)
    room = np.zeros(around + reach, np.float32)  # what begins before or ends after finds silence there
    song, recording = (np.concatenate([room, samples, room]) for samples in (song, recording))
    found = np.full(len(moments_s), np.nan)
    starts = np.round(moments_s * rate_hz).astype(np.intp) + reach
    places = np.round(expected_s * rate_hz).astype(np.intp)
    for number, (start, place) in enumerate(zip(starts, places, strict=True)):
        wanted = song[start : start + 2 * around].astype(np.float64)
        there = recording[max(0, place) : place + 2 * (around + reach)].astype(np.float64)
        if place < 0 or len(there) < 2 * (around + reach) or np.mean(wanted**2) < SILENCE:
            continue
        energy = correlate(there**2, np.ones(len(wanted)), mode="valid", method="fft")
        alike = correlate(there, wanted, mode="valid", method="fft")
        alike /= np.sqrt(np.maximum(energy, SILENCE * len(wanted)) * np.sum(wanted**2))
        best = int(alike.argmax())
        if alike[best] >= ALIKE:
            found[number] = (place + best - reach) / rate_hz
    return found
