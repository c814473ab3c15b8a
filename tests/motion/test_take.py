"""Takes: what is on the disk can be read, wherever the writing stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from asymmetric_dance import asymmetric_dance

from bailando.errors import InputError, OutputError
from bailando.motion.files.take import RECORD, TakeWriter, read_take
from bailando.motion.motion import Motion

DANCE = asymmetric_dance(30)


def record(path: Path, numbers: list[int], dance: Motion = DANCE) -> None:
    writer = TakeWriter(path, dance.skeleton, 60.0, {"title": "song"})
    for number in numbers:
        writer.write(number, dance.rotations[number], dance.root_position[number], dance.contacts[number])
    writer.close()


def test_take_reads_back_as_it_was_danced(tmp_path: Path) -> None:
    path = tmp_path / "a.take"
    record(path, list(range(30)))
    read = read_take(path)
    np.testing.assert_allclose(read.rotations, DANCE.rotations, atol=1e-6)
    np.testing.assert_array_equal(read.root_position, DANCE.root_position)
    np.testing.assert_array_equal(read.contacts, DANCE.contacts)
    assert (read.fps, read.skeleton) == (60.0, DANCE.skeleton)


def test_every_cut_of_the_file_gives_all_frames_before_it(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.take", tmp_path / "cut.take"
    record(path, [0, 1, 2])
    data = path.read_bytes()
    body = len(data) - 3 * RECORD.itemsize
    for length in range(body + RECORD.itemsize, len(data) + 1, 37):
        cut.write_bytes(data[:length])
        assert read_take(cut).frame_count == (length - body) // RECORD.itemsize


def test_lost_frames_are_bridged_and_time_stays_true(tmp_path: Path) -> None:
    path = tmp_path / "a.take"
    record(path, [2, 3, 4, 8, 9])
    read = read_take(path)
    assert read.frame_count == 10
    np.testing.assert_array_equal(read.root_position[:3], DANCE.root_position[[2, 2, 2]])
    middle = (DANCE.root_position[4] + DANCE.root_position[8]) / 2
    np.testing.assert_allclose(read.root_position[6], middle, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(read.rotations, axis=-1), 1, atol=1e-5)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.take"
    path.write_bytes(b"kept")
    with pytest.raises(OutputError, match="File exists"):
        TakeWriter(path, DANCE.skeleton, 60.0)
    assert path.read_bytes() == b"kept"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF....WAVE",
        b"[]\n",
        b'{"format": "bailando-take-9"}\n',
        b'{"format": "bailando-take-1", "fps": 60, "skeleton": 3}\n',
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.take"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"expected a \.take file"):
        read_take(path)


def test_take_without_frames_and_with_shuffled_frames_are_refused(tmp_path: Path) -> None:
    record(tmp_path / "none.take", [])
    with pytest.raises(InputError, match="holds no frame"):
        read_take(tmp_path / "none.take")
    record(tmp_path / "shuffled.take", [0, 2, 1])
    with pytest.raises(InputError, match="not in order"):
        read_take(tmp_path / "shuffled.take")
    with pytest.raises(InputError, match="cannot read"):
        read_take(tmp_path / "nowhere.take")
