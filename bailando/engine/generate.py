"""Offline: a whole song as fast as the machine can, frame for frame the dance of the live path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bailando.engine.dancer import Dancer
from bailando.engine.performance import Performance, frame_count
from bailando.engine.session import MotionChunk, Session
from bailando.errors import InputError
from bailando.motion.motion import Motion
from bailando.motion.skeleton import Skeleton
from bailando.music.audio import MAX_LOAD_S, AudioFile

Progress = Callable[[float], None]


def generate(
    dancer: Dancer, song: str | Path, session: Session | None = None, progress: Progress | None = None
) -> Motion:
    """Dance a song from a file.

    The audio streams through in blocks; only the motion itself is kept, 1.5 MB for a minute.

    Parameters
    ----------
    dancer : Dancer
    song : str or Path
        wav, flac, ogg or mp3.
    session : Session, optional
        A fresh session; None takes ``dancer.session()``.
    progress : callable, optional
        Called with the fraction of the song that is done, 0 to 1.

    Returns
    -------
    Motion
        ceil(60 × seconds) frames, with the codes of every token that they come from.

    Raises
    ------
    InputError
        If the file is missing, holds no audio, is empty or longer than two hours.
    """
    performance = Performance(dancer, session or dancer.session())
    chunks: list[MotionChunk] = []
    with AudioFile(song, MAX_LOAD_S) as audio:
        total = max(audio.duration_s * performance.sample_rate_hz, 1.0)
        for samples in audio.resampled(performance.sample_rate_hz):
            chunks += [_without_positions(chunk) for chunk in performance.feed(samples)]
            if progress is not None:
                progress(min(performance.samples / total, 1.0))
    chunks += performance.finish()
    if performance.samples == 0:
        raise InputError(f"{song}: 0 s of audio; expected some sound; give another file")
    return collect_motion(
        chunks, frame_count(performance.samples, performance.sample_rate_hz), dancer.skeleton
    )


def _without_positions(chunk: MotionChunk) -> MotionChunk:
    """Leave out what the rotations tell as well."""
    return replace(chunk, positions=chunk.positions[:0].copy())


def generate_samples(dancer: Dancer, samples: NDArray[np.float32], session: Session | None = None) -> Motion:
    """Dance samples (n,) float32, mono, already at the feature rate; see `generate`."""
    performance = Performance(dancer, session or dancer.session())
    chunks = performance.feed(samples) + performance.finish()
    return collect_motion(chunks, frame_count(len(samples), performance.sample_rate_hz), dancer.skeleton)


def collect_motion(chunks: Iterable[MotionChunk], frames: int, skeleton: Skeleton) -> Motion:
    """Join chunks into a motion of at most so many frames."""
    kept = [chunk for chunk in chunks if chunk.first_frame < frames]
    if not kept:
        raise InputError("the song gives 0 frames; expected some sound; give another file")
    return Motion(
        rotations=np.concatenate([chunk.rotations for chunk in kept])[:frames],
        root_position=np.concatenate([chunk.root_position for chunk in kept])[:frames],
        contacts=np.concatenate([chunk.contacts for chunk in kept])[:frames],
        skeleton=skeleton,
        upper_codes=np.array([chunk.upper_code for chunk in kept]),
        lower_codes=np.array([chunk.lower_code for chunk in kept]),
    )
