from pathlib import Path

import numpy as np
import pytest

from bailando.errors import ConfigError, InputError, OutputError
from bailando.motion.bvh import read_bvh, write_bvh
from bailando.motion.motion import Motion
from bailando.motion.rotations import normalize, rotate
from bailando.motion.skeleton import JOINT_NAMES

TINY = """HIERARCHY
ROOT base
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation
  JOINT arm
  {
    OFFSET 0 1 0
    CHANNELS 1 Zrotation
    End Site
    {
      OFFSET 0 2 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0166667
0 0 0 0 0 0 0
1 2 3 90 0 0 90
"""


def random_motion(frame_count: int = 50) -> Motion:
    rng = np.random.default_rng(0)
    rotations = normalize(rng.normal(size=(frame_count, 24, 4)))
    return Motion(rotations, rng.normal(size=(frame_count, 3)), np.zeros((frame_count, 4)))


def test_small_file_reads_as_written(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(TINY)
    bvh = read_bvh(tmp_path / "a.bvh")
    positions, world = bvh.forward_kinematics()
    assert bvh.names == ("base", "arm")
    assert bvh.fps == 60  # 0.0166667 means 60
    np.testing.assert_allclose(positions[1], [[1, 2, 3], [1, 3, 3]], atol=1e-12)
    np.testing.assert_allclose(bvh.end_offsets[1], [0, 2, 0])
    # Z turns +Y to -X, then Y turns that to +Z.
    np.testing.assert_allclose(rotate(world[1, 1], bvh.end_offsets[1]), [0, 0, 2], atol=1e-12)


def test_line_ends_tabs_and_byte_order_marks_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(TINY)
    windows = "\ufeff" + TINY.replace("  ", "\t").replace("\n", "\r\n\r\n")
    (tmp_path / "b.bvh").write_bytes(windows.encode())
    a, b = read_bvh(tmp_path / "a.bvh"), read_bvh(tmp_path / "b.bvh")
    np.testing.assert_array_equal(a.rotations, b.rotations)


@pytest.mark.parametrize("order", ["ZYX", "ZXY", "YXZ"])
@pytest.mark.parametrize(("unit", "scale"), [("m", 1), ("cm", 100)])
def test_written_file_reads_back_within_a_tenth_of_a_millimetre(
    tmp_path: Path, order: str, unit: str, scale: int
) -> None:
    motion = random_motion()
    write_bvh(tmp_path / "a.bvh", motion, order, unit)
    bvh = read_bvh(tmp_path / "a.bvh")
    positions, _ = bvh.forward_kinematics()
    ours = positions[:, [bvh.names.index(name) for name in JOINT_NAMES]] / scale
    assert np.abs(ours - motion.positions).max() < 1e-4
    assert bvh.fps == 60
    assert "Frame Time: 0.01666667" in (tmp_path / "a.bvh").read_text()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("HIERARCHY\n", "HIER\n", 1),
        ("OFFSET 0 1 0", "OFFSET 0 one 0", 8),
        ("OFFSET 0 1 0", "OFFSET 0 1", 8),
        ("CHANNELS 1 Zrotation", "CHANNELS 2 Zrotation", 9),
        ("CHANNELS 1 Zrotation", "CHANNELS 1 Wrotation", 9),
        ("  }\n}\nMOTION", "  }\nMOTION", 15),
        ("Frames: 2", "Frames: many", 17),
        ("Frames: 2", "Frames: 0", 17),
        ("Frames: 2", "Frames: 99999999999", 17),
        ("Frame Time: 0.0166667", "Frame Time: 0", 18),
        ("1 2 3 90 0 0 90", "1 2 3 90 0 0", 20),
        ("1 2 3 90 0 0 90", "1 2 3 90 0 0 nan", 20),
        ("1 2 3 90 0 0 90\n", "", 19),
        ("JOINT arm", "JOINT arm\n}}}}", 7),
        ("JOINT arm", "BONE arm", 6),
    ],
)
def test_broken_files_are_refused_with_their_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    assert old in TINY
    (tmp_path / "a.bvh").write_text(TINY.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_bvh(tmp_path / "a.bvh")
    message = str(caught.value)
    assert f"line {line}" in message
    assert "expected" in message
    assert "\n" not in message


@pytest.mark.parametrize("size", range(0, len(TINY) - 20, 25))
def test_file_cut_anywhere_is_an_input_error(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.bvh").write_text(TINY[:size])
    with pytest.raises(InputError, match=r"a\.bvh"):
        read_bvh(tmp_path / "a.bvh")


def test_missing_file_unknown_style_and_unwritable_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        read_bvh(tmp_path / "a.bvh")
    with pytest.raises(ConfigError, match="ZZY"):
        write_bvh(tmp_path / "a.bvh", random_motion(1), "ZZY")
    with pytest.raises(OutputError, match="cannot write"):
        write_bvh(tmp_path / "no" / "a.bvh", random_motion(1))
