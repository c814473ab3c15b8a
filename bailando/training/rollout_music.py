"""Music to roll dances out to, with the beat grid that the rewards are counted on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from bailando.errors import InputError
from bailando.music.audio import load_mono
from bailando.music.features import REFERENCE_BPM, FeatureExtractor, FeatureSpec
from bailando.training.dataset import Dataset, Segment, Split
from bailando.training.pairing import FRAME_RATE_HZ, extend_grid
from bailando.training.songs import analyse_song, beat_times, find_songs

FRAMES_PER_TOKEN = 8
# A grid is of the tracker's own tempo if it is closer to it than this: not the next octave, nor dotted.
_TEMPO_TOLERANCE_OCTAVES = 0.2
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """A stretch of music.

    Parameters
    ----------
    features : ndarray, (frames, F)
    beats : ndarray, (n,)
        Its beat grid in frames, ascending, from before its start to after its end.
    style
        Number of the style that goes with it; 0 for open.
    music_frames
        Last feature frames of a token that are told.
    """

    features: npt.NDArray[np.floating]
    beats: FloatArray
    style: int = 0
    music_frames: int = 8

    @property
    def frames(self) -> int:
        """Its length."""
        return len(self.features)


class RolloutMusic(NamedTuple):
    """Music of B rollouts of T tokens.

    ``tokens`` ``[B, T, 8 F]``; ``phase`` ``[B, 8 T]`` in beats from the beat (0 ... 1); ``beats``
    ``[B, 8 T]`` bool, true in the frame nearest to a beat; ``style`` ``[B]`` int64.
    """

    tokens: Tensor
    phase: Tensor
    beats: Tensor
    style: Tensor


class Tracks:
    """Tracks to draw stretches from; longer ones are drawn more often.

    Parameters
    ----------
    tracks
        At least one as long as a rollout.
    tokens
        Length T of a rollout.

    Raises
    ------
    InputError
        If no track is long enough.
    """

    def __init__(self, tracks: Sequence[Track], tokens: int) -> None:
        self.span = tokens * FRAMES_PER_TOKEN
        self.tracks = [track for track in tracks if track.frames >= self.span]
        if not self.tracks:
            raise InputError(
                f"no music of {self.span / FRAME_RATE_HZ:.1f} s whose beats the tracker hears: "
                "shorten rollout_tokens, lower min_agreement or give songs with --music"
            )
        self._starts = torch.tensor([float(track.frames - self.span + 1) for track in self.tracks])

    def draw(self, count: int, repeats: int, generator: torch.Generator) -> RolloutMusic:
        """Return `count` random stretches, each `repeats` times in a row."""
        which = torch.multinomial(self._starts, count, replacement=True, generator=generator)
        places = torch.rand(count, generator=generator, dtype=torch.float64) * self._starts[which]
        chosen = zip(which.tolist(), places.tolist(), strict=True)
        return self._stack(
            [self._stretch(self.tracks[number], int(place)) for number, place in chosen], repeats
        )

    def spread(self, count: int) -> RolloutMusic:
        """Return `count` stretches without chance: of tracks spread over the list, from their middles."""
        places = [round(place) for place in np.linspace(0, len(self.tracks) - 1, count)]
        chosen = [self.tracks[place] for place in places]
        return self._stack([self._stretch(track, (track.frames - self.span) // 2) for track in chosen], 1)

    def _stretch(self, track: Track, start: int) -> tuple[npt.NDArray[np.float32], FloatArray, int]:
        frames = np.arange(start, start + self.span)
        position = np.interp(frames, track.beats, np.arange(len(track.beats)))
        return np.array(track.features[start : start + self.span], np.float32), position, track.style

    def _stack(
        self, stretches: Sequence[tuple[npt.NDArray[np.float32], FloatArray, int]], repeats: int
    ) -> RolloutMusic:
        features, positions, styles = zip(*stretches, strict=True)
        position = torch.from_numpy(np.stack(positions))
        nearest = torch.round(position)
        # A frame is nearest to a beat if both neighbours are further away from it.
        step = torch.diff(position, dim=1, prepend=2 * position[:, :1] - position[:, 1:2])
        beats = (position - nearest >= -step / 2) & (position - nearest < step / 2)
        music = RolloutMusic(
            tokens=self._tokens(np.stack(features)),
            phase=(position % 1.0).float(),
            beats=beats,
            style=torch.tensor(styles),
        )
        return RolloutMusic(*(part.repeat_interleave(repeats, dim=0) for part in music))

    def _tokens(self, features: npt.NDArray[np.float32]) -> Tensor:
        """Join frames (B, 8 T, F) to tokens ``[B, T, 8 F]``, or keep each eighth where it tells of all."""
        count, _, width = features.shape
        tokens = torch.from_numpy(features).reshape(count, -1, FRAMES_PER_TOKEN, width)
        return tokens[:, :, -self.tracks[0].music_frames :].flatten(2)


def tracks_of_dataset(dataset: Dataset, split: Split, min_agreement: float) -> list[Track]:
    """Return the music paired with one side of the split, on the grid of the beats danced to it.

    Left out are draws on whose grid the causal tracker's phase does not stand still (less than
    `min_agreement`), or whose grid is of another octave than the tracker's tempo: the dancer could not
    know what it is rewarded for.
    """
    tracks = []
    for segment in dataset.of(split):
        pairs = zip(dataset.pairs(segment), dataset.music(segment), strict=True)
        for draw, features in pairs:
            beats = np.array(draw["beats"], np.float64)
            if draw["agreement"] < min_agreement or len(beats) < 2:
                continue
            track = _paired_track(dataset, segment, features, beats, int(draw["preroll_frames"]))
            if not dataset.has_own_features or _follows(track, dataset.preroll_frames):
                tracks.append(track)
    return tracks


def _paired_track(
    dataset: Dataset, segment: Segment, features: npt.NDArray[np.float16], beats: FloatArray, preroll: int
) -> Track:
    """Return what is heard of a draw; the grid goes on into the music before the motion, as it was warped."""
    heard = features[dataset.preroll_frames - preroll :]
    grid = extend_grid(beats + preroll, -FRAME_RATE_HZ, len(heard) + FRAME_RATE_HZ)
    return Track(heard, grid, dataset.styles.index(segment.style), dataset.music_frames)


def _follows(track: Track, settling_frames: int) -> bool:
    """Whether the grid is of the tempo that the causal tracker gives."""
    channel = FeatureSpec().channel_names.index("tempo_octave")
    octave = np.median(track.features[min(settling_frames, track.frames // 2) :, channel].astype(np.float64))
    beat_frames = float(np.median(np.diff(track.beats)))
    own = np.log2(60 * FRAME_RATE_HZ / beat_frames / REFERENCE_BPM)
    return bool(abs(own - octave) < _TEMPO_TOLERANCE_OCTAVES)


def tracks_of_songs(folder: Path, min_agreement: float, left_out: Collection[str] = ()) -> list[Track]:
    """Return the songs of a folder, on the beats found by looking at the whole of each.

    Left out are the songs named in `left_out` and those on whose beats the causal tracker agrees less than
    `min_agreement`.

    Raises
    ------
    InputError
        If the folder holds no song.
    """
    spec = FeatureSpec()
    tracks = []
    paths = [path for path in find_songs([folder]) if path.stem not in left_out]
    for path in tqdm(paths, desc="songs", unit=""):
        song = analyse_song(path)
        if song.agreement < min_agreement or len(song.beats_s) < 2:
            continue
        features = FeatureExtractor(spec).extract(load_mono(path, spec.sample_rate_hz))
        beats = beat_times(song) * FRAME_RATE_HZ
        tracks.append(Track(features, extend_grid(beats, -FRAME_RATE_HZ, len(features) + FRAME_RATE_HZ)))
    return tracks
