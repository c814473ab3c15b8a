from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from asymmetric_dance import asymmetric_dance

from bailando.errors import ConfigError, InputError, OutputError
from bailando.motion.files import registry, write_motion
from bailando.motion.files.stage import Camera, follow
from bailando.motion.skeleton import JOINT_NAMES

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

SIZE = (320, 180)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    samples = 0.3 * np.sin(np.arange(36000) * 440 * 2 * np.pi / 24000)
    soundfile.write(tmp_path / "song.wav", samples, 24000)
    return tmp_path / "song.wav"


def test_mp4_has_sixty_frames_a_second_and_the_sound(tmp_path: Path, song: Path) -> None:
    done: list[float] = []
    write_motion(tmp_path / "a.mp4", asymmetric_dance(), song=song, progress=done.append, size=SIZE)
    about = next(imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4")))
    assert about["fps"] == 60
    assert about["size"] == SIZE
    assert about["audio_codec"] == "aac"
    assert about["duration"] == pytest.approx(1.5, abs=0.05)
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "a.mp4"))[0] == 90
    assert len(done) == 90
    assert done[-1] == 1.0


def test_raised_left_hand_is_seen_where_the_camera_places_it(tmp_path: Path) -> None:
    dance = asymmetric_dance()
    write_motion(tmp_path / "a.mp4", dance, size=(640, 360))
    frames = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    next(frames)
    first = np.frombuffer(next(frames), np.uint8).reshape(360, 640, 3).astype(int)
    at, _ = Camera(640, 360, follow(dance)[0]).project(dance.positions[0, JOINT_NAMES.index("left_wrist")])
    red, _, blue = first[round(at[1]), round(at[0])]
    assert red > blue + 50  # the left side is orange
    assert at[0] > 320  # a dancer who faces us has the left hand on our right
    assert at[1] < 180


def test_camera_goes_with_a_dancer_who_walks_away() -> None:
    dance = asymmetric_dance(1200)
    for frame in (100, 1000):
        camera = Camera(1280, 720, follow(dance)[frame])
        (across, _), _ = camera.project(dance.positions[frame, 0])
        assert abs(across - 640) < 60


def test_gif_plays_for_ever_at_twenty_five_frames_a_second(tmp_path: Path) -> None:
    write_motion(tmp_path / "a.gif", asymmetric_dance(), size=(160, 90))
    with image.open(tmp_path / "a.gif") as film:
        assert film.size == (160, 90)
        assert film.n_frames == 38
        assert film.info["duration"] == 40
        assert film.info["loop"] == 0


def test_impossible_films_are_refused_in_one_line(tmp_path: Path, song: Path) -> None:
    song.write_bytes(b"no sound")
    for options, kind, words in (
        ({"size": (321, 180)}, ConfigError, "even numbers"),
        ({"song": tmp_path / "none.wav"}, InputError, "not found"),
        ({"song": song}, OutputError, "ffmpeg says"),
    ):
        with pytest.raises(kind, match=words) as caught:
            write_motion(tmp_path / "a.mp4", asymmetric_dance(10), **options)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


def test_missing_package_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"need PIL; run: pip install 'bailando\[video\]'"):
        write_motion(tmp_path / "a.gif", asymmetric_dance(2))
