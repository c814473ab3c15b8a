"""From folders of motion and music to a data set; finished parts are kept when it is run again."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bailando.errors import BailandoError, InputError
from bailando.motion.skeleton import Skeleton
from bailando.training.aist import dataset_root
from bailando.training.config import PairingConfig, PrepareConfig
from bailando.training.dataset import FORMAT, VERSION, Segment, Split, write_array, write_index
from bailando.training.music_features import music_features
from bailando.training.prepare_music import prepare_music
from bailando.training.readers import read_motion, round_trip_mm
from bailando.training.resumable import finish, finished, key_of, run_jobs
from bailando.training.retiming import Retimed, retime
from bailando.training.segments import Loss, at_speed, cut_segments, pose_arrays
from bailando.training.songs import find_songs
from bailando.training.sources import (
    OPEN_STYLE,
    Recording,
    describe_source,
    find_recordings,
    known_sources,
)
from bailando.training.split import sides_of_songs, split_recordings, split_songs

logger = logging.getLogger(__name__)


def prepare(
    motion_folders: Sequence[Path],
    music_folders: Sequence[Path],
    output: Path,
    config: PrepareConfig,
    *,
    workers: int = 1,
    sources_file: Path | None = None,
    joint_map: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make a data set, or go on with one that was interrupted.

    Parameters
    ----------
    motion_folders, music_folders
        Folders of motion files (see `find_recordings`) and of songs; without music the data set has
        motion only. A dance whose own song is among them keeps it.
    output
        Folder of the data set.
    config
        See `PrepareConfig`.
    workers
        Processes.
    sources_file
        Describes motion folders (see `known_sources`); the shipped description by default.
    joint_map
        Our joint names to those of BVH files, for folders without a map of their own.

    Returns
    -------
    dict
        The index, as written to ``index.json``.

    Raises
    ------
    InputError
        If there is nothing to prepare.
    """
    music_features(config.music_features)  # what cannot be had is told before the work, not after it
    known = known_sources(sources_file)
    motion_sources = [describe_source(folder, known) for folder in motion_folders]
    recordings = [
        recording
        for folder, source in zip(motion_folders, motion_sources, strict=True)
        for recording in find_recordings(folder, source, joint_map)
    ]
    _require_unique(recordings)
    songs = find_songs(music_folders) if music_folders else []
    recordings = _only_known_songs(recordings, {path.stem for path in songs})
    output.mkdir(parents=True, exist_ok=True)
    sides = split_recordings(recordings, config.held_out_recordings, config.seed)
    jobs = [_MotionJob(recording, output, config, sides[recording.name]) for recording in recordings]
    prepared = run_jobs(_prepare_motion, jobs, workers, "motion")
    segments = [s for job, result in zip(jobs, prepared, strict=True) for s in _segments(job, result)]
    if not segments:
        raise _nothing_left(prepared, config)
    described = {
        dataset_root(folder).name: source
        for folder, source in zip(motion_folders, motion_sources, strict=True)
    } | {folder.name: describe_source(folder, known) for folder in music_folders}
    index = _index(segments, config, {name: dataclasses.asdict(source) for name, source in described.items()})
    index["dropped"] = [loss for result in prepared for loss in result["losses"]]
    index["retargeting"] = {
        recording.name: result["errors"]
        for recording, result in zip(recordings, prepared, strict=True)
        if result.get("errors")
    }
    if songs:
        danced = sides_of_songs(recordings, sides)
        song_sides = split_songs([path.stem for path in songs], config.held_out_songs, config.seed, danced)
        index |= prepare_music(songs, song_sides, segments, output, config, workers)
    write_index(output, index)
    return index


def _only_known_songs(recordings: list[Recording], songs: set[str]) -> list[Recording]:
    """Forget songs that were not given: their dances are paired like those nobody danced to a song."""
    missing = sorted({r.song for r in recordings if r.song and r.song not in songs})
    if missing and songs:
        logger.warning("%d songs that were danced to are not among the music, such as %s", *_few(missing))
    return [r if r.song in songs else dataclasses.replace(r, song="") for r in recordings]


def _few(names: Sequence[str]) -> tuple[int, str]:
    return len(names), names[0]


def _segments(job: _MotionJob, result: Mapping[str, Any]) -> list[Segment]:
    recording = job.recording
    return [
        Segment(
            name=name,
            recording=recording.name,
            group=recording.group,
            source=recording.name.split("/")[0],
            style=recording.style,
            split=job.side,
            frames=frames,
            speed_deviation=speed_deviation,
            song=recording.song,
            song_start_s=result["song_starts_s"][name] if recording.song else 0.0,
        )
        for name, frames, speed_deviation in result["segments"]
    ]


def _nothing_left(prepared: Sequence[Mapping[str, Any]], config: PrepareConfig) -> InputError:
    losses = [loss for result in prepared for loss in result["losses"]]
    unread = [loss for loss in losses if not loss["frames"]]
    if unread:
        first = unread[0]
        return InputError(
            f"none of {len(prepared)} recordings can be used: {first['recording']}: {first['reason']}"
        )
    return InputError(f"no stretch of {config.min_segment_frames} clean frames found: give longer motion")


def _index(segments: list[Segment], config: PrepareConfig, sources: dict[str, Any]) -> dict[str, Any]:
    styles = sorted({segment.style for segment in segments} - {OPEN_STYLE})
    music = music_features(config.music_features)
    return {
        "format": FORMAT,
        "version": VERSION,
        "frame_rate_hz": 60,
        "feature_dim": music.frame_dim,
        "features": music.to_dict(),
        "music_frames": music.music_frames,
        "skeleton": Skeleton.default().to_dict(),
        "preroll_frames": config.pairing.preroll_frames,
        "styles": [OPEN_STYLE, *styles],
        "config": dataclasses.asdict(config),
        "sources": sources,
        "segments": [dataclasses.asdict(segment) for segment in segments],
        "pairs": {},
        "songs": {},
    }


@dataclasses.dataclass(frozen=True)
class _MotionJob:
    recording: Recording
    output: Path
    config: PrepareConfig
    side: Split

    @property
    def speeds(self) -> tuple[float, ...]:
        """Paired motion keeps its time, and what is held out is as it was danced."""
        return self.config.speeds if self.side == "train" and not self.recording.song else (1.0,)

    @property
    def pairing(self) -> PairingConfig:
        """How its beats are found, and whether its time is bent."""
        pairing = self.config.pairing
        return dataclasses.replace(pairing, steady_beats=0.0) if self.recording.song else pairing

    @property
    def key(self) -> str:
        """Tells whether earlier work can be taken over."""
        recording, pairing = self.recording, self.pairing
        options = dataclasses.replace(self.config, pairing=PairingConfig(), seed=0)
        beats = pairing.tightness, pairing.smoothing_frames, pairing.steady_beats
        more = recording.song, recording.song_start_s, recording.skip_reason, recording.joint_map
        size = recording.path.stat().st_size
        return key_of(recording, options, beats, self.speeds, size, *([more] if any(more) else []))


def _prepare_motion(job: _MotionJob) -> dict[str, Any]:
    """Write the arrays of one recording; return its segments (name, frames, deviation), losses and errors."""
    folder, recording = job.output / "motion", job.recording
    note = folder / f"{recording.name.replace('/', '__')}.json"
    key = job.key
    if (done := finished(note, key)) is not None:
        return done
    result: dict[str, Any] = {"segments": [], "losses": [], "errors": {}, "song_starts_s": {}}
    try:
        if recording.skip_reason:
            raise InputError(recording.skip_reason)
        read = read_motion(recording.path, dict(recording.joint_map))
    except BailandoError as error:
        reason = str(error).replace(str(recording.path), "the file")
        result["losses"] = [dataclasses.asdict(Loss(recording.name, 0, reason))]
        return finish(note, key, result)
    stretches, losses = cut_segments(read, recording, job.config)
    for number, stretch in enumerate(stretches):
        for speed in job.speeds:
            name = f"{recording.name}/{number}" + (f"@{speed:g}" if speed != 1 else "")
            retimed = retime(at_speed(stretch.motion, speed), job.pairing)
            _write_motion(folder, name, retimed)
            result["segments"].append((name, retimed.motion.frame_count, round(retimed.speed_deviation, 4)))
            result["song_starts_s"][name] = recording.song_start_s + stretch.first_frame / read.motion.fps
    result["losses"] = [dataclasses.asdict(loss) for loss in losses]
    limbs = dataclasses.asdict(read.error) if read.error else {}
    errors = limbs | {"round_trip_mm": round_trip_mm(read.motion)}
    result["errors"] = {name: round(value, 4) for name, value in errors.items()}
    return finish(note, key, result)


def _write_motion(folder: Path, name: str, retimed: Retimed) -> None:
    """Write the arrays of one segment."""
    upper, lower, positions = pose_arrays(retimed.motion)
    stem = name.replace("/", "__")
    write_array(folder / f"{stem}.upper.npy", upper)
    write_array(folder / f"{stem}.lower.npy", lower)
    write_array(folder / f"{stem}.positions.npy", positions)
    write_array(folder / f"{stem}.beats.npy", retimed.beats)


def _require_unique(recordings: Sequence[Recording]) -> None:
    names = [recording.name for recording in recordings]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{len(twice)} recordings come twice, such as {twice[0]}: rename a folder or a file")
