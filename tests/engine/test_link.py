"""Ableton Link: two real members on this machine, one of them ours."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from waiting import wait_for

from bailando._native import now_ns
from bailando.engine import link
from bailando.engine.control import FOLLOW, Control, Controls, Wish
from bailando.engine.dancer import Dancer
from bailando.engine.link import LinkFollower, parse_line
from bailando.engine.runner import LiveOptions, LiveRunner
from bailando.engine.sources import FileSource
from bailando.engine.tempo import SharedBeat
from bailando.errors import ConfigError

needs_link = pytest.mark.skipif(find_spec("aalink") is None, reason="aalink is not installed")
SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"

OTHER_MEMBER = """
import asyncio, sys
from aalink import Link
from bailando._native import now_ns
async def main():
    link = Link(97.0)
    link.enabled = True
    while True:
        before = now_ns()
        beat = link.beat
        print((before + now_ns()) // 2, link.tempo, beat, link.num_peers, flush=True)
        await asyncio.sleep(0.05)
asyncio.run(main())
"""


@contextmanager
def other_member() -> Iterator[subprocess.Popen[str]]:
    """A real member of the session at 97 bpm, which tells its beats."""
    command = [sys.executable, "-c", OTHER_MEMBER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(1.5)  # of two sessions the clearly older one counts
            yield process
        finally:
            process.kill()


@contextmanager
def follower_of(controls: Controls) -> Iterator[LinkFollower]:
    follower = LinkFollower(controls)
    follower.start()
    try:
        yield follower
    finally:
        follower.close()


def new_controls() -> Controls:
    return Controls(("open",), (Wish("open", 1.0),))


def newest_beat(controls: Controls, seconds: float = 15.0) -> Control:
    """Wait for the beat of the session."""
    found: list[Control] = []
    wait_for(lambda: found.extend(controls.take()) or found, seconds)
    return found[-1]


@needs_link
def test_beat_of_another_member_arrives_with_its_phase() -> None:
    controls = new_controls()
    with other_member() as other:
        before_ns = now_ns()
        with follower_of(controls):
            newest_beat(controls)
            time.sleep(1.0)  # the two clocks are measured against each other for a while
            heard = newest_beat(controls)
            assert other.stdout is not None
            told = parse_line(other.stdout.readline())
            while told is None or told.time_ns < now_ns() - 100_000_000:
                told = parse_line(other.stdout.readline())
    assert heard.name == FOLLOW
    assert heard.beat is not None
    assert heard.beat.bpm == pytest.approx(97.0, abs=0.05)
    assert before_ns < heard.beat.time_ns < now_ns()
    passed = (told.time_ns - heard.beat.time_ns) * told.bpm / 60e9
    off = (told.beat - heard.beat.beat - passed + 0.5) % 1.0 - 0.5
    assert abs(off) < 0.05


@needs_link
def test_tracker_takes_over_when_the_other_member_leaves() -> None:
    controls = new_controls()
    with follower_of(controls):
        with other_member():
            assert newest_beat(controls).beat is not None
        left: list[bool] = []
        wait_for(lambda: left.extend(c.beat is None for c in controls.take()) or any(left), 20.0)


@needs_link
def test_lone_member_changes_nothing() -> None:
    controls = new_controls()
    with follower_of(controls):
        time.sleep(1.0)
        assert controls.take() == []


@needs_link
def test_process_that_dies_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with follower_of(new_controls()) as follower:
        follower._process.kill()
        wait_for(lambda: caplog.messages, 5.0)
    assert "tracker takes over" in caplog.messages[0]


def test_missing_package_says_that_it_is_gpl_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"GPL.*pip install 'bailando\[link\]'"):
        LinkFollower(new_controls())


def test_only_the_newest_beat_waits_for_the_dance() -> None:
    controls = new_controls()
    for number in range(1000):
        controls.follow(SharedBeat(100.0, float(number), 0))
    (control,) = controls.take()
    assert control.beat is not None
    assert control.beat.beat == 999.0
    assert controls.take() == []


def test_nobody_can_submit_a_shared_beat() -> None:
    with pytest.raises(ConfigError, match="unknown control"):
        new_controls().submit(FOLLOW)


@pytest.mark.parametrize(
    ("bpm", "beat", "danced_bpm", "phase"),
    [(100.0, 7.25, 100.0, 0.25), (300.0, 7.5, 75.0, 0.875), (174.0, 7.0, 87.0, 0.5), (25.0, 7.25, 50.0, 0.5)],
)
def test_tempo_out_of_range_is_halved_or_doubled(
    bpm: float, beat: float, danced_bpm: float, phase: float
) -> None:
    clock = SharedBeat(bpm, beat, 0).clock(frame=5.0)
    assert (clock.bpm, clock.phase, clock.frame) == (danced_bpm, phase, 5.0)


@pytest.mark.parametrize(("bpm", "beat"), [(0.0, 1.0), (float("nan"), 1.0), (100.0, float("inf"))])
def test_beat_that_is_none_is_refused(bpm: float, beat: float) -> None:
    with pytest.raises(ValueError, match="no beat"):
        SharedBeat(bpm, beat, 0)


def test_running_dance_follows_the_shared_beat_in_tempo_and_phase(dancer: Dancer) -> None:
    runner = LiveRunner(dancer, dancer.session(), FileSource(SONG), [], LiveOptions(300.0, duration_s=1.0))
    beat = SharedBeat(180.0, 0.0, now_ns())
    status = runner.run(lambda _: runner.controls.follow(beat), status_interval_s=0.1)
    assert status.bpm == pytest.approx(90.0, rel=1e-3)
    reading, origin_ns = runner._ensemble.listener.reading, runner._source.origin_ns
    end_ns = origin_ns + (reading.frame + 1) * 1e9 / 60
    expected = (end_ns - beat.time_ns) * 90.0 / 60e9 % 1.0
    assert abs((reading.phase - expected + 0.5) % 1.0 - 0.5) < 1e-3


def test_dance_trusts_the_tracker_again(dancer: Dancer) -> None:
    runner = LiveRunner(dancer, dancer.session(), FileSource(SONG), [], LiveOptions(300.0, duration_s=0.5))
    runner._obey(Control(FOLLOW, beat=SharedBeat(180.0, 0.0, now_ns())))
    assert runner._ensemble.listener.tempo.active
    runner._obey(Control(FOLLOW))
    assert not runner._ensemble.listener.tempo.active
    runner._source.close()
