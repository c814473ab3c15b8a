import numpy as np
import pytest

from bailando.errors import InputError
from bailando.motion.kinematics import forward_kinematics, local_rotations
from bailando.motion.rotations import about_axis, identity, normalize
from bailando.motion.skeleton import JOINT_NAMES, LOWER_JOINTS, UPPER_JOINTS, Skeleton


def test_halves_of_the_body_cover_every_joint_once() -> None:
    assert sorted(UPPER_JOINTS + LOWER_JOINTS) == list(range(24))


def test_default_person_stands_in_a_t_pose() -> None:
    skeleton = Skeleton.default()
    positions, _ = forward_kinematics(skeleton, identity((24,)), np.zeros(3))
    at = dict(zip(JOINT_NAMES, positions, strict=True))
    assert positions[:, 1].max() + skeleton.tip_m(15)[1] - positions[:, 1].min() == pytest.approx(
        1.70, abs=0.01
    )
    assert at["left_wrist"][0] > 0.6
    assert at["left_shoulder"][1] == pytest.approx(at["left_wrist"][1])
    assert at["left_foot"][2] > at["left_ankle"][2]
    np.testing.assert_allclose(at["right_hand"], at["left_hand"] * [-1, 1, 1])


def test_manifest_form_leads_back() -> None:
    skeleton = Skeleton.default()
    assert Skeleton.from_dict(skeleton.to_dict()) == skeleton


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("parents", [-1, *range(1, 24)]),
        ("parents", [-1, True, *([0] * 22)]),
        ("parents", [0] * 24),
        ("offsets_m", [[0, 0, 0]] * 23),
        ("offsets_m", [[0, 0, float("nan")]] * 24),
        ("offsets_m", [[0, 0]] * 24),
        ("offsets_m", [["a", 0, 0]] * 24),
        ("joint_names", ["pelvis"] * 24),
        ("joint_names", list(range(24))),
        ("surprise", 1),
    ],
)
def test_wrong_manifest_forms_are_refused(key: str, value: object) -> None:
    with pytest.raises(InputError, match=r"expected|must"):
        Skeleton.from_dict({**Skeleton.default().to_dict(), key: value})


def test_turning_a_joint_moves_only_what_hangs_on_it() -> None:
    skeleton, rotations = Skeleton.default(), identity((24,))
    rest, _ = forward_kinematics(skeleton, rotations, np.array([1.0, 2.0, 3.0]))
    rotations[JOINT_NAMES.index("left_elbow")] = about_axis("Y", np.array(-np.pi / 2))
    bent, _ = forward_kinematics(skeleton, rotations, np.array([1.0, 2.0, 3.0]))
    moved = {JOINT_NAMES[j] for j in np.flatnonzero(np.abs(bent - rest).max(-1) > 1e-9)}
    assert moved == {"left_wrist", "left_hand"}
    elbow, wrist = bent[JOINT_NAMES.index("left_elbow")], bent[JOINT_NAMES.index("left_wrist")]
    np.testing.assert_allclose(wrist - elbow, [0, 0, 0.245], atol=1e-9)


def test_local_rotations_undo_the_chain() -> None:
    rotations = normalize(np.random.default_rng(0).normal(size=(5, 24, 4)))
    skeleton = Skeleton.default()
    _, world = forward_kinematics(skeleton, rotations, np.zeros((5, 3)))
    np.testing.assert_allclose(local_rotations(skeleton, world), rotations, atol=1e-12)
