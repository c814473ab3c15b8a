from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from compare import judge, read_positions, run

POSITIONS = np.arange(2 * 72, dtype=np.float32)


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".pkl"])
def test_positions_are_read_from_each_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"dance{suffix}"
    if suffix == ".npz":
        np.savez(path, positions=POSITIONS.reshape(2, 24, 3))
    elif suffix == ".npy":
        np.save(path, POSITIONS.reshape(2, 72))
    else:
        path.write_bytes(pickle.dumps({"positions": POSITIONS.reshape(2, 72)}))
    np.testing.assert_array_equal(read_positions(path, "positions"), POSITIONS.reshape(2, 24, 3))


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dance.pkl"
    path.write_bytes(pickle.dumps({"positions": Hostile()}))
    with pytest.raises(pickle.UnpicklingError, match="is no array"):
        read_positions(path, "positions")


def test_the_command_is_given_the_song_and_the_output(tmp_path: Path) -> None:
    song, output = tmp_path / "a song.wav", tmp_path / "out.txt"
    song.write_text("la")
    code = "import sys, shutil; shutil.copy(sys.argv[1], sys.argv[2])"
    assert run(f"{sys.executable} -c '{code}' {{song}} {{output}}", song, output) > 0
    assert output.read_text() == "la"


def test_a_dance_at_half_the_frame_rate_is_as_much_on_the_beat() -> None:
    seconds = np.arange(600) / 60.0 + 0.003  # no pause in the middle of two frames, where none is least
    positions = np.zeros((600, 24, 3))
    positions[:, :, 0] = np.sin(2 * np.pi * seconds)[:, None]  # stands still twice a second
    beats_s = np.arange(0.75, 9.0, 0.5)
    full = judge(positions, beats_s * 60.0, 60.0)
    half = judge(positions[::2], beats_s * 30.0, 30.0)
    assert full["beat_align"] > 0.9
    assert half["beat_align"] > 0.9
    assert half["beat_align_random_phase"] == pytest.approx(full["beat_align_random_phase"], abs=0.05)
