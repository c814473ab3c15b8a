"""The live loop: sound in, frames out at their deadlines.

Three threads share the work. The dance thread waits for sound and makes chunks; the frame thread hands
each frame, shortly before it is due, to the output, and invents it when the dance is late; the output's
native thread sends it to the nanosecond. Frame n is due when sample n / 60 s of the sound card has
sounded, plus one constant delay.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bailando._native import now_ns
from bailando.engine.dancer import Dancer
from bailando.engine.frame import FRAME_RATE_HZ, Frame
from bailando.engine.output import Output
from bailando.engine.pacer import NS_PER_SECOND, frame_due_ns
from bailando.engine.performance import MusicReading, Performance, frame_count
from bailando.engine.scheduling import calm_interpreter, raised_priority
from bailando.engine.session import Session
from bailando.engine.sinks.base import Sink
from bailando.engine.sources import Samples, Source
from bailando.engine.telemetry import LatencyHistogram, Status
from bailando.engine.timeline import Pose, Timeline
from bailando.errors import ConfigError
from bailando.music.audio import StreamResampler

_LEAD_NS = 20_000_000
_GUARD_NS = 6_000_000
_WARM_UP_TOKENS = 4
_FPS_INTERVAL_NS = 200_000_000
_BEAT_REFRACTORY_FRAMES = 12

StatusCallback = Callable[[Status], None]


@dataclass(frozen=True)
class LiveOptions:
    """How a live run goes.

    Parameters
    ----------
    delay_ms : float
        From a moment of the sound to the motion of that moment; it must cover blocks of the sound card,
        the resampler's hold-back (at most 21 ms from 44.1 or 48 kHz) and the computation.
    duration_s : float or None
        Stop after so much media time; None dances until the source ends.
    """

    delay_ms: float = 60.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if not 10.0 <= self.delay_ms <= 10_000.0:
            raise ConfigError(f"delay is {self.delay_ms} ms; give 10 to 10000")
        if self.duration_s is not None and not self.duration_s > 0.0:
            raise ConfigError(f"duration is {self.duration_s} s; give more than 0")

    @property
    def delay_ns(self) -> int:
        """The delay, ns."""
        return round(self.delay_ms * 1e6)

    @property
    def max_frames(self) -> int | None:
        """Frames of the wished duration."""
        return None if self.duration_s is None else max(1, round(self.duration_s * FRAME_RATE_HZ))


class LiveRunner:
    """Runs one dance to one source of sound.

    Parameters
    ----------
    dancer : Dancer
    session : Session
        A fresh session of that dancer.
    source : Source
    sinks : sequence of Sink
        Where frames go.
    options : LiveOptions, optional

    Raises
    ------
    OutputError
        If a destination cannot be used.
    """

    def __init__(
        self,
        dancer: Dancer,
        session: Session,
        source: Source,
        sinks: Sequence[Sink],
        options: LiveOptions | None = None,
    ) -> None:
        self._options = options or LiveOptions()
        self._dancer = dancer
        self._source = source
        self._performance = Performance(dancer, session)
        self._resampler = StreamResampler(source.sample_rate_hz, self._performance.sample_rate_hz)
        lookahead_frames = dancer.delay_tokens * dancer.manifest.frames_per_token
        self._delay_ns = self._options.delay_ns + lookahead_frames * NS_PER_SECOND // FRAME_RATE_HZ
        self._timeline = Timeline(dancer.skeleton)
        self._output = Output(sinks)
        self._latency = LatencyHistogram()
        self._compute = LatencyHistogram()
        self._extrapolated = 0
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._fps = 0.0
        self._measured_ns = 0
        self._measured_frames = 0

    def stop(self) -> None:
        """Ask the run to end; callable from any thread and from signal handlers."""
        self._stop.set()
        self._source.stop()

    def run(self, on_status: StatusCallback | None = None, status_interval_s: float = 1.0) -> Status:
        """Dance until the source ends, the duration is over or `stop` is called.

        Parameters
        ----------
        on_status : callable, optional
            Called on this thread every `status_interval_s`.

        Returns
        -------
        Status
            The last one.

        Raises
        ------
        BailandoError
            If the source or an output fails to start, or the source fails on the way.
        """
        warm_up(self._dancer)
        dance = threading.Thread(target=self._guarded(self._dance), name="bailando-dance", daemon=True)
        frames = threading.Thread(
            target=self._guarded(self._send_frames), name="bailando-frames", daemon=True
        )
        with calm_interpreter(), raised_priority():
            try:
                self._timeline_chunks(np.empty(0, np.float32))
                self._output.start()
                self._source.start()
                self._measured_ns = now_ns()
                frames.start()
                dance.start()
                while frames.is_alive():
                    frames.join(status_interval_s)
                    if on_status is not None and frames.is_alive():
                        on_status(self.status())
                if self._failure is None and not self._stop.is_set():
                    self._output.finish()
            finally:
                self.stop()
                for thread in (dance, frames):
                    if thread.ident is not None:
                        thread.join(timeout=2.0)
                self._output.close()
                self._source.close()
        if self._failure is not None:
            raise self._failure
        return self.status()

    def status(self) -> Status:
        """Return a look at the run; for one thread at a time."""
        report, session, reading = self._output.report(), self._performance.session, self._performance.reading
        self._measure_fps(report.frames)
        dropped = report.dropped + report.queue_full
        latency_ms = [self._latency.percentile_ns(percent) / 1e6 for percent in (50, 99)]
        compute_ms = [self._compute.percentile_ns(percent) / 1e6 for percent in (50, 99)]
        return Status(
            time_s=max(report.last_frame, 0) / FRAME_RATE_HZ,
            fps=self._fps,
            latency_p50_ms=latency_ms[0],
            latency_p99_ms=latency_ms[1],
            compute_p50_ms=compute_ms[0],
            compute_p99_ms=compute_ms[1],
            compute_max_ms=self._compute.max_ns / 1e6,
            bpm=reading.bpm,
            phase=reading.phase_at(report.last_frame),
            confidence=reading.confidence,
            level=reading.level,
            frames=report.frames,
            late_frames=report.late + report.underruns + dropped + self._extrapolated,
            sent_late=report.late,
            repeated_frames=report.underruns,
            dropped_frames=dropped,
            extrapolated_frames=self._extrapolated,
            late_tokens=self._timeline.late_tokens,
            rejected_codes=session.rejected_logits,
            rejected_poses=session.rejected_poses,
            lost_samples=self._source.lost_samples,
            replaced_samples=self._performance.replaced_samples + self._source.replaced_samples,
            send_errors=report.send_errors,
        )

    def _measure_fps(self, frames: int) -> None:
        """Renew the frame rate, unless the interval since the last time is too short to tell."""
        elapsed_ns = now_ns() - self._measured_ns
        if elapsed_ns >= _FPS_INTERVAL_NS:
            self._fps = (frames - self._measured_frames) * NS_PER_SECOND / elapsed_ns
            self._measured_ns, self._measured_frames = now_ns(), frames

    def _guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        """Wrap a thread's work so that its failure ends the run and is raised there."""

        def guarded() -> None:
            try:
                with raised_priority():
                    work()
            except BaseException as error:
                self._failure = self._failure or error
                self.stop()

        return guarded

    def _dance(self) -> None:
        """Dance thread: turn sound into chunks until the source ends."""
        limit = self._options.max_frames
        while (block := self._source.read()) is not None:
            self._timeline_chunks(self._resampler.process(block))
            if limit is not None and self._frames_heard() >= limit:
                break
        else:
            if not self._stop.is_set():
                self._timeline_chunks(self._resampler.finish())
        heard = self._frames_heard()
        self._timeline_chunks(None)
        self._timeline.finish(heard if limit is None else min(heard, limit))

    def _frames_heard(self) -> int:
        return frame_count(self._performance.samples, self._performance.sample_rate_hz)

    def _timeline_chunks(self, samples: Samples | None) -> None:
        """Feed samples (None: no more will come) and put the chunks that come of it on the timeline."""
        started_ns = now_ns()
        chunks = self._performance.feed(samples) if samples is not None else self._performance.finish()
        ready_ns = now_ns()
        for chunk in chunks:
            self._timeline.put(chunk)
            if chunk.first_frame:
                self._compute.record((ready_ns - started_ns) // len(chunks))
                self._latency.record(ready_ns - frame_due_ns(self._source.origin_ns, chunk.first_frame))

    def _send_frames(self) -> None:
        """Frame thread: hand over each frame shortly before it is due, come what may."""
        beats = BeatCounter()
        while not self._stop.is_set():
            number = self._timeline.next_number
            due_ns = frame_due_ns(self._source.origin_ns + self._delay_ns, number)
            self._timeline.wait(max(0, due_ns - _GUARD_NS - now_ns()) / NS_PER_SECOND)
            if self._timeline.ended:
                return
            wait_ns = due_ns - _LEAD_NS - now_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / NS_PER_SECOND)
            pose, reading = self._timeline.take(), self._performance.reading
            # After its turn the native thread has repeated the frame before, and counted that.
            self._extrapolated += not pose.danced and now_ns() < due_ns
            self._output.submit(make_frame(number, pose, reading, beats.is_beat(number, reading)), due_ns)


class BeatCounter:
    """Says which frames hold a beat: the predicted phase wraps there, and no beat was just before."""

    def __init__(self) -> None:
        self._last_phase = 1.0
        self._last_beat = -_BEAT_REFRACTORY_FRAMES

    def is_beat(self, number: int, reading: MusicReading) -> bool:
        """Whether a beat falls into frame `number`, by the newest reading; call it for every frame."""
        phase = reading.phase_at(number)
        wrapped = phase < self._last_phase - 0.5
        self._last_phase = phase
        if not wrapped or reading.bpm <= 0 or number - self._last_beat < _BEAT_REFRACTORY_FRAMES:
            return False
        self._last_beat = number
        return True


def make_frame(number: int, pose: Pose, reading: MusicReading, beat: bool) -> Frame:
    """Put pose and music together."""
    return Frame(
        number=number,
        positions=pose.positions,
        rotations=pose.rotations,
        root_position=pose.root_position,
        contacts=pose.contacts,
        beat=beat,
        bpm=reading.bpm,
        phase=reading.phase_at(number),
        confidence=reading.confidence,
        level=reading.level,
        onset=reading.onset,
    )


def warm_up(dancer: Dancer) -> None:
    """Dance a few tokens of silence, so that the first real one is as fast as the others."""
    performance = Performance(dancer, dancer.session())
    hop = dancer.feature_spec.hop_length * dancer.manifest.frames_per_token
    for _ in range(_WARM_UP_TOKENS):
        performance.feed(np.zeros(hop, np.float32))
