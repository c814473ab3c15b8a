"""Small dances, a data set of them and songs, for tests of evaluation and reports."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile

from bailando.motion.motion import Motion, save_npz
from bailando.motion.pose import encode_pose
from bailando.motion.rotations import from_axis_angle
from bailando.motion.skeleton import Skeleton
from bailando.music.features import FeatureSpec
from bailando.training.dataset import FORMAT, VERSION, Segment, write_array, write_index

FRAMES = 360
BEAT_FRAMES = 30
PREROLL = 16


def swaying(frames: int = FRAMES, seed: int = 0, first_beat: float = 0.3) -> Motion:
    """A body whose arms and spine swing, standing still on every beat (30 frames).

    With beats between frames, as two equal speeds on either side of a beat would be no strict minimum.
    """
    generator = np.random.default_rng(seed)
    time = np.arange(frames) - first_beat
    vectors = np.zeros((frames, 24, 3))
    for joint in (3, 6, 13, 14, 16, 17, 18, 19):
        swing = np.cos(np.pi * time / BEAT_FRAMES)
        vectors[:, joint] = generator.uniform(0.2, 0.8) * swing[:, None] * generator.normal(size=3)
    root = np.tile([0.0, 0.95, 0.0], (frames, 1))
    codes = generator.integers(0, 16, (2, frames // 8))
    rotations = from_axis_angle(vectors)
    return Motion(rotations, root, np.ones((frames, 4)), upper_codes=codes[0], lower_codes=codes[1])


def write_dances(folder: Path, names: list[str], first_seed: int = 0, first_beat: float = 0.3) -> Path:
    """Write swaying dances as npz files."""
    folder.mkdir()
    for number, name in enumerate(names):
        save_npz(folder / f"{name}.npz", swaying(seed=first_seed + number, first_beat=first_beat))
    return folder


def write_dataset(folder: Path) -> Path:
    """Write a data set of two dances to train and two held out, each paired with clicks on its beats."""
    spec = FeatureSpec()
    beats = list(range(0, FRAMES, BEAT_FRAMES))
    segments = [
        Segment(name, name, name, "made", "open", "train" if number < 2 else "held_out", FRAMES)
        for number, name in enumerate(("a", "b", "c", "d"))
    ]
    for number, segment in enumerate(segments):
        motion = swaying(seed=number)
        upper, lower = encode_pose(motion)
        write_array(folder / "motion" / f"{segment.name}.upper.npy", np.stack([upper, upper]))
        write_array(folder / "motion" / f"{segment.name}.lower.npy", np.stack([lower, lower]))
        write_array(folder / "motion" / f"{segment.name}.positions.npy", motion.positions)
        music = np.random.default_rng(number).normal(size=(1, PREROLL + FRAMES, spec.frame_dim))
        write_array(folder / "music" / f"{segment.name}.npy", music.astype(np.float16))
    draw = {"song": "clicks", "ratio": 1.0, "song_start_s": 0.0, "preroll_frames": PREROLL, "beats": beats}
    write_index(
        folder,
        {
            "format": FORMAT,
            "version": VERSION,
            "styles": ["open"],
            "preroll_frames": PREROLL,
            "feature_dim": spec.frame_dim,
            "features": spec.to_dict(),
            "skeleton": Skeleton.default().to_dict(),
            "sources": {},
            "songs": {},
            "segments": [asdict(segment) for segment in segments],
            "pairs": {segment.name: [draw] for segment in segments},
        },
    )
    return folder


def write_clicks(path: Path, seconds: float = 12.0, bpm: float = 120.0) -> Path:
    """Write a song of clicks, the first at 0.25 s."""
    rate = 24000
    samples = np.zeros(int(seconds * rate), np.float32)
    click = np.random.default_rng(0).normal(size=600) * np.exp(-np.arange(600) / 120)
    for beat_s in np.arange(0.25, seconds - 0.1, 60 / bpm):
        start = int(beat_s * rate)
        samples[start : start + 600] += 0.5 * click.astype(np.float32)
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, samples, rate)
    return path
