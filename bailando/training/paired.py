"""Motion with the song it was danced to: the song as it is, at its place, neither bent nor stretched."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.music.audio import load_mono
from bailando.music.features import FeatureSpec
from bailando.training.music_features import CausalFeatures, MusicFeatures
from bailando.training.pairing import told_and_agreement
from bailando.training.songs import Song, beat_times

FRAME_RATE_HZ = 60


def pair_with_own_song(
    song: Song,
    start_s: float,
    frames: int,
    preroll_frames: int,
    music: MusicFeatures | None = None,
    each_pulse: bool = False,
) -> tuple[npt.NDArray[np.float16], list[dict[str, Any]]]:
    """Extract the features of the song that a stretch of motion was danced to.

    Parameters
    ----------
    song, start_s
        The song and the place in it at frame 0 of the motion; silence before and after it.
    frames
        Length T of the motion, 60 Hz.
    preroll_frames
        Feature frames in front of frame 0; as many of them as the song has are heard.
    music
        What to extract; ours by default.
    each_pulse
        How the beats of the song were counted; see `BeatSpec`.

    Returns
    -------
    features : ndarray, (1, preroll + T, F), float16
        Feature frame ``preroll + n`` belongs to frame n of the motion.
    draws : list of dict
        One entry with the keys of `pair_segment` and ``paired``; ``beats`` are those of the song.
    """
    spec = FeatureSpec()
    heard = int(np.clip(np.floor(start_s * FRAME_RATE_HZ), 0, preroll_frames))
    first = round((start_s - heard / FRAME_RATE_HZ) * spec.sample_rate_hz)
    samples = _excerpt(song, first, (heard + frames) * spec.hop_length)
    music = music or CausalFeatures(each_pulse=each_pulse)
    beats = (beat_times(song) - start_s) * FRAME_RATE_HZ
    told, agreement = told_and_agreement(music, samples, beats, heard, each_pulse)
    features = np.zeros((1, preroll_frames + frames, music.frame_dim), np.float16)
    features[0, preroll_frames - heard :] = told
    return features, [
        {
            "song": song.name,
            "ratio": 1.0,
            "song_start_s": round(start_s, 3),
            "preroll_frames": heard,
            "agreement": agreement,
            "beats": [round(float(beat), 2) for beat in beats if 0 <= beat < frames],
            "paired": True,
        }
    ]


def _excerpt(song: Song, first: int, count: int) -> npt.NDArray[np.float32]:
    """Read `count` samples of a song from sample `first` (may be negative) on; zeros outside of it."""
    samples = load_mono(song.path, FeatureSpec().sample_rate_hz)
    excerpt = np.zeros(count, np.float32)
    inside = samples[max(0, first) : max(0, first + count)]
    offset = max(0, -first)
    excerpt[offset : offset + len(inside)] = inside
    return excerpt
