"""The live loop: every frame once, at its time, the same dance as offline, and a clean end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bailando._native import now_ns
from bailando.engine.dancer import Dancer
from bailando.engine.frame import Frame
from bailando.engine.frame_maker import BeatCounter
from bailando.engine.generate import generate
from bailando.engine.output import Output
from bailando.engine.performance import MusicReading
from bailando.engine.runner import LiveOptions, LiveRunner
from bailando.engine.sinks.base import SinkCounters
from bailando.engine.sources import FileSource, Samples, SourceReport
from bailando.engine.telemetry import Status
from bailando.errors import ConfigError, DeviceError

RATE = 44100


class RecordingSink:
    """Keeps every frame and when it came."""

    name = "recording"

    def __init__(self) -> None:
        self.counters = SinkCounters()
        self.frames: list[Frame] = []
        self.times_ns: list[int] = []
        self.is_open = False

    def open(self) -> None:
        self.is_open = True

    def send(self, frame: Frame) -> None:
        self.times_ns.append(now_ns())
        self.frames.append(frame)

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    samples = np.random.default_rng(0).normal(0, 0.1, (int(1.9 * RATE), 2))
    soundfile.write(path, samples, RATE)
    return path


def test_live_dance_equals_the_generated_one_frame_for_frame(dancer: Dancer, song: Path) -> None:
    sink = RecordingSink()
    # A generous delay: what is tested is the dance, not whether this machine is busy.
    status = LiveRunner(
        dancer, dancer.session(seed=8), FileSource(song), [sink], LiveOptions(delay_ms=500)
    ).run()
    motion = generate(dancer, song, dancer.session(seed=8))
    assert [frame.number for frame in sink.frames] == list(range(114))
    assert motion.frame_count == 114
    np.testing.assert_array_equal([frame.rotations for frame in sink.frames], motion.rotations)
    np.testing.assert_array_equal([frame.root_position for frame in sink.frames], motion.root_position)
    assert status.frames == 114
    assert status.late_tokens == 0
    assert sink.is_open is False


def test_frames_are_due_sixty_a_second_after_the_delay(dancer: Dancer, song: Path) -> None:
    sink = RecordingSink()
    source = FileSource(song)
    LiveRunner(dancer, dancer.session(), source, [sink], LiveOptions(delay_ms=300, duration_s=1.0)).run()
    assert len(sink.frames) == 60
    due_ns = source.origin_ns + 300_000_000 + np.arange(60) * 1_000_000_000 // 60
    lateness_ms = (np.array(sink.times_ns) - due_ns) / 1e6
    assert lateness_ms.min() > -1.0
    assert np.median(lateness_ms) < 10.0


def test_frames_are_handed_over_so_early_that_the_interpreter_may_stand_still(
    dancer: Dancer, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early_ms: list[float] = []
    submit = Output.submit

    def noted(self: Output, frames: Sequence[Frame], due_ns: int) -> None:
        early_ms.append((due_ns - now_ns()) / 1e6)
        submit(self, frames, due_ns)

    monkeypatch.setattr(Output, "submit", noted)
    LiveRunner(dancer, dancer.session(), FileSource(song), [], LiveOptions(delay_ms=300)).run()
    assert 30.0 < float(np.median(early_ms)) <= 40.0


class ScriptedSource:
    """Gives blocks without pacing, then does what the test says."""

    name = "scripted"
    sample_rate_hz = 24000

    def __init__(self, blocks: int, ending: str) -> None:
        self.origin_ns = 0
        self.closed = False
        self._left = blocks
        self._ending = ending
        self._stopped = threading.Event()

    def start(self) -> None:
        if self._ending == "no start":
            raise DeviceError("does not open")
        self.origin_ns = now_ns()

    def read(self) -> Samples | None:
        if self._left:
            self._left -= 1
            return np.zeros(2400, np.float32)
        if self._ending == "fails":
            raise DeviceError("was unplugged")
        self._stopped.wait()
        return None

    def report(self) -> SourceReport:
        return SourceReport(self.name)

    def skip(self) -> None:
        raise ConfigError("no next song")

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.closed = True


def test_source_that_falls_silent_leaves_the_body_moving_to_rest(dancer: Dancer) -> None:
    sink = RecordingSink()
    source = ScriptedSource(4, "stalls")
    runner = LiveRunner(dancer, dancer.session(), source, [sink], LiveOptions(delay_ms=60))

    def stop_after_a_while(status: Status) -> None:
        if status.extrapolated_frames + status.repeated_frames > 20:
            runner.stop()

    status = runner.run(stop_after_a_while, 0.05)
    assert status.extrapolated_frames + status.repeated_frames > 20
    assert status.late_frames >= status.extrapolated_frames
    numbers = [frame.number for frame in sink.frames]
    assert numbers == list(range(len(numbers)))
    assert all(np.isfinite(frame.positions).all() for frame in sink.frames)
    assert source.closed


def test_duration_ends_a_run_whose_sound_has_stopped(dancer: Dancer) -> None:
    sink = RecordingSink()
    source = ScriptedSource(4, "stalls")
    runner = LiveRunner(dancer, dancer.session(), source, [sink], LiveOptions(duration_s=1.0))
    give_up = threading.Timer(10.0, runner.stop)
    give_up.start()
    status = runner.run()
    give_up.cancel()
    assert status.frames + status.dropped_frames == 60
    assert [frame.number for frame in sink.frames][-1] == 59
    assert source.closed


@pytest.mark.parametrize("ending", ["fails", "no start"])
def test_failure_of_the_source_ends_the_run_with_its_error(dancer: Dancer, ending: str) -> None:
    source = ScriptedSource(2, ending)
    threads = set(threading.enumerate())
    with pytest.raises(DeviceError):
        LiveRunner(dancer, dancer.session(), source, [RecordingSink()]).run()
    assert source.closed
    assert set(threading.enumerate()) <= threads  # those of earlier tests may end meanwhile


def test_stop_from_another_thread_ends_the_run_soon(dancer: Dancer, song: Path) -> None:
    runner = LiveRunner(dancer, dancer.session(), FileSource(song, "loop"), [RecordingSink()])
    stopped_s: list[float] = []

    def stop_from_elsewhere(_: Status) -> None:
        stopped_s.append(time.monotonic())
        threading.Thread(target=runner.stop).start()

    runner.run(stop_from_elsewhere, 0.2)
    assert time.monotonic() - stopped_s[0] < 5.0


def test_interpreter_is_left_as_it_was(dancer: Dancer, song: Path) -> None:
    import gc
    import sys

    before = gc.get_threshold(), sys.getswitchinterval()
    LiveRunner(
        dancer, dancer.session(), FileSource(song), [], LiveOptions(delay_ms=200, duration_s=0.2)
    ).run()
    assert (gc.get_threshold(), sys.getswitchinterval()) == before
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("options", [{"delay_ms": 5.0}, {"duration_s": 0.0}, {"delay_ms": float("nan")}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        LiveOptions(**options)


def test_beats_fall_once_a_period_and_survive_small_corrections() -> None:
    counter, rng = BeatCounter(), np.random.default_rng(0)
    beats = []
    for number in range(600):
        phase = ((number - 8) / 30 + rng.normal(0, 0.01)) % 1.0
        if counter.is_beat(number, MusicReading(number - 9, 120.0, phase)):
            beats.append(number)
    assert len(beats) in (19, 20, 21)
    assert all(25 <= gap <= 35 for gap in np.diff(beats))


def test_silence_has_no_beats() -> None:
    counter = BeatCounter()
    assert not any(counter.is_beat(number, MusicReading()) for number in range(200))
