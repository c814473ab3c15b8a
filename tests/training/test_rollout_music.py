"""Music for rollouts: grids and phases, and which music is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.errors import InputError
from bailando.training.dataset import Dataset
from bailando.training.rollout_music import Track, Tracks, tracks_of_dataset, tracks_of_songs


def counting_track(frames: int, first_beat: float, interval: float) -> Track:
    """Features count frames; beats from two intervals before the start to after the end."""
    beats = np.arange(first_beat - 2 * interval, frames + 2 * interval, interval)
    return Track(np.arange(frames, dtype=np.float32)[:, None], beats, style=3)


def test_phase_and_beats_follow_the_grid_of_the_stretch() -> None:
    tracks = Tracks([counting_track(1000, 7.25, 20.0)], tokens=10)
    music = tracks.draw(5, 1, torch.Generator().manual_seed(0))
    starts = music.tokens[:, 0, 0]
    assert len(starts.unique()) > 1
    for row in range(5):
        frame = starts[row] + torch.arange(80)
        torch.testing.assert_close(music.tokens[row].flatten(), frame)
        distance = (frame - 7.25) % 20.0
        torch.testing.assert_close(music.phase[row], distance / 20.0)
        assert torch.equal(music.beats[row], (distance - 0.25).abs() < 0.5) or torch.equal(
            music.beats[row], (distance - 19.75).abs() < 0.5
        )
    assert music.style.tolist() == [3] * 5


def test_repeats_follow_each_other() -> None:
    tracks = Tracks([counting_track(1000, 0.0, 20.0)], tokens=4)
    music = tracks.draw(3, 2, torch.Generator().manual_seed(0))
    assert torch.equal(music.tokens[0::2], music.tokens[1::2])
    assert not torch.equal(music.tokens[0], music.tokens[2])


def test_music_too_short_for_a_rollout_is_refused() -> None:
    with pytest.raises(InputError, match=r"no music of 5\.3 s"):
        Tracks([counting_track(100, 0.0, 20.0)], tokens=40)


def test_paired_music_is_on_the_beats_that_were_danced(data_folder: Path) -> None:
    dataset = Dataset(data_folder)
    tracks = tracks_of_dataset(dataset, "train", 0.0)
    segment = dataset.of("train")[0]
    draw = dataset.pairs(segment)[-1]
    heard = segment.frames + draw["preroll_frames"]
    matching = [
        track
        for track in tracks
        if track.frames == heard
        and all(np.abs(track.beats - draw["preroll_frames"] - beat).min() < 0.01 for beat in draw["beats"])
    ]
    assert matching
    assert all(track.beats[0] < 0 and track.beats[-1] > track.frames for track in tracks)


def test_music_that_the_tracker_cannot_follow_is_left_out(data_folder: Path) -> None:
    dataset = Dataset(data_folder)
    assert tracks_of_dataset(dataset, "train", 1.0) == []


def test_songs_come_with_their_own_beats_but_held_out_ones_do_not(folders: tuple[Path, Path]) -> None:
    tracks = tracks_of_songs(folders[1], 0.0, {"song_0", "song_2"})
    assert len(tracks) == 1
    assert np.median(np.diff(tracks[0].beats)) == pytest.approx(30.0, abs=1.0)
