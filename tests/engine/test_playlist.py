"""Lists of songs, and what happens at the end of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bailando.engine.playlist import read_playlist
from bailando.engine.sources import AtEnd, FileSource
from bailando.errors import ConfigError, InputError

RATE = 8000


def song(path: Path, value: float, seconds: float = 0.05, rate_hz: int = RATE) -> Path:
    soundfile.write(path, np.full(int(seconds * rate_hz), value, np.float32), rate_hz, subtype="FLOAT")
    return path


def heard(source: FileSource, blocks: int) -> list[float]:
    """Return the middle value of so many blocks, or of all there are."""
    source.start()
    source.origin_ns -= 10**12  # everything has sounded already
    values = []
    while len(values) < blocks and (block := source.read()) is not None:
        values.append(round(float(block[len(block) // 2]), 2))
    source.close()
    return values


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    return [song(tmp_path / f"{number}.wav", number / 10) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("at_end", "expected"),
    [
        ("stop", [0.1] * 5 + [0.2] * 5 + [0.3] * 5),
        ("loop", [0.1] * 18),
        ("next", [0.1] * 5 + [0.2] * 5 + [0.3] * 5 + [0.1] * 3),
    ],
)
def test_end_of_a_song(songs: list[Path], at_end: AtEnd, expected: list[float]) -> None:
    assert heard(FileSource(songs, at_end), 18) == expected


@pytest.mark.parametrize("at_end", ["stop", "loop", "next"])
def test_skip_goes_on_to_the_next_song(songs: list[Path], at_end: AtEnd) -> None:
    source = FileSource(songs, at_end)
    source.start()
    source.origin_ns -= 10**12
    source.read()
    source.skip()
    block = source.read()
    source.close()
    assert block is not None
    assert block[0] == pytest.approx(0.2)
    assert source.report().title == str(songs[1])


def test_skip_of_a_single_song_begins_it_again(tmp_path: Path) -> None:
    path = tmp_path / "ramp.wav"
    soundfile.write(path, np.linspace(0, 1, 800, dtype=np.float32), RATE, subtype="FLOAT")
    source = FileSource(path)
    source.start()
    source.origin_ns -= 10**12
    first = source.read()
    source.read()
    source.skip()
    np.testing.assert_array_equal(source.read(), first)
    source.close()


def test_songs_of_other_rates_come_at_the_rate_of_the_first(tmp_path: Path) -> None:
    paths = [song(tmp_path / "a.wav", 0.1, 0.1), song(tmp_path / "b.wav", 0.2, 0.5, 16000)]
    source = FileSource(paths)
    source.start()
    source.origin_ns -= 10**12
    blocks = []
    while (block := source.read()) is not None:
        blocks.append(block)
    source.close()
    samples = np.concatenate(blocks)
    assert source.sample_rate_hz == RATE
    assert len(samples) == int(0.6 * RATE)
    np.testing.assert_allclose(samples[2000:4000], 0.2, atol=0.01)


def test_songs_that_cannot_be_played_are_skipped_and_counted(songs: list[Path]) -> None:
    songs[1].write_text("no audio")
    source = FileSource(songs)
    assert heard(source, 99) == [0.1] * 5 + [0.3] * 5
    assert source.report().skipped_songs == 1


def test_list_of_which_nothing_can_be_played_any_more_ends_with_an_error(songs: list[Path]) -> None:
    source = FileSource(songs[:1], "loop")
    source.start()
    source.origin_ns -= 10**12
    source.close()
    songs[0].unlink()
    with pytest.raises(InputError, match="can be played"):
        source.read()


@pytest.mark.parametrize(
    ("songs_given", "at_end", "error"), [([], "stop", InputError), (1, "end", ConfigError)]
)
def test_impossible_lists_are_refused(
    songs: list[Path], songs_given: object, at_end: AtEnd, error: type[Exception]
) -> None:
    with pytest.raises(error):
        FileSource(songs if songs_given else [], at_end)


def test_folder_is_played_in_the_order_of_names(songs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cover.jpg").write_bytes(b"")
    assert read_playlist(tmp_path) == songs


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_m3u_paths_start_at_its_own_folder(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "night.m3u").write_bytes("#EXTM3U\n\nmusik/früh.mp3\n/abs/b.ogg\n".encode(encoding))
    assert read_playlist(tmp_path / "night.m3u") == [tmp_path / "musik" / "früh.mp3", Path("/abs/b.ogg")]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("empty.m3u", "# nothing\n", "lists no song"),
        ("web.m3u", "http://example.org/a.mp3\n", "files of this machine"),
        ("list.txt", "a.mp3\n", "is no playlist"),
    ],
)
def test_lists_that_cannot_be_used_say_why(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_playlist(tmp_path / name)


def test_missing_list_and_empty_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.m3u", tmp_path):
        with pytest.raises(InputError):
            read_playlist(path)
