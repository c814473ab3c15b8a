from __future__ import annotations

import csv
import importlib.util
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
from asymmetric_dance import asymmetric_dance

from bailando.errors import BailandoError, ConfigError, OutputError
from bailando.motion.bvh import read_bvh
from bailando.motion.files import FORMATS, file_format, write_motion
from bailando.motion.motion import load_npz
from bailando.motion.smpl import read_smpl


def test_longest_suffix_chooses_the_format() -> None:
    assert file_format("dance.BVH").suffix == ".bvh"
    assert file_format("a/dance_smpl.npz").suffix == "_smpl.npz"
    assert file_format("a/dance.npz").suffix == ".npz"


@pytest.mark.parametrize("name", ["dance.doc", "dance", ".bvh", "bvh"])
def test_unknown_suffix_is_refused_in_one_line_with_all_formats(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        write_motion(tmp_path / name, asymmetric_dance(2))
    message = str(caught.value)
    assert all(kind.suffix in message for kind in FORMATS)
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_unknown_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.bvh files got option 'colour'; expected order, unit"):
        write_motion(tmp_path / "a.bvh", asymmetric_dance(2), colour="red")


WRITABLE = [kind for kind in FORMATS if all(importlib.util.find_spec(name) for name in kind.packages)]


@pytest.mark.parametrize("name", [f"a{kind.suffix}" for kind in WRITABLE])
def test_unwritable_place_is_named_and_nothing_half_done_stays(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="cannot write") as caught:
        write_motion(tmp_path / "no" / name, asymmetric_dance(2))
    assert ".partial" not in str(caught.value)
    (tmp_path / name).mkdir()  # in the way of the finished file
    with pytest.raises(BailandoError):
        write_motion(tmp_path / name, asymmetric_dance(2))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_npz_and_bvh_read_back(tmp_path: Path) -> None:
    dance = asymmetric_dance()
    write_motion(tmp_path / "a.npz", dance)
    write_motion(tmp_path / "a.bvh", dance, unit="cm", order="ZXY")
    np.testing.assert_allclose(load_npz(tmp_path / "a.npz").positions, dance.positions, atol=1e-6)
    bvh = read_bvh(tmp_path / "a.bvh")
    ours = dance.positions[:, [dance.skeleton.joint_names.index(name) for name in bvh.names]]
    assert np.abs(bvh.forward_kinematics()[0] / 100 - ours).max() < 1e-4


def test_bvhio_computes_our_joint_positions(tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio", reason="bvhio is not installed")
    dance = asymmetric_dance()
    write_motion(tmp_path / "a.bvh", dance)
    container = bvhio.readAsBvh(str(tmp_path / "a.bvh"))
    assert container.FrameCount == dance.frame_count
    assert round(1 / container.FrameTime, 4) == 60
    root = bvhio.convertBvhToHierarchy(container.Root)
    for frame in range(0, dance.frame_count, 11):
        root.loadPose(frame)
        theirs = {joint.Name: list(joint.PositionWorld) for joint, _, _ in root.layout()}
        ours = dict(zip(dance.skeleton.joint_names, dance.positions[frame], strict=True))
        assert set(theirs) == set(ours)
        for name, position in ours.items():
            np.testing.assert_allclose(theirs[name], position, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("name", ["a_smpl.npz", "a.pkl"])
def test_smpl_file_reads_back_as_the_same_dance(tmp_path: Path, name: str) -> None:
    dance = asymmetric_dance()
    write_motion(tmp_path / name, dance)
    back = read_smpl(tmp_path / name)
    assert back.fps == 60
    lift = back.positions[0, 0] - dance.positions[0, 0]  # the reader finds the floor by itself
    np.testing.assert_allclose(lift[[0, 2]], 0, atol=1e-5)
    np.testing.assert_allclose(back.positions - lift, dance.positions, atol=1e-4)


def test_smpl_arrays_have_the_layout_of_aist(tmp_path: Path) -> None:
    write_motion(tmp_path / "a_smpl.npz", asymmetric_dance(7))
    with np.load(tmp_path / "a_smpl.npz") as arrays:
        shapes = {name: (arrays[name].shape, arrays[name].dtype) for name in arrays}
    assert shapes == {
        "smpl_poses": ((7, 72), np.float32),
        "smpl_trans": ((7, 3), np.float32),
        "smpl_scaling": ((1,), np.float32),
    }


def test_pickle_holds_a_dictionary_of_arrays_that_old_numpy_can_name(tmp_path: Path) -> None:
    write_motion(tmp_path / "a.pkl", asymmetric_dance(7))
    content = (tmp_path / "a.pkl").read_bytes()
    named = {argument for code, argument, _ in pickletools.genops(content) if code.name == "GLOBAL"}
    assert named == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
    fields = pickle.loads(content)
    assert {name: array.shape for name, array in fields.items()} == {
        "smpl_poses": (7, 72),
        "smpl_trans": (7, 3),
        "smpl_scaling": (1,),
    }


def test_csv_names_every_column(tmp_path: Path) -> None:
    dance = asymmetric_dance(20)
    write_motion(tmp_path / "a.csv", dance)
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 20
    assert len(rows[0]) == 2 + 24 * 7 + 4
    assert float(rows[6]["time_s"]) == pytest.approx(0.1)
    wrist = [float(rows[6][f"left_wrist_{axis}"]) for axis in "xyz"]
    np.testing.assert_allclose(wrist, dance.positions[6, 20], atol=1e-5)
    knee = [float(rows[6][f"right_knee_q{axis}"]) for axis in "xyzw"]
    np.testing.assert_allclose(knee, dance.rotations[6, 5], atol=1e-5)
    assert float(rows[0]["contact_left_toes"]) == 1


@pytest.mark.skipif(importlib.util.find_spec("bpy") is not None, reason="Blender's bpy is installed")
def test_format_whose_package_is_missing_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.fbx files need bpy; run: pip install 'bailando\[fbx\]'"):
        write_motion(tmp_path / "a.fbx", asymmetric_dance(2))
