"""Audio files and resampling."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from bailando.errors import InputError
from bailando.music.audio import AudioFile, StreamResampler, load_mono

RATE = 24000


def tone(sample_rate_hz: int, seconds: float, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(sample_rate_hz * seconds)) / sample_rate_hz)


def write(path: Path, samples: np.ndarray, sample_rate_hz: int = RATE, **options: str) -> Path:
    sf.write(path, samples, sample_rate_hz, **options)
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_every_format_gives_the_tone_at_its_level(tmp_path: Path, suffix: str) -> None:
    samples = load_mono(write(tmp_path / f"tone.{suffix}", tone(44100, 2.0), 44100), RATE)
    middle = samples[RATE // 2 : 3 * RATE // 2]
    spectrum = np.abs(np.fft.rfft(middle))
    assert samples.dtype == np.float32
    assert abs(len(samples) - 2 * RATE) <= 0.06 * RATE  # mp3 pads to whole frames
    assert np.argmax(spectrum) == 440
    assert 2 * spectrum[440] / len(middle) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("sample_rate_hz", [8000, 11025, 22050, 32000, 44056, 48000, 96000, 192000])
def test_odd_rates_keep_their_timing(tmp_path: Path, sample_rate_hz: int) -> None:
    click = np.zeros(2 * sample_rate_hz)
    click[sample_rate_hz] = 1.0
    samples = load_mono(write(tmp_path / "click.wav", click, sample_rate_hz), RATE)
    assert len(samples) == pytest.approx(2 * RATE, abs=2)
    assert np.argmax(np.abs(samples)) == pytest.approx(RATE, abs=2)


def test_eight_channels_are_averaged(tmp_path: Path) -> None:
    levels = np.arange(8) / 10
    path = write(tmp_path / "eight.wav", np.tile(levels, (1000, 1)), subtype="FLOAT")
    with AudioFile(path) as audio:
        block = next(audio.blocks())
    assert audio.channels == 8
    np.testing.assert_allclose(block, levels.mean(), rtol=1e-6)


@pytest.mark.parametrize("sample_rate_hz", [8000, 44100, 48000])
def test_resampling_does_not_depend_on_the_blocks(tmp_path: Path, sample_rate_hz: int) -> None:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 3 * sample_rate_hz)
    path = write(tmp_path / "noise.wav", noise, sample_rate_hz)
    offline = load_mono(path, RATE)
    for block_frames in (1, 64, 65, 8193) if sample_rate_hz == 8000 else (64, 441, 8193):
        with AudioFile(path) as audio:
            live = np.concatenate(list(audio.resampled(RATE, block_frames)))
        assert np.array_equal(live, offline)


@pytest.mark.parametrize("sample_rate_hz", [8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000])
def test_resampler_holds_back_no_more_than_it_says(sample_rate_hz: int) -> None:
    resampler = StreamResampler(sample_rate_hz, RATE)
    block = np.zeros(64, dtype=np.float32)
    worst = 0.0
    for _ in range(2 * sample_rate_hz // 64):
        resampler.process(block)
        worst = max(worst, resampler.pending_s)
    assert worst <= resampler.max_delay_s
    assert resampler.max_delay_s <= 0.041


def test_resampler_starts_anew_after_finish() -> None:
    resampler = StreamResampler(44100, RATE)
    samples = tone(44100, 0.5).astype(np.float32)
    first = np.concatenate([resampler.process(samples), resampler.finish()])
    second = np.concatenate([resampler.process(samples), resampler.finish()])
    assert len(first) == RATE // 2
    assert np.array_equal(first, second)


def test_blocks_of_an_mp3_join_without_a_gap(tmp_path: Path) -> None:
    path = write(tmp_path / "tone.mp3", tone(44100, 2.0), 44100)
    whole, _ = sf.read(path, dtype="float32")
    with AudioFile(path) as audio:
        assert np.array_equal(np.concatenate(list(audio.blocks(1000))), whole)


def test_reading_a_file_twice_starts_at_its_beginning(tmp_path: Path) -> None:
    with AudioFile(write(tmp_path / "tone.wav", tone(RATE, 1.0))) as audio:
        first, second = next(audio.blocks()), np.concatenate(list(audio.blocks(100)))
    assert np.array_equal(first, second[: len(first)])


def test_bad_samples_become_silence_and_are_counted(tmp_path: Path) -> None:
    samples = tone(RATE, 1.0)
    samples[[10, 11, 500]] = [np.nan, np.inf, -np.inf]
    with AudioFile(write(tmp_path / "bad.wav", samples, subtype="FLOAT")) as audio:
        block = np.concatenate(list(audio.blocks()))
    assert audio.replaced_samples == 3
    assert block[[10, 11, 500]].tolist() == [0.0, 0.0, 0.0]
    assert block[12] == pytest.approx(samples[12])


@pytest.mark.parametrize("seconds", [0.5, 12.0])
def test_a_file_of_nan_is_refused(tmp_path: Path, seconds: float) -> None:
    path = write(tmp_path / "nan.wav", np.full(round(RATE * seconds), np.nan), subtype="FLOAT")
    with pytest.raises(InputError, match="every sample is NaN or infinite"):
        load_mono(path, RATE)


def test_missing_file_folder_text_and_empty_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("these are words")
    write(tmp_path / "empty.wav", np.empty(0))
    for name, words in {
        "absent.wav": "no such file",
        ".": "is a folder",
        "notes.wav": "no audio in it",
        "empty.wav": "0 s of audio",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            load_mono(tmp_path / name, RATE)
        assert "\n" not in str(caught.value)


def test_too_long_a_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", np.zeros(RATE * 4))
    with pytest.raises(InputError, match="expected at most"):
        AudioFile(path, max_duration_s=3.0)


def test_ten_hours_are_refused_by_default(tmp_path: Path) -> None:
    path = tmp_path / "ten_hours.wav"
    with sf.SoundFile(path, "w", 2000, 1, subtype="PCM_U8") as file:
        file.write(np.zeros(10))
    frames = 10 * 3600 * 2000
    with path.open("r+b") as raw:
        raw.truncate(44 + frames)  # sparse: takes no room on the disk
        raw.seek(4)
        raw.write((36 + frames).to_bytes(4, "little"))
        raw.seek(40)
        raw.write(frames.to_bytes(4, "little"))
    with pytest.raises(InputError, match=r"10\.0 h long, expected at most 6\.0 h"):
        AudioFile(path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_truncated_file_plays_up_to_the_cut_or_is_called_corrupt(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, 4 * RATE)
    path = write(tmp_path / f"cut.{suffix}", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    message, seconds = "", 0.0
    try:
        seconds = len(load_mono(path, RATE)) / RATE
    except InputError as error:
        message = str(error)
    assert 1.0 < seconds < 3.0 or re.search(r"corrupt|no audio|0 s", message)
    assert "\n" not in message


def test_an_unusable_rate_is_refused() -> None:
    with pytest.raises(InputError, match="sample rate 10 Hz"):
        StreamResampler(10, RATE)
