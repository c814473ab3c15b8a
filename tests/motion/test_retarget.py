from pathlib import Path

import numpy as np
import pytest

from bailando.errors import InputError
from bailando.motion.bvh import read_bvh, write_bvh
from bailando.motion.foreign import read_foreign
from bailando.motion.joint_map import REQUIRED_JOINTS, complete_joint_map, guess_joint_map
from bailando.motion.motion import Motion
from bailando.motion.retarget import retarget, retarget_error
from bailando.motion.rotations import rotate
from bailando.motion.skeleton import JOINT_NAMES

DATA = Path(__file__).parents[1] / "data" / "motion"
FILES = ["cmu_salsa", "g1_jazz_walk", "rokoko_dance", "jumping_jacks", "dab_z_up"]


def load(name: str) -> Motion:
    return retarget(read_bvh(DATA / f"{name}.bvh"))


@pytest.mark.parametrize("name", FILES)
def test_limbs_point_as_in_the_source(name: str) -> None:
    bvh = read_bvh(DATA / f"{name}.bvh")
    error = retarget_error(bvh, retarget(bvh))
    assert error.direction_deg < 4
    assert error.leg_position_mm < 40
    assert error.arm_position_mm < 40


@pytest.mark.parametrize("name", FILES)
def test_ankles_move_as_in_the_source_scaled(name: str) -> None:
    source, _ = read_foreign(read_bvh(DATA / f"{name}.bvh"), None, 60.0)
    positions = load(name).positions
    left, right = (positions[:, JOINT_NAMES.index(f"{side}_ankle")] for side in ("left", "right"))
    theirs = source.points["left_ankle"] - source.points["right_ankle"]
    np.testing.assert_allclose(left - right, theirs * 0.8 / source.leg_length, atol=0.015)


def test_our_own_body_comes_back_unchanged(tmp_path: Path) -> None:
    motion = load("g1_jazz_walk")
    write_bvh(tmp_path / "a.bvh", motion)
    again = retarget(read_bvh(tmp_path / "a.bvh"))
    np.testing.assert_allclose(again.positions, motion.positions, atol=1e-3)


@pytest.mark.parametrize("name", FILES)
def test_body_stands_on_the_floor_head_up_and_faces_where_its_toes_point(name: str) -> None:
    positions = load(name).positions
    at = {joint: positions[:, i] for i, joint in enumerate(JOINT_NAMES)}
    assert np.percentile(np.minimum(at["left_foot"][:, 1], at["right_foot"][:, 1]), 5) == pytest.approx(
        0, abs=0.06
    )
    assert 1.2 < at["head"][:, 1].mean() < 1.9
    across = at["left_hip"] - at["right_hip"]
    forward = np.cross(across, at["spine3"] - at["pelvis"])
    toes = at["left_foot"] - at["left_ankle"] + at["right_foot"] - at["right_ankle"]
    assert (np.sum(forward * toes, axis=-1) > 0).mean() > 0.9


@pytest.mark.parametrize("name", FILES)
def test_knees_bend_backward_as_hinges(name: str) -> None:
    motion = load(name)
    for side in ("left", "right"):
        knee = motion.rotations[:, JOINT_NAMES.index(f"{side}_knee")]
        shin = rotate(knee, np.array([0.0, -1.0, 0.0], np.float32))
        assert (shin[:, 2] < 0.1).all()
        assert np.abs(shin[:, 0]).mean() < 0.25


def test_file_of_120_hz_becomes_60_hz_and_its_t_pose_is_dropped() -> None:
    motion = load("cmu_salsa")
    assert motion.fps == 60
    assert motion.frame_count == 44  # 100 frames less 12 of the T-pose, halved
    assert np.abs(np.diff(motion.positions, axis=0)).max() < 0.15


def test_partly_known_names_are_an_error_that_lists_the_missing() -> None:
    names = [name for name in JOINT_NAMES if name not in ("left_knee", "head")]
    with pytest.raises(InputError, match="cannot find left_knee, head among"):
        complete_joint_map(names)


def test_explicit_map_fills_what_cannot_be_guessed() -> None:
    names = ["Kopf" if name == "head" else name for name in JOINT_NAMES]
    assert complete_joint_map(names, {"head": "Kopf"})["head"] == "Kopf"
    with pytest.raises(InputError, match="which the file lacks"):
        complete_joint_map(names, {"head": "Haupt"})
    with pytest.raises(InputError, match="expected one of"):
        complete_joint_map(names, {"tail": "Kopf"})


def test_names_that_differ_in_meaning_between_rigs_are_told_apart() -> None:
    mixamo = [
        *("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"),
        *(
            f"{side}{part}"
            for side in ("Left", "Right")
            for part in ("Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase")
        ),
    ]
    found = guess_joint_map([f"mixamorig:{name}" for name in mixamo])
    assert set(REQUIRED_JOINTS) <= set(found)
    assert found["left_shoulder"] == "mixamorig:LeftArm"
    assert found["left_collar"] == "mixamorig:LeftShoulder"
    assert found["left_ankle"] == "mixamorig:LeftFoot"
    smpl = guess_joint_map(JOINT_NAMES)
    assert {joint: smpl[joint] for joint in REQUIRED_JOINTS} == {joint: joint for joint in REQUIRED_JOINTS}
    assert smpl["left_foot"] == "left_foot"
    assert smpl["left_collar"] == "left_collar"
