"""The native playback callback, called as PortAudio calls it: each sample at its own time."""

from __future__ import annotations

import numpy as np
import pytest

from bailando._native import PlaybackCallback, SampleRing, now_ns
from tests.cpp_ext.test_capture import SIGNATURE, TimeInfo

RATE = 48000
SECOND_NS = 1_000_000_000


class Card:
    """Asks for blocks as a card would whose first sample sounds at `start_ns`, at its own speed."""

    def __init__(self, playback: PlaybackCallback, channels: int = 1, ppm: float = 0.0) -> None:
        self._playback = playback
        self._channels = channels
        self._callback = SIGNATURE(playback.address)
        self.start_ns = now_ns() + SECOND_NS
        self._asked = 0
        self.slowest_call_s = 0.0
        self._rate_hz = RATE * (1 + ppm * 1e-6)

    def ask(self, frames: int) -> np.ndarray:
        block = np.full((frames, self._channels), np.nan, np.float32)
        # The callback knows the time of the block by how far it lies ahead of now.
        sounds_ns = self.start_ns + round(self._asked / self._rate_hz * SECOND_NS)
        called_ns = now_ns()
        time = TimeInfo(0.0, 1000.0, 1000.0 + (sounds_ns - called_ns) / SECOND_NS)
        self._callback(None, block.ctypes.data, frames, time, 0, self._playback.userdata)
        self.slowest_call_s = max(self.slowest_call_s, (now_ns() - called_ns) / SECOND_NS)
        self._asked += frames
        return block


def filled(samples: np.ndarray, capacity: int = 200_000) -> SampleRing:
    ring = SampleRing(capacity)
    ring.write(samples.astype(np.float32))
    return ring


def test_nothing_sounds_before_it_is_told_when() -> None:
    ring = filled(np.ones(1000))
    card = Card(PlaybackCallback(ring, RATE, 2), channels=2)
    np.testing.assert_array_equal(card.ask(480), np.zeros((480, 2)))
    assert ring.available == 1000


@pytest.mark.parametrize("wait", [0, 100, 1000])
def test_sound_begins_at_its_sample_on_all_channels(wait: int) -> None:
    samples = np.sin(np.arange(9000) * 0.05)
    playback = PlaybackCallback(filled(samples), RATE, 2)
    card = Card(playback, channels=2)
    playback.set_base_ns(card.start_ns + round(wait / RATE * SECOND_NS))
    heard = np.concatenate([card.ask(480) for _ in range(10)])
    np.testing.assert_array_equal(heard[:, 0], heard[:, 1])
    expected = np.concatenate([np.zeros(wait), samples])[: len(heard)]
    # The callback reads the clock after Python did: its time is off by what passes between, and the sound
    # rises by at most 0.05 a sample.
    off = 0.05 * (2 + card.slowest_call_s * RATE)
    np.testing.assert_allclose(heard[wait + 8 :, 0], expected[wait + 8 :], atol=off)
    assert playback.underruns == 0


@pytest.mark.parametrize("ppm", [300.0, -300.0])
def test_drift_of_the_card_is_followed_without_a_jump(ppm: float) -> None:
    phase = np.arange(60 * RATE) * 0.01
    playback = PlaybackCallback(filled(np.sin(phase), 60 * RATE), RATE, 1)
    card = Card(playback, ppm=ppm)
    playback.set_base_ns(card.start_ns)
    heard = np.concatenate([card.ask(480)[:, 0] for _ in range(3000)])
    assert playback.skipped <= 8 + card.slowest_call_s * RATE  # what passes between the two clock readings
    assert playback.underruns == 0
    assert np.abs(np.diff(heard[100:])).max() < 0.0105
    assert abs(playback.error_ns) < 1_500_000


def test_what_should_have_sounded_is_skipped() -> None:
    playback = PlaybackCallback(filled(np.arange(20_000) / 20_000), RATE, 1)
    card = Card(playback)
    playback.set_base_ns(card.start_ns - SECOND_NS // 4)
    first = card.ask(480)[:, 0]
    assert first[10] == pytest.approx(0.6 + 10 / 20_000, abs=1e-3)
    assert 11_900 < playback.skipped < 12_100


def test_a_time_that_is_wrong_for_a_block_skips_nothing() -> None:
    playback = PlaybackCallback(filled(np.sin(np.arange(60 * RATE) * 0.01), 60 * RATE), RATE, 1)
    card = Card(playback)
    playback.set_base_ns(card.start_ns)
    heard = [card.ask(480)[:, 0] for _ in range(100)]
    before = playback.skipped
    card.start_ns += 40 * SECOND_NS
    heard.append(card.ask(480)[:, 0])
    card.start_ns -= 40 * SECOND_NS
    heard += [card.ask(480)[:, 0] for _ in range(100)]
    assert playback.skipped == before
    assert np.abs(np.diff(np.concatenate(heard)[100:])).max() < 0.0105


def test_a_gap_that_stays_is_jumped_over_in_half_a_second() -> None:
    playback = PlaybackCallback(filled(np.arange(60 * RATE) / (60 * RATE), 60 * RATE), RATE, 1)
    card = Card(playback)
    playback.set_base_ns(card.start_ns)
    for _ in range(100):
        card.ask(480)
    before = playback.skipped
    card.start_ns += 2 * SECOND_NS
    for _ in range(50):
        heard = card.ask(480)[:, 0]
    assert 1.9 * RATE < playback.skipped - before < 2.1 * RATE
    assert heard[0] * 60 == pytest.approx(149 * 480 / RATE + 2.0, abs=0.02)


def test_empty_ring_is_silence_and_counted() -> None:
    playback = PlaybackCallback(filled(np.ones(100)), RATE, 1)
    card = Card(playback)
    playback.set_base_ns(card.start_ns)
    heard = np.concatenate([card.ask(480), card.ask(480)])[:, 0]
    assert not heard[200:].any()
    assert playback.underruns > 0


def test_ring_of_two_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="1 channel"):
        PlaybackCallback(SampleRing(100, 2), RATE)
