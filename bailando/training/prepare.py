"""From folders of motion and music to a data set; finished parts are kept when it is run again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from bailando.errors import BailandoError, InputError
from bailando.motion.skeleton import Skeleton
from bailando.music.features import FeatureSpec
from bailando.training.config import PrepareConfig
from bailando.training.dataset import FORMAT, VERSION, Segment, write_array, write_index
from bailando.training.pairing import pair_segment
from bailando.training.retiming import Retimed, retime
from bailando.training.segments import Loss, at_speed, load_segments, pose_arrays
from bailando.training.songs import Song, analyse_song, find_songs
from bailando.training.sources import (
    OPEN_STYLE,
    Recording,
    describe_source,
    find_recordings,
    known_sources,
)
from bailando.training.split import split_recordings, split_songs

logger = logging.getLogger(__name__)
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def prepare(
    motion_folders: Sequence[Path],
    music_folders: Sequence[Path],
    output: Path,
    config: PrepareConfig,
    *,
    workers: int = 1,
    sources_file: Path | None = None,
) -> dict[str, Any]:
    """Make a data set, or go on with one that was interrupted.

    Parameters
    ----------
    motion_folders, music_folders
        Folders of BVH files and of songs; without music the data set has motion only.
    output
        Folder of the data set.
    config
        See `PrepareConfig`.
    workers
        Processes.
    sources_file
        Describes motion folders (see `known_sources`); the shipped description by default.

    Returns
    -------
    dict
        The index, as written to ``index.json``.

    Raises
    ------
    InputError
        If there is nothing to prepare.
    """
    known = known_sources(sources_file)
    sources = {folder.name: describe_source(folder, known) for folder in motion_folders}
    recordings = [r for folder in motion_folders for r in find_recordings(folder, sources[folder.name])]
    _require_unique(recordings)
    output.mkdir(parents=True, exist_ok=True)
    sides = split_recordings(recordings, config.held_out_recordings, config.seed)
    jobs = [
        _MotionJob(recording, output, config, config.speeds if sides[recording.name] == "train" else (1.0,))
        for recording in recordings
    ]
    prepared = _run(_prepare_motion, jobs, workers, "motion")
    segments = [
        Segment(
            name=name,
            recording=recording.name,
            group=recording.group,
            source=recording.name.split("/")[0],
            style=recording.style,
            split=sides[recording.name],
            frames=frames,
            speed_deviation=speed_deviation,
        )
        for recording, result in zip(recordings, prepared, strict=True)
        for name, frames, speed_deviation in result["segments"]
    ]
    if not segments:
        raise InputError(f"no stretch of {config.min_segment_frames} clean frames found: give longer motion")
    sources |= {folder.name: describe_source(folder, known) for folder in music_folders}
    index = _index(segments, config, {name: dataclasses.asdict(source) for name, source in sources.items()})
    index["dropped"] = [loss for result in prepared for loss in result["losses"]]
    index |= _prepare_music(music_folders, segments, output, config, workers)
    write_index(output, index)
    return index


def _index(segments: list[Segment], config: PrepareConfig, sources: dict[str, Any]) -> dict[str, Any]:
    styles = sorted({segment.style for segment in segments} - {OPEN_STYLE})
    return {
        "format": FORMAT,
        "version": VERSION,
        "frame_rate_hz": 60,
        "feature_dim": FeatureSpec().frame_dim,
        "features": FeatureSpec().to_dict(),
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
    speeds: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class _MusicJob:
    segment: Segment
    songs: tuple[Song, ...]
    output: Path
    config: PrepareConfig


def _prepare_motion(job: _MotionJob) -> dict[str, Any]:
    """Write the arrays of one recording; return its segments (name, frames, deviation) and losses."""
    pairing = job.config.pairing
    options = dataclasses.replace(job.config, pairing=type(pairing)(), seed=0)
    beats = pairing.tightness, pairing.smoothing_frames, pairing.steady_beats
    key = _key(job.recording, options, beats, job.speeds, job.recording.path.stat().st_size)
    folder = job.output / "motion"
    note = folder / f"{job.recording.name.replace('/', '__')}.json"
    if (done := _finished(note, key)) is not None:
        return done
    try:
        motions, losses = load_segments(job.recording, job.config)
    except BailandoError as error:
        motions, losses = [], [Loss(job.recording.name, 0, str(error))]
    segments = []
    for number, motion in enumerate(motions):
        for speed in job.speeds:
            name = f"{job.recording.name}/{number}" + (f"@{speed:g}" if speed != 1 else "")
            retimed = retime(at_speed(motion, speed), pairing)
            _write_motion(folder, name, retimed)
            segments.append((name, retimed.motion.frame_count, round(retimed.speed_deviation, 4)))
    return _finish(note, key, {"segments": segments, "losses": [dataclasses.asdict(loss) for loss in losses]})


def _write_motion(folder: Path, name: str, retimed: Retimed) -> None:
    """Write the arrays of one segment."""
    upper, lower, positions = pose_arrays(retimed.motion)
    stem = name.replace("/", "__")
    write_array(folder / f"{stem}.upper.npy", upper)
    write_array(folder / f"{stem}.lower.npy", lower)
    write_array(folder / f"{stem}.positions.npy", positions)
    write_array(folder / f"{stem}.beats.npy", retimed.beats)


def _prepare_music(
    folders: Sequence[Path], segments: list[Segment], output: Path, config: PrepareConfig, workers: int
) -> dict[str, Any]:
    """Pair all segments with songs; return the index entries ``songs`` and ``pairs``."""
    if not folders:
        return {}
    paths = find_songs(folders)
    sides = split_songs([path.stem for path in paths], config.held_out_songs, config.seed)
    songs = _run(analyse_song, paths, workers, "songs")
    usable = [
        song for song in songs if len(song.beats_s) >= 8 and song.agreement >= config.pairing.min_agreement
    ]
    if not usable:
        raise InputError(f"none of {len(songs)} songs has a clear beat: give music with a beat")
    by_side = {
        side: tuple(song for song in usable if sides[song.name] == side) for side in ("train", "held_out")
    }
    jobs = [
        _MusicJob(segment, by_side[segment.split] or tuple(usable), output, config) for segment in segments
    ]
    pairs = _run(_pair, jobs, workers, "pairs")
    return {
        "songs": {
            song.name: {
                "path": str(song.path),
                "split": sides[song.name],
                "bpm": round(song.bpm, 2),
                "beats": len(song.beats_s),
                "agreement": round(song.agreement, 3),
                "used": song in usable,
            }
            for song in songs
        },
        "pairs": {segment.name: pair for segment, pair in zip(segments, pairs, strict=True)},
    }


def _pair(job: _MusicJob) -> list[dict[str, Any]]:
    """Write the music of one segment; return what was drawn."""
    folder = job.output / "music"
    stem = job.segment.file_stem
    beats = np.load(job.output / "motion" / f"{stem}.beats.npy", allow_pickle=False)
    key = _key(
        [song.name for song in job.songs],
        job.config.pairing,
        job.config.seed,
        job.segment.frames,
        beats.tolist(),
    )
    note = folder / f"{stem}.json"
    if (done := _finished(note, key)) is not None:
        return list(done["draws"])
    seed = int.from_bytes(hashlib.sha256(job.segment.name.encode()).digest()[:8], "little")
    rng = np.random.default_rng([job.config.seed, seed])
    features, draws = pair_segment(beats, job.segment.frames, job.songs, job.config.pairing, rng)
    write_array(folder / f"{stem}.npy", features)
    return list(_finish(note, key, {"draws": draws})["draws"])


def _run(work: Callable[[_Job], _Result], jobs: Iterable[_Job], workers: int, what: str) -> list[_Result]:
    jobs = list(jobs)
    if workers <= 1:
        return [work(job) for job in tqdm(jobs, desc=what, unit="")]
    with ProcessPoolExecutor(workers) as pool:
        return list(tqdm(pool.map(work, jobs), desc=what, unit="", total=len(jobs)))


def _require_unique(recordings: Sequence[Recording]) -> None:
    names = [recording.name for recording in recordings]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{len(twice)} recordings come twice, such as {twice[0]}: rename a folder or a file")


def _key(*parts: Any) -> str:
    return hashlib.sha256(repr((VERSION, FeatureSpec(), parts)).encode()).hexdigest()


def _finished(note: Path, key: str) -> dict[str, Any] | None:
    """Return what an earlier run noted, if it was made from the same input."""
    if not note.is_file():
        return None
    noted = json.loads(note.read_text(encoding="utf-8"))
    return noted["result"] if noted["key"] == key else None


def _finish(note: Path, key: str, result: dict[str, Any]) -> dict[str, Any]:
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"key": key, "result": result}), encoding="utf-8")
    return result


def summary(index: dict[str, Any]) -> str:
    """Describe a data set in a few lines: minutes by style and side, and what was dropped why."""
    lines = []
    for style in index["styles"]:
        minutes = {
            side: sum(s["frames"] for s in index["segments"] if s["style"] == style and s["split"] == side)
            / 3600
            for side in ("train", "held_out")
        }
        if any(minutes.values()):
            lines.append(f"{style}: {minutes['train']:.1f} min to train, {minutes['held_out']:.1f} held out")
    reasons: dict[str, int] = {}
    for loss in index["dropped"]:
        reasons[loss["reason"]] = reasons.get(loss["reason"], 0) + loss["frames"]
    lines += [f"dropped {frames / 60:.1f} s: {reason}" for reason, frames in sorted(reasons.items())]
    pairs = [pair for drawn in index["pairs"].values() for pair in drawn]
    lines.append(f"{len(index['songs'])} songs, {len(pairs)} pairs")
    heard = [pair["agreement"] for pair in pairs if pair["preroll_frames"]]
    if heard:
        lines.append(f"the causal beat tracker agrees with the dance's beats by {np.mean(heard):.2f} of 1")
    return "\n".join(lines)
