"""What an evaluation needs: ground truth, music to dance to, dancers and baselines."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from bailando.engine.dancer import Dancer
from bailando.engine.generate import collect_motion, generate_samples
from bailando.errors import InputError
from bailando.motion.bvh import read_bvh
from bailando.motion.motion import Motion, load_npz
from bailando.motion.pose import TURN, VELOCITY, decode_motion, encode_pose
from bailando.motion.retarget import retarget
from bailando.music.audio import load_mono
from bailando.training.dataset import Dataset, Segment
from bailando.training.metrics.figures import FRAME_RATE_HZ, Dance
from bailando.training.songs import Song, analyse_song, beat_times, find_songs

logger = logging.getLogger(__name__)
MINIMUM_FRAMES = 60


@dataclass(frozen=True, eq=False)
class Music:
    """Something to dance to, and the beats to be judged by.

    Parameters
    ----------
    name : str
        Of the song or of the recording it was paired with.
    beats : ndarray, shape (n,)
        Frames at 60 Hz from the start of the dance.
    frames : int
        How long the dance is.
    style : str
        Asked of the dancer.
    song : Path, optional
        Audio file.
    features : ndarray, shape (preroll + frames, F), optional
        Features instead, with music heard before the dance begins.
    """

    name: str
    beats: npt.NDArray[np.float64]
    frames: int
    style: str = "open"
    song: Path | None = None
    features: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth dances.

    Parameters
    ----------
    judged : list of Dance
        Held-out dances, with the beats of the music paired with them or their own.
    others : list of Dance
        The remaining ones: what random clips are drawn from; `judged` if there are no others.
    mean_pose : ndarray, shape (24, 3)
        Joints of the mean pose, metres.
    music : list of Music
        Paired with the judged dances; empty if none is.
    """

    judged: list[Dance]
    others: list[Dance]
    mean_pose: npt.NDArray[np.floating[Any]]
    music: list[Music]


def truth_of_dataset(folder: Path) -> Truth:
    """Return the two sides of a prepared data set, the held-out one with its pairs."""
    dataset = Dataset(folder)
    held_out = [s for s in dataset.of("held_out") or dataset.of("train") if s.frames >= MINIMUM_FRAMES]
    train = [segment for segment in dataset.of("train") if segment.frames >= MINIMUM_FRAMES]
    if not held_out or not train:
        raise InputError(f"{folder} has no motion of {MINIMUM_FRAMES} frames: prepare a larger data set")
    music = [_paired_music(dataset, segment) for segment in held_out if dataset.pairs(segment)]
    beats = {piece.name: piece.beats for piece in music}
    judged = [
        Dance(s.name, positions, beats.get(s.name, own_beats(positions)))
        for s in held_out
        for positions in [np.asarray(dataset.positions(s))]
    ]
    others = [Dance(s.name, np.asarray(dataset.positions(s)), np.zeros(0)) for s in train]
    halves = [[half[0] for half in dataset.pose(segment)] for segment in train]
    return Truth(judged, others, _mean_pose(halves), music)


def _paired_music(dataset: Dataset, segment: Segment) -> Music:
    """Return the last song drawn for a segment: one that is heard before the dance begins."""
    draw = dataset.pairs(segment)[-1]
    unheard = dataset.preroll_frames - int(draw["preroll_frames"])
    return Music(
        name=segment.name,
        beats=np.array(draw["beats"], np.float64),
        frames=segment.frames,
        style=segment.style,
        features=np.array(dataset.music(segment)[-1, unheard:], np.float32),
    )


def truth_of_folder(folder: Path, songs: Sequence[Song]) -> Truth:
    """Return the dances (.bvh, .npz) of a folder, with the beats of the song that their name contains."""
    motions = load_dances(folder)
    judged = [_with_beats(name, motion, songs) for name, motion in motions]
    return Truth(judged, judged, _mean_pose([encode_pose(motion) for _, motion in motions]), [])


def load_dances(folder: Path) -> list[tuple[str, Motion]]:
    """Read all .npz and .bvh motions of a folder, at 60 Hz.

    Raises
    ------
    InputError
        If there is none, or one cannot be read.
    """
    paths = sorted(path for path in folder.glob("**/*") if path.suffix.lower() in (".npz", ".bvh"))
    if not paths:
        raise InputError(f"{folder} holds no .npz or .bvh motion: give a folder of dances")
    motions = []
    for path in tqdm(paths, desc="dances", unit=""):
        motion = retarget(read_bvh(path)) if path.suffix.lower() == ".bvh" else load_npz(path)
        if motion.resample(FRAME_RATE_HZ).frame_count < MINIMUM_FRAMES:
            logger.warning("%s is shorter than a second and is left out", path)
            continue
        motions.append((path.stem, motion.resample(FRAME_RATE_HZ)))
    if not motions:
        raise InputError(f"{folder} holds no motion of a second or more: give longer dances")
    return motions


def _with_beats(name: str, motion: Motion, songs: Sequence[Song]) -> Dance:
    song = match_song(name, songs)
    beats = own_beats(motion.positions) if song is None else beat_times(song) * FRAME_RATE_HZ
    return as_dance(name, motion, beats)


def match_song(name: str, songs: Sequence[Song]) -> Song | None:
    """Return the song that a dance is named after, or that is one part of its name between underscores."""
    for song in songs:
        if name == song.name or song.name in name.split("_"):
            return song
    return None


def own_beats(positions: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return the nearly regular beat grid of a dance without music, frames."""
    # Here, so that a command line that only lists its commands need not load torch.
    from bailando.training.config import PairingConfig
    from bailando.training.pairing import dance_beats

    return dance_beats(positions, PairingConfig())


def as_dance(name: str, motion: Motion, beats: npt.NDArray[np.float64]) -> Dance:
    """Return a motion as a dance to the beats that fall within it."""
    within = beats[beats < motion.frame_count]
    return Dance(name, motion.positions, within, motion.upper_codes, motion.lower_codes)


def songs_to_dance(folder: Path, max_seconds: float) -> list[Song]:
    """Return the songs of a folder with their beats, each cut to `max_seconds`."""
    songs = [analyse_song(path) for path in tqdm(find_songs([folder]), desc="songs", unit="")]
    return [
        replace(
            song,
            duration_s=min(song.duration_s, max_seconds),
            beats_s=tuple(beat for beat in song.beats_s if beat < max_seconds),
        )
        for song in songs
    ]


def music_of_song(song: Song) -> Music:
    """Return a song as something to dance to."""
    frames = int(song.duration_s * FRAME_RATE_HZ)
    return Music(song.name, beat_times(song) * FRAME_RATE_HZ, frames, song=song.path)


def dance_to(dancer: Dancer, music: Music, seed: int, groove: float = 1.0) -> Dance:
    """Let a bundle dance."""
    style = music.style if music.style in dancer.manifest.styles else "open"
    session = dancer.session(seed=seed, style=style, groove=groove)
    if music.song is not None:
        rate = dancer.feature_spec.sample_rate_hz
        samples = load_mono(music.song, rate)[: int(music.frames / FRAME_RATE_HZ * rate)]
        return as_dance(music.name, generate_samples(dancer, samples, session), music.beats)
    if music.features is None:
        raise InputError(f"{music.name} has neither a song nor features: nothing to dance to")
    per_token = dancer.manifest.frames_per_token
    if music.features.shape[1] != dancer.feature_spec.frame_dim:
        raise InputError(
            f"data set has {music.features.shape[1]} music features, the bundle hears "
            f"{dancer.feature_spec.frame_dim}: prepare the data set with this version"
        )
    tokens = [music.features[first : first + per_token] for first in range(0, len(music.features), per_token)]
    heard = [token for token in tokens if len(token) == per_token][dancer.manifest.music_lead_tokens :]
    chunks = [session.step(None), *(session.step(token) for token in heard)]
    motion = collect_motion(chunks, len(music.features), dancer.skeleton)
    before = len(music.features) - music.frames
    part = motion[slice(before, None)]
    first = before // per_token
    assert motion.upper_codes is not None
    assert motion.lower_codes is not None
    codes = motion.upper_codes[first:], motion.lower_codes[first:]
    return as_dance(music.name, replace(part, upper_codes=codes[0], lower_codes=codes[1]), music.beats)


def random_clips(music: Sequence[Music], truth: Truth, seed: int) -> list[Dance]:
    """Baseline: for each music a random stretch of a random dance; it ends where the dance does."""
    generator = np.random.default_rng(seed)
    lengths = np.array([len(dance.positions) for dance in truth.others], np.float64)
    dances = []
    for piece in music:
        dance = truth.others[int(generator.choice(len(lengths), p=lengths / lengths.sum()))]
        first = int(generator.integers(max(1, len(dance.positions) - piece.frames + 1)))
        positions = dance.positions[first : first + piece.frames]
        dances.append(Dance(piece.name, positions, piece.beats[piece.beats < len(positions)]))
    return dances


def mean_poses(music: Sequence[Music], mean_pose: npt.NDArray[np.floating[Any]]) -> list[Dance]:
    """Baseline: the mean pose of all dances, held."""
    return [Dance(m.name, np.tile(mean_pose, (m.frames, 1, 1)), m.beats) for m in music]


def exchanged(dances: Sequence[Dance]) -> list[Dance]:
    """Baseline: each music with the dance of the next one; none for a single dance."""
    if len(dances) < 2:
        return []
    swapped = []
    for music, dance in zip(dances, [*dances[1:], dances[0]], strict=True):
        beats = np.asarray(music.music_beats)
        swapped.append(replace(dance, name=music.name, music_beats=beats[beats < len(dance.positions)]))
    return swapped


def _mean_pose(halves: Sequence[Sequence[npt.NDArray[np.floating[Any]]]]) -> npt.NDArray[np.floating[Any]]:
    """Decode the mean of pose channels, standing: joints (24, 3)."""
    upper, lower = (
        np.mean([half[number].mean(axis=0, dtype=np.float64) for half in halves], axis=0) for number in (0, 1)
    )
    lower[VELOCITY.start : TURN + 1] = 0.0
    pose = decode_motion(upper[None].astype(np.float32), lower[None].astype(np.float32))
    return np.asarray(pose.positions[0])
