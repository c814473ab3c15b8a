"""bailando-generate: files, determinism, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bailando.cli.generate import main
from bailando.motion.bvh import read_bvh
from bailando.motion.motion import Motion, load_npz

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"
FEET = [7, 8, 10, 11]


@pytest.fixture
def short_song(tmp_path: Path) -> Path:
    samples, rate = soundfile.read(SONG, frames=24000 * 3)
    path = tmp_path / "short.flac"
    soundfile.write(path, np.stack([samples] * 3, axis=1), rate)
    return path


def generate(song: Path, output: Path, bundle: Path, *options: str) -> int:
    return main([str(song), "-o", str(output), "--model", str(bundle), *options])


def test_npz_holds_the_documented_arrays(
    short_song: Path, bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(short_song, tmp_path / "d.npz", bundle_path) == 0
    with np.load(tmp_path / "d.npz") as arrays:
        shapes = {name: arrays[name].shape for name in arrays}
        assert arrays["positions"].dtype == np.float32
        assert float(arrays["fps"]) == 60.0
    assert shapes == {
        "positions": (180, 24, 3),
        "rotations": (180, 24, 4),
        "root_position": (180, 3),
        "contacts": (180, 4),
        "upper_codes": (23,),
        "lower_codes": (23,),
        "fps": (),
    }
    assert "180 frames, 3.0 s of dance" in capsys.readouterr().out


def test_bvh_has_every_frame_at_sixty_a_second(short_song: Path, bundle_path: Path, tmp_path: Path) -> None:
    assert generate(short_song, tmp_path / "d.bvh", bundle_path, "--quiet") == 0
    assert "Frames: 180\nFrame Time: 0.01666667" in (tmp_path / "d.bvh").read_text()
    assert len(read_bvh(tmp_path / "d.bvh").rotations) == 180


def test_a_groove_reaches_the_dancer(
    short_song: Path, bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(short_song, tmp_path / "d.npz", bundle_path, "--groove", "0.5") == 2
    assert "has none to change" in capsys.readouterr().err


def test_seed_decides_the_dance(short_song: Path, bundle_path: Path, tmp_path: Path) -> None:
    dances = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        generate(short_song, tmp_path / f"{name}.npz", bundle_path, "--seed", seed, "--quiet")
        dances.append(load_npz(tmp_path / f"{name}.npz").rotations)
    np.testing.assert_array_equal(dances[0], dances[1])
    assert not np.array_equal(dances[0], dances[2])


@pytest.mark.parametrize(
    ("output", "word"), [("dance.doc", ".bvh"), ("nowhere/dance.npz", "no folder"), ("dance", ".glb")]
)
def test_impossible_output_is_refused_in_one_line(
    output: str, word: str, bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(SONG, tmp_path / output, bundle_path) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("bailando-generate: error: ")
    assert errors.count("\n") == 1
    assert word in errors


def test_folder_of_songs_is_danced_in_every_format_and_finished_files_are_kept(
    short_song: Path, bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    album, out = tmp_path / "album", tmp_path / "out" / "new"
    album.mkdir()
    for name in ("one.flac", "two.flac"):
        (album / name).write_bytes(short_song.read_bytes())
    (album / "notes.txt").write_text("not a song")
    assert generate(album, out, bundle_path, "--format", "bvh,glb,smpl.npz") == 0
    names = {f"{song}{end}" for song in ("one", "two") for end in (".bvh", ".glb", "_smpl.npz")}
    assert {path.name for path in out.iterdir()} == names
    assert len(capsys.readouterr().out.splitlines()) == 2
    (out / "two.glb").unlink()
    before = (out / "one.bvh").stat().st_mtime_ns
    assert generate(album, out, bundle_path, "--format", "bvh,glb,smpl.npz") == 0
    printed = capsys.readouterr().out.splitlines()
    assert "one.flac: finished before, skipped" in printed[0]
    assert printed[1].startswith(f"{out / 'two.glb'}: 180 frames")
    assert (out / "one.bvh").stat().st_mtime_ns == before


def test_song_that_fails_does_not_stop_the_others(
    short_song: Path, bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp3").write_bytes(b"no sound")
    songs = [str(tmp_path / "broken.mp3"), str(tmp_path / "none.wav"), str(short_song)]
    out = tmp_path / "out"
    assert main([*songs, "-o", str(out), "--format", "csv", "--model", str(bundle_path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in errors[:2]] == songs[:2]
    assert errors[2].endswith("2 of 3 songs failed")
    assert [path.name for path in out.iterdir()] == ["short.csv"]


@pytest.mark.parametrize(
    ("options", "word"), [((), "--format"), (("--format", "bvh,doc"), "'doc'"), (("--format", "bvh"), "both")]
)
def test_unclear_batch_is_refused_before_any_work(
    options: tuple[str, ...],
    word: str,
    short_song: Path,
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    songs = [str(short_song), str(short_song.with_suffix(".wav"))]  # the same name but for the suffix
    assert main([*songs, "-o", str(tmp_path / "out"), "--model", str(bundle_path), *options]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert word in errors
    assert not (tmp_path / "out").exists()


def test_missing_song_is_refused_in_one_line(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(tmp_path / "none.wav", tmp_path / "d.npz", bundle_path) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_interrupt_ends_with_130_and_no_traceback(
    short_song: Path,
    bundle_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bailando.engine.generate.collect_motion", interrupt)
    assert generate(short_song, tmp_path / "d.npz", bundle_path) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_what_is_put_right_about_the_body_can_be_switched(
    short_song: Path, bundle_path: Path, tmp_path: Path
) -> None:
    dances: dict[str, Motion] = {}
    for parts in ("none", "feet", "floor", "smooth", "feet,floor"):
        path = tmp_path / f"{parts}.npz"
        assert generate(short_song, path, bundle_path, "--body", parts, "--quiet") == 0
        dances[parts] = load_npz(path)
    lowest_m = {parts: dance.positions[:, FEET, 1].min() for parts, dance in dances.items()}
    jerk = {parts: np.abs(np.diff(dance.positions, 3, axis=0)).mean() for parts, dance in dances.items()}
    assert lowest_m["none"] < -0.005 < -1e-4 < lowest_m["floor"]
    assert jerk["smooth"] < 0.9 * jerk["none"]
    assert np.abs(dances["feet"].rotations - dances["none"].rotations).max() > 1e-3
    assert lowest_m["feet,floor"] > -1e-4


def test_unknown_part_of_the_body_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SONG), "-o", str(tmp_path / "a.npz"), "--body", "legs"]) == 2
    assert "--body got 'legs'" in capsys.readouterr().err
