from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from swings import swinging

from bailando.errors import InputError
from bailando.motion.bvh import write_bvh
from bailando.training.assemble import provenance
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.prepare import prepare
from bailando.training.prepare_summary import summary
from bailando.training.readers import read_motion
from bailando.training.segments import cut_segments, runs
from bailando.training.sources import Recording, find_recordings, known_sources
from bailando.training.split import split_recordings


def test_a_data_set_holds_plain_and_mirrored_poses_and_music_for_each(
    data_folder: Path, tiny_config: TrainConfig
) -> None:
    dataset = Dataset(data_folder)
    pairing = tiny_config.prepare.pairing
    assert len(dataset.segments) == 5
    for segment in dataset.segments:
        upper, lower = dataset.pose(segment)
        assert upper.shape == (2, segment.frames, 90)
        assert lower.shape == (2, segment.frames, 62)
        assert dataset.positions(segment).shape == (segment.frames, 24, 3)
        music = dataset.music(segment)
        assert music.shape == (2, pairing.preroll_frames + segment.frames, dataset.feature_dim)
        assert [set(pair) for pair in dataset.pairs(segment)] == [
            {"song", "ratio", "song_start_s", "preroll_frames", "agreement", "beats"}
        ] * pairing.draws


def test_partners_are_on_the_same_side_of_the_split(folders: tuple[Path, Path]) -> None:
    recordings = find_recordings(folders[0], known_sources()["cmu"])
    for seed in range(8):
        split = split_recordings(recordings, 0.3, seed)
        assert split["swings/swing_1_a"] == split["swings/swing_1_b"]
        assert sorted({*split.values()}) == ["held_out", "train"]


def test_held_out_motion_is_paired_with_held_out_songs(data_folder: Path) -> None:
    dataset = Dataset(data_folder)
    sides = {name: song["split"] for name, song in dataset.index["songs"].items()}
    assert sorted(sides.values()) == ["held_out", "train", "train"]
    for segment in dataset.segments:
        assert {sides[pair["song"]] for pair in dataset.pairs(segment)} == {segment.split}


def test_what_is_finished_is_not_made_again(
    folders: tuple[Path, Path], data_folder: Path, tiny_config: TrainConfig
) -> None:
    before = {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.npy")}
    index = (data_folder / "index.json").read_text()
    prepare([folders[0]], [folders[1]], data_folder, tiny_config.prepare)
    assert {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.npy")} == before
    assert (data_folder / "index.json").read_text() == index


def test_dropped_frames_split_a_recording_and_are_reported(tmp_path: Path, tiny_config: TrainConfig) -> None:
    path = tmp_path / "swing.bvh"
    write_bvh(path, swinging(400))
    recording = Recording("swing", path, "swing", "open", dropped=((150, 159, "arm lost"),), moving=(20, 380))
    config = replace(tiny_config.prepare, min_segment_frames=160, still_margin_frames=10)
    segments, losses = cut_segments(read_motion(path), recording, config)
    assert [(s.first_frame, s.motion.frame_count) for s in segments] == [(160, 231)]
    assert [(loss.reason, loss.frames) for loss in losses] == [
        ("standing still", 10),
        ("standing still", 9),
        ("arm lost", 10),
        ("too short between dropped parts", 140),
    ]


def test_labels_of_known_sources_become_styles(tmp_path: Path) -> None:
    folder = tmp_path / "g1"
    folder.mkdir()
    for name in ("one", "two"):
        write_bvh(folder / f"{name}.bvh", swinging(2))
    (folder / "index.csv").write_text("clip,style\none,broadway\ntwo,unheard of\n")
    (folder / "suspect.csv").write_text(
        "clip,first_frame,last_frame,what,drop\none,3,5,glitch,yes\none,8,9,odd,no\n"
    )
    first, second = find_recordings(folder, known_sources()["g1"])
    assert (first.style, second.style) == ("jazz", "open")
    assert first.dropped == ((3, 5, "glitch"),)


def test_runs_are_the_stretches_of_true() -> None:
    kept = np.array([True, True, False, True, False, False, True])
    assert runs(kept) == [(0, 2), (3, 4), (6, 7)]


def test_a_summary_tells_minutes_and_pairs(data_folder: Path) -> None:
    text = summary(Dataset(data_folder).index)
    assert "min to train" in text
    assert "3 songs, 10 pairs\n" in text
    assert "the causal beat tracker agrees" in text


def test_a_folder_without_motion_is_an_error(tmp_path: Path, tiny_config: TrainConfig) -> None:
    with pytest.raises(InputError, match="holds no motion file"):
        prepare([tmp_path], [], tmp_path / "out", tiny_config.prepare)


def test_a_folder_without_a_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bailando-train prepare"):
        Dataset(tmp_path)


def test_minutes_of_motion_are_counted_once_however_many_speeds(
    folders: tuple[Path, Path], tiny_config: TrainConfig, tmp_path: Path
) -> None:
    told = []
    for number, speeds in enumerate(((1.0,), (1.0, 0.5))):
        prepare([folders[0]], [], tmp_path / str(number), replace(tiny_config.prepare, speeds=speeds))
        told.append(provenance(Dataset(tmp_path / str(number)), tiny_config, "x").description)
    assert told[0] == told[1]
