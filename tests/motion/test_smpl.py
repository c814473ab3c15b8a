import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from bailando.errors import InputError
from bailando.motion.skeleton import JOINT_NAMES
from bailando.motion.smpl import read_smpl


def bent_elbow_poses(frame_count: int, width: int) -> np.ndarray:
    poses = np.zeros((frame_count, width))
    poses[:, 3 * JOINT_NAMES.index("left_elbow") + 1] = -np.pi / 2
    return poses


class Hostile:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_aist_layout_is_read_and_scaled(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    trans = np.linspace([0, 0, 0], [93.8, 0, 0], 60).astype(np.float32)
    fields = {"smpl_poses": bent_elbow_poses(60, 72), "smpl_trans": trans, "smpl_scaling": np.array([93.8])}
    path.write_bytes(pickle.dumps(fields, protocol))
    motion = read_smpl(path)
    elbow, wrist = (motion.positions[:, JOINT_NAMES.index(f"left_{part}")] for part in ("elbow", "wrist"))
    np.testing.assert_allclose(wrist - elbow, np.tile([0, 0, 0.245], (60, 1)), atol=1e-5)
    assert np.ptp(motion.root_position[:, 0]) == pytest.approx(0.8 / 0.82, abs=1e-3)
    assert motion.positions[..., 1].min() == pytest.approx(0, abs=1e-5)


def test_amass_layout_is_turned_upright_and_resampled(tmp_path: Path) -> None:
    poses = bent_elbow_poses(120, 156)
    poses[:, 0] = np.pi / 2  # upright in a world whose Z is up
    np.savez(tmp_path / "a.npz", poses=poses, trans=np.zeros((120, 3)), mocap_framerate=120.0)
    motion = read_smpl(tmp_path / "a.npz")
    assert motion.fps == 60
    assert motion.frame_count == 60
    np.testing.assert_allclose(motion.positions[0, 15] - motion.positions[0, 0], [0, 0.585, 0], atol=1e-5)


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    victim = tmp_path / "made"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"smpl_poses": Hostile(victim)}))
    with pytest.raises(InputError, match="not a pickle of plain arrays"):
        read_smpl(tmp_path / "a.pkl")
    assert not victim.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"rubbish",
        pickle.dumps([1, 2]),
        pickle.dumps({"other": 1}),
        pickle.dumps({"smpl_poses": np.zeros((3, 72))}),
        pickle.dumps({"smpl_poses": np.zeros((3, 72)), "smpl_trans": np.zeros((2, 3))}),
        pickle.dumps({"smpl_poses": np.zeros((3, 70)), "smpl_trans": np.zeros((3, 3))}),
        pickle.dumps({"smpl_poses": np.full((3, 72), np.nan), "smpl_trans": np.zeros((3, 3))}),
        pickle.dumps({"smpl_poses": np.zeros((3, 72)), "smpl_trans": np.zeros((3, 3)), "smpl_scaling": 0.0}),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_smpl(tmp_path / "a.pkl")
    assert "\n" not in str(caught.value)
    assert "a.pkl" in str(caught.value)


@pytest.mark.parametrize("joints", [22, 24, 52])
@pytest.mark.parametrize("flat", [True, False])
def test_archives_of_any_number_of_joints_and_either_axis_up_are_read(
    tmp_path: Path, joints: int, flat: bool
) -> None:
    y_up = bent_elbow_poses(40, 3 * joints)
    z_up = y_up.copy()
    z_up[:, 0] = np.pi / 2
    walk = np.linspace([0, 0, 0], [0, 1, 0], 40)
    read = []
    for name, poses, trans in (("y", y_up, walk[:, [0, 2, 1]]), ("z", z_up, -walk)):
        shape = (40, -1) if flat else (40, joints, 3)
        np.savez(tmp_path / name, poses=poses.reshape(shape), trans=trans, mocap_framerate=60)
        read.append(read_smpl(tmp_path / f"{name}.npz"))
    np.testing.assert_allclose(read[0].positions, read[1].positions, atol=1e-5)
    assert read[0].root_position[-1, 2] > 0.9


def test_a_file_keeps_its_rate_if_asked(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", poses=bent_elbow_poses(50, 66), trans=np.zeros((50, 3)), mocap_framerate=100.0
    )
    motion = read_smpl(tmp_path / "a.npz", fps=None)
    assert (motion.fps, motion.frame_count) == (100.0, 50)
