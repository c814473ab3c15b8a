"""bailando-live --record: nothing is lost, however the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bailando.cli.generate import main as generate
from bailando.motion.files.take import read_take
from bailando.motion.motion import load_npz

pytestmark = pytest.mark.real_time
SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"


def live(bundle: Path, folder: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "bailando.cli.live", "--input", str(SONG), "--model", str(bundle)]
    return [*command, "--no-vmc", "--no-osc", "--record", str(folder), *options]


def only(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*{suffix}")
    return path


def test_recording_is_the_dance_that_generate_makes_of_its_sound(bundle_path: Path, tmp_path: Path) -> None:
    command = live(bundle_path, tmp_path, "--duration", "2", "--delay", "400", "--record-format", "npz,bvh")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"recorded {only(tmp_path, '.take')}" in done.stdout
    assert only(tmp_path, ".bvh").stat().st_size > 10_000
    motion = load_npz(only(tmp_path, ".npz"))
    assert motion.frame_count == 120
    sound, rate_hz = soundfile.read(only(tmp_path, ".wav"))
    played, _ = soundfile.read(SONG, always_2d=True)
    assert len(sound) / rate_hz > 1.95
    np.testing.assert_allclose(sound, played.mean(axis=1)[: len(sound)], atol=1e-3)
    offline = tmp_path / "offline.npz"
    assert generate([str(SONG), "-o", str(offline), "--model", str(bundle_path), "--quiet"]) == 0
    np.testing.assert_allclose(motion.positions, load_npz(offline).positions[:120], atol=1e-4)


def test_every_dancer_has_a_take_and_files_beside_the_one_sound(bundle_path: Path, tmp_path: Path) -> None:
    options = ("--dancers", "3", "--duration", "1", "--delay", "400", "--quiet", "--record-format", "npz")
    subprocess.run(live(bundle_path, tmp_path, *options), check=True, timeout=60)
    sound = only(tmp_path, ".wav")
    names = {f"{sound.stem}-dancer{number}{suffix}" for number in (1, 2, 3) for suffix in (".take", ".npz")}
    assert {path.name for path in tmp_path.iterdir()} == {sound.name, *names}
    dances = [load_npz(path).positions for path in sorted(tmp_path.glob("*.npz"))]
    assert [len(dance) for dance in dances] == [60, 60, 60]
    places_m = [dance[0, 0, 0] for dance in dances]
    np.testing.assert_allclose(np.diff(places_m), 2.5, atol=0.5)
    out = tmp_path / "again"
    assert generate([str(tmp_path), "-o", str(out), "--format", "npz", "--quiet"]) == 0
    again = [load_npz(path).positions for path in sorted(out.iterdir())]
    np.testing.assert_allclose(again, dances, atol=1e-5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_by_any_signal_the_take_keeps_all_that_was_danced(
    bundle_path: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "recordings"
    command = live(bundle_path, folder, "--loop", "--quiet", "--record-format", "npz")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        deadline_s = time.monotonic() + 30
        while not (takes := list(folder.glob("*.take"))) or takes[0].stat().st_size < 40_000:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        seen_bytes = takes[0].stat().st_size
        os.kill(run.pid, number)
        _, errors = run.communicate(timeout=30)
    assert errors == ""
    assert run.returncode == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    frames = read_take(takes[0]).frame_count
    assert frames >= (seen_bytes - 4000) // 420 > 0
    sound, rate_hz = soundfile.read(takes[0].with_suffix(".wav"))
    assert len(sound) / rate_hz >= frames / 60 - 0.2
    assert len(list(folder.glob("*.npz"))) == (number != signal.SIGKILL)


def test_generate_turns_takes_into_files_beside_songs(bundle_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    command = live(bundle_path, folder, "--duration", "0.5", "--quiet", "--record-format", "")
    subprocess.run(command, check=True, timeout=60)
    out = tmp_path / "out"
    assert generate([str(folder), "-o", str(out), "--format", "bvh,csv", "--quiet"]) == 0
    stem = only(folder, ".take").stem
    assert sorted(path.name for path in out.iterdir()) == [f"{stem}.bvh", f"{stem}.csv"]
    assert len(only(out, ".csv").read_text().splitlines()) == 31


def test_folder_that_cannot_be_made_is_refused_before_the_show(bundle_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        live(bundle_path, tmp_path / "file" / "sub"), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bailando-live: error: cannot make the folder")
    assert len(done.stderr.splitlines()) == 1
