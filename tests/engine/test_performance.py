"""The way from samples to motion: any cut, no future, and the file generator on top of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bailando.engine.dancer import Dancer
from bailando.engine.generate import generate, generate_samples
from bailando.engine.performance import MusicReading, Performance, frame_count
from bailando.engine.session import MotionChunk
from bailando.errors import InputError
from tests.engine.synthetic_bundle import write_synthetic_bundle

RATE = 24000
SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"


def song(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def perform(dancer: Dancer, samples: np.ndarray, cut: int | None = None, seed: int = 5) -> list[MotionChunk]:
    performance = Performance(dancer, dancer.session(seed=seed))
    cut = cut or len(samples)
    chunks = performance.feed(np.empty(0, np.float32))
    for start in range(0, len(samples), cut):
        chunks += performance.feed(samples[start : start + cut])
    return chunks


@pytest.mark.parametrize("cut", [1237, 400, 3200, 3201, 64])
def test_dance_does_not_depend_on_how_samples_are_cut(dancer: Dancer, cut: int) -> None:
    whole, parts = perform(dancer, song()), perform(dancer, song(), cut)
    assert len(whole) == len(parts) == 31
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)


@pytest.mark.parametrize("token", [1, 9, 20])
def test_token_depends_on_no_sound_at_or_after_its_beginning(dancer: Dancer, token: int) -> None:
    samples, changed = song(), song()
    changed[token * 3200 :] = song(seed=1)[token * 3200 :] * 5
    expected, got = perform(dancer, samples), perform(dancer, changed)
    for one, other in zip(expected[: token + 1], got[: token + 1], strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
    codes = [[(c.upper_code, c.lower_code) for c in chunks] for chunks in (expected, got)]
    assert codes[0] != codes[1]


def test_token_depends_on_the_last_sound_before_it(dancer: Dancer) -> None:
    samples, changed = song(), song()
    changed[20 * 3200 - 400 : 20 * 3200] = 0
    performances = [Performance(dancer, dancer.session(seed=5)) for _ in range(2)]
    for performance, sound in zip(performances, (samples, changed), strict=True):
        performance.feed(sound[: 20 * 3200])
    states = [performance.session.snapshot().gpt_state["memory"] for performance in performances]
    assert not np.array_equal(states[0], states[1])


def test_token_is_ready_as_soon_as_the_sound_before_it_was_fed(dancer: Dancer) -> None:
    performance = Performance(dancer, dancer.session())
    assert [chunk.first_frame for chunk in performance.feed(np.empty(0, np.float32))] == [0]
    assert performance.feed(song()[:3199]) == []
    assert [chunk.first_frame for chunk in performance.feed(song()[3199:3200])] == [8]


def test_bundle_with_a_music_lead_hears_the_token_it_dances(dancer: Dancer, tmp_path: Path) -> None:
    ahead = Dancer.open(write_synthetic_bundle(tmp_path / "b", music_lead_tokens=1))
    performance = Performance(ahead, ahead.session())
    firsts = [len(performance.feed(part)) for part in (song()[:3200], song()[3200:6400])]
    assert firsts == [1, 1]


def test_nan_samples_are_silence_and_counted(dancer: Dancer) -> None:
    broken, silent = song(), song()
    broken[5000:5100] = np.nan
    broken[7000] = np.inf
    silent[5000:5100] = 0
    silent[7000] = 0
    performance = Performance(dancer, dancer.session(seed=5))
    got = performance.feed(broken)
    assert performance.replaced_samples == 101
    for one, other in zip(got, perform(dancer, silent), strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)


def test_reading_tells_the_tempo_of_clicks(dancer: Dancer) -> None:
    samples = np.zeros(RATE * 12, np.float32)
    for beat in range(24):
        samples[beat * RATE // 2 : beat * RATE // 2 + 240] = np.hanning(240) * 0.8
    performance = Performance(dancer, dancer.session())
    performance.feed(samples)
    assert performance.reading.bpm == pytest.approx(120.0, abs=3.0)
    assert performance.reading.frame == 719
    assert min(performance.reading.phase, 1 - performance.reading.phase) < 0.12


def test_reading_extrapolates_the_phase() -> None:
    reading = MusicReading(frame=9, bpm=120.0, phase=0.5)
    assert reading.phase_at(10) == pytest.approx(0.5)
    assert reading.phase_at(25) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("samples", "frames"), [(RATE, 60), (RATE + 1, 61), (399, 1), (400, 1), (0, 0)])
def test_frame_count_covers_the_song(samples: int, frames: int) -> None:
    assert frame_count(samples, RATE) == frames


def test_generated_file_equals_the_performance_of_its_samples(dancer: Dancer, tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, song(3.01), RATE, subtype="FLOAT")
    fractions: list[float] = []
    motion = generate(dancer, path, dancer.session(seed=5), fractions.append)
    chunks = perform(dancer, song(3.01))
    assert motion.frame_count == 181
    expected = np.concatenate([chunk.rotations for chunk in chunks])[:181]
    np.testing.assert_array_equal(motion.rotations, expected)
    assert motion.upper_codes is not None
    assert motion.upper_codes.tolist() == [chunk.upper_code for chunk in chunks][:23]
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)


def test_song_of_another_rate_lasts_as_long(dancer: Dancer) -> None:
    assert generate(dancer, SONG).duration_s == pytest.approx(16.0, abs=0.05)


def test_song_longer_than_two_hours_is_refused_unread(dancer: Dancer, tmp_path: Path) -> None:
    path = tmp_path / "night.wav"
    with soundfile.SoundFile(path, "w", 2000, 1, "PCM_U8") as file:
        for _ in range(8):
            file.write(np.zeros(2000 * 1000, np.float32))
    with pytest.raises(InputError, match=r"at most 2\.0 h"):
        generate(dancer, path)


def test_samples_at_the_feature_rate_can_be_danced_directly(dancer: Dancer) -> None:
    motion = generate_samples(dancer, song(1.0), dancer.session(seed=5))
    expected = np.concatenate([chunk.root_position for chunk in perform(dancer, song(1.0))])[:60]
    np.testing.assert_array_equal(motion.root_position, expected)


def test_fork_goes_on_alike_and_apart(dancer: Dancer) -> None:
    one = Performance(dancer, dancer.session(seed=5))
    one.feed(song()[:30_000])
    other = one.fork(dancer)
    expected = one.feed(song()[30_000:60_000])
    for chunk, forked in zip(expected, other.feed(song()[30_000:60_000]), strict=True):
        np.testing.assert_array_equal(chunk.positions, forked.positions)
    whole = perform(dancer, song())
    np.testing.assert_array_equal(whole[18].positions, expected[-1].positions)
