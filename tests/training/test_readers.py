from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from swings import swinging, write_clicks

from bailando.cli.train import main
from bailando.errors import ConfigError, InputError
from bailando.motion.bvh import write_bvh
from bailando.motion.motion import Motion, save_npz
from bailando.motion.rotations import to_axis_angle
from bailando.training.aist import aist_name
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.paired import pair_with_own_song
from bailando.training.prepare import prepare
from bailando.training.prepare_summary import summary
from bailando.training.readers import read_motion, round_trip_mm
from bailando.training.songs import Song, analyse_song
from bailando.training.sources import find_recordings, known_sources, read_joint_map

SCALING = 93.8


def write_smpl(path: Path, motion: Motion) -> None:
    """The pickle of an AIST++ dance."""
    fields = {
        "smpl_poses": to_axis_angle(motion.rotations).reshape(motion.frame_count, 72).astype(np.float32),
        "smpl_trans": motion.root_position * SCALING,
        "smpl_scaling": np.array([SCALING]),
        "smpl_loss": np.float64(0.1),
    }
    path.write_bytes(pickle.dumps(fields, 2))


@pytest.fixture(scope="module")
def aist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Six dances to two songs in the layout of AIST++, one ignored and one in no split."""
    root = tmp_path_factory.mktemp("aist")
    music = root / "songs"
    dances = root / "aist_plusplus_final"
    for folder in (music, dances / "motions", dances / "splits"):
        folder.mkdir(parents=True)
    write_clicks(music / "mBR0.wav", 0.5, 5.0, 0)
    write_clicks(music / "mPO1.wav", 0.48, 5.0, 1)
    names = [f"gBR_sBM_cAll_d04_mBR0_ch0{n}" for n in range(1, 5)]
    names += [f"gPO_sFM_cAll_d10_mPO1_ch0{n}" for n in range(1, 3)]
    for number, name in enumerate(names):
        write_smpl(dances / "motions" / f"{name}.pkl", swinging(160 + 8 * number, phase=0.3 * number))
    (dances / "ignore_list.txt").write_text(names[1] + "\n")
    (dances / "splits" / "crossmodal_train.txt").write_text("\n".join(names[:3]))
    (dances / "splits" / "crossmodal_val.txt").write_text(names[4] + "\n")
    (dances / "splits" / "crossmodal_test.txt").write_text(names[5])
    return dances, music


@pytest.fixture(scope="module")
def aist_data(aist: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, prepared by the command in two processes."""
    folder = tmp_path_factory.mktemp("aist_data")
    options = ["--motion", str(aist[0]), "--music", str(aist[1]), "--workers", "2", "-o", str(folder)]
    assert main(["prepare", "--preset", "tiny", *options]) == 0
    return folder


def test_aist_dances_are_on_their_owners_sides_of_the_split(aist_data: Path) -> None:
    dataset = Dataset(aist_data)
    sides = {segment.recording.split("_mBR0_")[-1]: segment.split for segment in dataset.segments}
    assert sides == {
        "ch01": "train",
        "ch03": "train",
        "aist_plusplus_final/gPO_sFM_cAll_d10_mPO1_ch01": "held_out",
        "aist_plusplus_final/gPO_sFM_cAll_d10_mPO1_ch02": "held_out",
    }
    assert {name: song["split"] for name, song in dataset.index["songs"].items()} == {
        "mBR0": "train",
        "mPO1": "held_out",
    }
    assert dataset.styles == ("open", "break", "popping")
    assert dataset.index["sources"]["aist_plusplus_final"]["name"].startswith("AIST++")


def test_what_aist_leaves_out_is_reported(aist_data: Path) -> None:
    index = Dataset(aist_data).index
    assert {(loss["recording"][-4:], loss["reason"]) for loss in index["dropped"]} == {
        ("ch02", "on the ignore list"),
        ("ch04", "in none of the official splits"),
    }
    text = summary(index)
    assert "dropped all of aist_plusplus_final/gBR_sBM_cAll_d04_mBR0_ch02: on the ignore list" in text
    assert "2 songs, 4 pairs, 4 of them danced to" in text
    assert "pose channels and back 0.00" in text


def test_paired_motion_keeps_its_time_and_its_song_as_it_is(aist: tuple[Path, Path], aist_data: Path) -> None:
    dataset = Dataset(aist_data)
    for segment in dataset.segments:
        own = swinging(segment.frames, phase=0.3 * ((segment.frames - 160) // 8))
        made, danced = (p - p[:, :1] for p in (dataset.positions(segment), own.positions))
        np.testing.assert_allclose(made, danced, atol=1e-4)
        (pair,) = dataset.pairs(segment)
        assert (pair["song"], pair["ratio"], pair["song_start_s"]) == (segment.song, 1.0, 0.0)
        assert pair["paired"]
        song = analyse_song(aist[1] / f"{segment.song}.wav")
        beats = np.array(song.beats_s) * 60
        np.testing.assert_allclose(pair["beats"], beats[beats < segment.frames], atol=0.01)
        assert dataset.music(segment).shape[:2] == (1, dataset.preroll_frames + segment.frames)


def test_music_before_the_motion_is_what_the_song_has_there(tmp_path: Path) -> None:
    write_clicks(tmp_path / "song.wav", 0.5, 6.0, 0)
    song = Song("song", tmp_path / "song.wav", 6.0, 120.0, tuple(np.arange(0.25, 6, 0.5)), 1.0)
    features, (pair,) = pair_with_own_song(song, 1.0, 120, 256)
    assert pair["preroll_frames"] == 60
    assert pair["beats"] == [15.0, 45.0, 75.0, 105.0]
    assert not features[0, : 256 - 60].any()
    whole, _ = pair_with_own_song(song, 0.0, 180, 256)
    np.testing.assert_array_equal(features[0, 196:], whole[0, 256:])


def test_songs_that_were_not_given_are_named_and_their_dances_paired_by_tempo(
    aist: tuple[Path, Path], tiny_config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    music = tmp_path / "other"
    music.mkdir()
    write_clicks(music / "other.wav", 0.5, 16.0, 3)
    with caplog.at_level(logging.WARNING):
        index = prepare([aist[0] / "motions"], [music], tmp_path / "out", tiny_config.prepare)
    assert "2 songs that were danced to are not among the music, such as mBR0" in caplog.text
    assert {pair["song"] for pairs in index["pairs"].values() for pair in pairs} == {"other"}
    assert not any("paired" in pair for pairs in index["pairs"].values() for pair in pairs)


def test_other_names_are_no_aist_names() -> None:
    named = aist_name("gJB_sFM_c01_d09_mJB4_ch21")
    assert named is not None
    assert (named.genre, named.song) == ("JB", "mJB4")
    assert aist_name("salsa_pair01_a") is None


def test_the_same_dance_is_read_from_every_kind_of_file(tmp_path: Path) -> None:
    motion = swinging(90)
    write_bvh(tmp_path / "a.bvh", motion)
    write_smpl(tmp_path / "a.pkl", motion)
    save_npz(tmp_path / "ours.npz", motion)
    poses = to_axis_angle(motion.rotations).reshape(90, 72)
    np.savez(tmp_path / "amass.npz", poses=poses, trans=motion.root_position, mocap_framerate=60)
    for name in ("a.bvh", "a.pkl", "ours.npz", "amass.npz"):
        read = read_motion(tmp_path / name)
        assert (read.fps, read.motion.fps, read.motion.frame_count) == (60, 60, 90)
        relative = read.motion.positions - read.motion.positions[:, :1]
        np.testing.assert_allclose(relative, motion.positions - motion.positions[:, :1], atol=2e-3)
        assert (read.error is None) == (name != "a.bvh")
        assert round_trip_mm(read.motion) < 0.01


def test_too_slow_recordings_are_dropped_with_the_reason(tiny_config: TrainConfig, tmp_path: Path) -> None:
    folder = tmp_path / "motion"
    folder.mkdir()
    write_bvh(folder / "good.bvh", swinging(160))
    write_bvh(folder / "slow.bvh", swinging(160).resample(10))
    poses = np.zeros((160, 66))
    poses[3, 4] = np.nan
    np.savez(folder / "broken.npz", poses=poses, trans=np.zeros((160, 3)), mocap_framerate=60)
    index = prepare([folder], [], tmp_path / "out", tiny_config.prepare)
    assert {loss["recording"]: loss["reason"] for loss in index["dropped"]} == {
        "motion/slow": "the file has 10 frames a second; expected 20 or more",
        "motion/broken": "the file has poses of shape (160, 66); expected (T, 66), finite, T >= 1",
    }
    assert set(index["retargeting"]) == {"motion/good"}
    assert index["retargeting"]["motion/good"]["direction_deg"] < 1


def rename(path: Path, **names: str) -> None:
    text = path.read_text()
    for ours, theirs in names.items():
        text = text.replace(f" {ours}\n", f" {theirs}\n")
    path.write_text(text)


def test_joints_that_cannot_be_guessed_are_listed_and_a_map_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = tmp_path / "motion", tmp_path / "data"
    folder.mkdir()
    write_bvh(folder / "a.bvh", swinging(160))
    rename(folder / "a.bvh", left_knee="Genou", head="Tete")
    options = ["prepare", "--preset", "tiny", "--motion", str(folder), "-o", str(data)]
    assert main(options) == 2
    assert "motion/a: cannot find left_knee, head among the joints pelvis" in capsys.readouterr().err
    joint_map = tmp_path / "map.yaml"
    joint_map.write_text("left_knee: Genou\nhead: Tete\n")
    assert main([*options, "--joint-map", str(joint_map)]) == 0
    (folder / "joint_map.yaml").write_text("left_knee: Genou\nhead: Tete\n")
    assert dict(find_recordings(folder, known_sources()["cmu"])[0].joint_map) == {
        "left_knee": "Genou",
        "head": "Tete",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tail: Schwanz", "names tail; expected some of"),
        ("[1, 2]", "maps no joints"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_wrong_joint_map_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_joint_map(tmp_path / "map.yaml")


def test_a_table_can_name_the_song_of_any_recording(tmp_path: Path) -> None:
    write_bvh(tmp_path / "a.bvh", swinging(2))
    (tmp_path / "index.csv").write_text("clip,song,song_start_s\na,waltz,2.5\n")
    (recording,) = find_recordings(tmp_path, known_sources()["cmu"])
    assert (recording.song, recording.song_start_s) == ("waltz", 2.5)
    (tmp_path / "index.csv").write_text("clip,song,song_start_s\na,waltz,later\n")
    with pytest.raises(InputError, match="expected seconds"):
        find_recordings(tmp_path, known_sources()["cmu"])
