from pathlib import Path

import numpy as np
import pytest

from bailando.errors import InputError
from bailando.motion.contacts import detect_contacts
from bailando.motion.motion import NPZ_KEYS, Motion, load_npz, save_npz
from bailando.motion.rotations import about_axis, identity, normalize
from bailando.motion.skeleton import JOINT_NAMES


def turning_motion(frame_count: int = 121, fps: float = 60.0) -> Motion:
    rng = np.random.default_rng(0)
    rotations = np.repeat(normalize(rng.normal(size=(1, 24, 4))), frame_count, axis=0)
    rotations[:, 0] = about_axis("Y", np.arange(frame_count) / fps)
    root = np.stack([np.arange(frame_count) / fps, np.ones(frame_count), np.zeros(frame_count)], axis=1)
    return Motion(rotations, root, np.zeros((frame_count, 4)), fps, upper_codes=[1, 2], lower_codes=[3, 4])


def test_file_leads_back_with_exactly_the_documented_keys(tmp_path: Path) -> None:
    motion = turning_motion()
    save_npz(tmp_path / "dance.npz", motion)
    with np.load(tmp_path / "dance.npz", allow_pickle=False) as archive:
        assert sorted(archive.files) == sorted(NPZ_KEYS)
        assert archive["positions"].shape == (121, 24, 3)
        assert archive["positions"].dtype == np.float32
    loaded = load_npz(tmp_path / "dance.npz")
    np.testing.assert_allclose(loaded.positions, motion.positions, atol=1e-6)
    assert loaded.upper_codes is not None
    np.testing.assert_array_equal(loaded.upper_codes, [1, 2])
    assert loaded.fps == 60


def test_motion_without_codes_comes_back_without(tmp_path: Path) -> None:
    save_npz(tmp_path / "dance.npz", turning_motion()[:10])
    assert load_npz(tmp_path / "dance.npz").upper_codes is None


@pytest.mark.parametrize(
    "change",
    [
        {"rotations": np.zeros((3, 24, 4), np.float32)},
        {"rotations": np.array(["a", "b"])},
        {"fps": np.array([1.0, 2.0])},
        {"fps": np.array(0.0)},
        {"upper_codes": np.array([0.5])},
        {"contacts": np.full((121, 4), np.nan, np.float32)},
        {"root_position": np.array([{}], object)},
    ],
)
def test_files_with_wrong_arrays_are_refused(tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    path = tmp_path / "dance.npz"
    save_npz(path, turning_motion())
    with np.load(path) as archive:
        arrays = {**dict(archive), **change}
    np.savez(path, **arrays)
    with pytest.raises(InputError) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 rubbish", b"\x93NUMPY", b"hello"])
def test_files_that_are_no_archives_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dance.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"dance\.npz"):
        load_npz(path)


def test_missing_file_and_missing_key_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        load_npz(tmp_path / "none.npz")
    np.savez(tmp_path / "part.npz", rotations=np.zeros((1, 24, 4)))
    with pytest.raises(InputError, match="lacks positions"):
        load_npz(tmp_path / "part.npz")


@pytest.mark.parametrize(("fps", "frame_count"), [(30.0, 61), (120.0, 241), (100.0, 201)])
def test_resampling_keeps_the_movement(fps: float, frame_count: int) -> None:
    resampled = turning_motion().resample(fps)
    assert resampled.frame_count == frame_count
    seconds = np.arange(frame_count) / fps
    np.testing.assert_allclose(resampled.root_position[:, 0], seconds, atol=1e-4)
    expected = about_axis("Y", seconds)
    np.testing.assert_allclose(np.abs(np.sum(resampled.rotations[:, 0] * expected, -1)), 1, atol=1e-6)


def test_mirror_exchanges_left_and_right() -> None:
    motion = turning_motion()
    mirrored = motion.mirror()
    left, right = JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist")
    np.testing.assert_allclose(
        mirrored.positions[:, right], motion.positions[:, left] * [-1, 1, 1], atol=1e-5
    )
    np.testing.assert_allclose(mirrored.mirror().positions, motion.positions, atol=1e-6)


def test_feet_touch_the_floor_only_while_low_and_slow() -> None:
    frame_count = 180
    root = np.tile([0.0, 0.965, 0.0], (frame_count, 1))
    root[60:120, 1] += 0.3  # in the air
    root[120:, 0] = np.arange(60) * 2.0 / 60  # gliding at 2 m/s
    standing = Motion(identity((frame_count, 24)), root, np.zeros((frame_count, 4)))
    contacts = detect_contacts(standing.positions, 60.0)
    np.testing.assert_array_equal(contacts[:55], 1)
    np.testing.assert_array_equal(contacts[65:115], 0)
    np.testing.assert_array_equal(contacts[125:], 0)
