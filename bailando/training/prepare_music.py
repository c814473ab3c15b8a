"""The music of a data set: each stretch of motion with its own song, or with songs warped onto its beats."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bailando.errors import InputError
from bailando.training.config import PrepareConfig
from bailando.training.dataset import Segment, Split, write_array
from bailando.training.music_features import music_features
from bailando.training.paired import pair_with_own_song
from bailando.training.pairing import pair_segment
from bailando.training.resumable import finish, finished, key_of, run_jobs
from bailando.training.songs import Song, analyse_song

_FEWEST_BEATS = 8


@dataclass(frozen=True)
class _Job:
    segment: Segment
    songs: tuple[Song, ...]
    output: Path
    config: PrepareConfig


def prepare_music(
    paths: Sequence[Path],
    sides: Mapping[str, Split],
    segments: Sequence[Segment],
    output: Path,
    config: PrepareConfig,
    workers: int,
) -> dict[str, Any]:
    """Give all segments music.

    Parameters
    ----------
    paths, sides
        Songs, and the side of the split of each by name.
    segments
        Those with a ``song`` are given that one.
    output, config, workers
        See `prepare`.

    Returns
    -------
    dict
        The index entries ``songs`` and ``pairs``.

    Raises
    ------
    InputError
        If motion needs songs and none has a clear beat.
    """
    analyse = partial(analyse_song, each_pulse=config.pairing.each_pulse)
    songs = run_jobs(analyse, paths, workers, "songs")
    own = {song.name: song for song in songs}
    usable = [song for song in songs if _has_beat(song, config)]
    if not usable and not all(segment.song for segment in segments):
        raise InputError(f"none of {len(songs)} songs has a clear beat: give music with a beat")
    by_side = {
        side: tuple(song for song in usable if sides[song.name] == side) for side in ("train", "held_out")
    }
    jobs = [
        _Job(
            segment,
            (own[segment.song],) if segment.song else by_side[segment.split] or tuple(usable),
            output,
            config,
        )
        for segment in segments
    ]
    pairs = run_jobs(_pair, jobs, workers, "pairs")
    danced = {segment.song for segment in segments}
    return {
        "songs": {
            song.name: {
                "path": str(song.path),
                "split": sides[song.name],
                "bpm": round(song.bpm, 2),
                "beats": len(song.beats_s),
                "agreement": round(song.agreement, 3),
                "used": song in usable or song.name in danced,
            }
            for song in songs
        },
        "pairs": {segment.name: pair for segment, pair in zip(segments, pairs, strict=True)},
    }


def _has_beat(song: Song, config: PrepareConfig) -> bool:
    return len(song.beats_s) >= _FEWEST_BEATS and song.agreement >= config.pairing.min_agreement


def _pair(job: _Job) -> list[dict[str, Any]]:
    """Write the music of one segment; return what was drawn."""
    folder = job.output / "music"
    segment, config = job.segment, job.config
    note = folder / f"{segment.file_stem}.json"
    beats = np.load(job.output / "motion" / f"{segment.file_stem}.beats.npy", allow_pickle=False)
    key = key_of(
        [song.name for song in job.songs],
        config.pairing,
        config.seed,
        segment.frames,
        beats.tolist(),
        *((segment.song, segment.song_start_s) if segment.song else ()),
        *(() if config.music_features == "causal" else (config.music_features,)),
    )
    if (done := finished(note, key)) is not None:
        return list(done["draws"])
    each_pulse = config.pairing.each_pulse
    told = music_features(config.music_features, each_pulse)
    if segment.song:
        start_s, preroll = segment.song_start_s, config.pairing.preroll_frames
        features, draws = pair_with_own_song(job.songs[0], start_s, segment.frames, preroll, told, each_pulse)
    else:
        seed = int.from_bytes(hashlib.sha256(segment.name.encode()).digest()[:8], "little")
        rng = np.random.default_rng([config.seed, seed])
        features, draws = pair_segment(beats, segment.frames, job.songs, config.pairing, rng, told)
    write_array(folder / f"{segment.file_stem}.npy", features)
    return list(finish(note, key, {"draws": draws})["draws"])
