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
from typing import cast

import numpy as np

from bailando._native import now_ns
from bailando.engine.control import FOLLOW, MAX_DELAY_MS, MIN_DELAY_MS, Control, Controls, ControlValue
from bailando.engine.dancer import Dancer
from bailando.engine.delay import SlewedDelay
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.frame_maker import BeatCounter, make_frame
from bailando.engine.output import Output
from bailando.engine.pacer import NS_PER_SECOND, frame_due_ns
from bailando.engine.performance import Ensemble, frame_count
from bailando.engine.run_meter import RunMeter
from bailando.engine.scheduling import calm_interpreter, raised_priority
from bailando.engine.session import Session
from bailando.engine.silence import DEFAULT_THRESHOLD_DB
from bailando.engine.sinks.base import Sink
from bailando.engine.sources import Samples, Source
from bailando.engine.telemetry import Status
from bailando.engine.timeline import Timeline
from bailando.engine.watchdog import BackendGivenUpError
from bailando.errors import ConfigError
from bailando.music.audio import StreamResampler

# Frames are handed over this early where the dance is ahead: the interpreter may stand still meanwhile.
_LEAD_NS = 40_000_000
_GUARD_NS = 6_000_000
_WARM_UP_TOKENS = 4

StatusCallback = Callable[[Status], None]
SoundCallback = Callable[[Samples, int], None]
"""Takes a block of the source, and when the motion of the source's first sample was due, ns."""


@dataclass(frozen=True)
class LiveOptions:
    """How a live run goes.

    Parameters
    ----------
    delay_ms : float
        From a moment of the sound to the motion of that moment; it must cover blocks of the sound card,
        the resampler's hold-back (at most 21 ms from 44.1 or 48 kHz) and the computation. The latency
        that a device declares comes on top of it.
    duration_s : float or None
        Stop after so much media time; None dances until the source ends.
    silence_threshold_db : float
        What is quieter is silence, to which dancers idle.
    """

    delay_ms: float = 60.0
    duration_s: float | None = None
    silence_threshold_db: float = DEFAULT_THRESHOLD_DB

    def __post_init__(self) -> None:
        if not MIN_DELAY_MS <= self.delay_ms <= MAX_DELAY_MS:
            raise ConfigError(f"delay is {self.delay_ms} ms; give {MIN_DELAY_MS:g} to {MAX_DELAY_MS:g}")
        if self.duration_s is not None and not self.duration_s > 0.0:
            raise ConfigError(f"duration is {self.duration_s} s; give more than 0")

    @property
    def max_frames(self) -> int | None:
        """Frames of the wished duration."""
        return None if self.duration_s is None else max(1, round(self.duration_s * FRAME_RATE_HZ))


class LiveRunner:
    """Runs dances to one source of sound.

    Parameters
    ----------
    dancer : Dancer
    sessions : Session or sequence of Session
        Fresh sessions of that dancer, one for each body on the floor.
    source : Source
    sinks : sequence of Sink, or of sequences of Sink
        Where frames go; for several sessions, the sinks of each.
    options : LiveOptions, optional
    controls : Controls, optional
        A queue made beforehand (`new_controls`); `control` puts into it.
    on_sound : callable, optional
        Gets each block of the source on the dance thread, to play it.

    Attributes
    ----------
    controls : Controls
        What may be changed meanwhile, from any thread.
    on_token : callable or None
        Called on the dance thread for each token: its first frame, when it was ready (ns), and how long
        it took (ns).

    Raises
    ------
    OutputError
        If a destination cannot be used.
    """

    def __init__(
        self,
        dancer: Dancer,
        sessions: Session | Sequence[Session],
        source: Source,
        sinks: Sequence[Sink] | Sequence[Sequence[Sink]],
        options: LiveOptions | None = None,
        controls: Controls | None = None,
        on_sound: SoundCallback | None = None,
    ) -> None:
        self._options = options or LiveOptions()
        self._dancer = dancer
        self._source = source
        self._on_sound = on_sound
        sessions = (sessions,) if isinstance(sessions, Session) else tuple(sessions)
        self._ensemble = Ensemble(dancer, sessions, controls, self._obey, self._options.silence_threshold_db)
        self.controls = self._ensemble.controls
        self._resampler = StreamResampler(source.sample_rate_hz, dancer.feature_spec.sample_rate_hz)
        self._delay_ms = self._options.delay_ms
        self._delay = SlewedDelay(self._wanted_delay_ns())
        self._timelines = [Timeline(dancer.skeleton) for _ in sessions]
        self._output = Output(_for_each(sinks, len(sessions)))
        self._meter = RunMeter(self._ensemble, self._timelines, source, self._output, dancer.watchdog)
        self.on_token: Callable[[int, int, int], None] | None = None
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def control(self, name: str, value: ControlValue = None, dancer: int | None = None) -> None:
        """Change the dance from the next token on; any thread may call it. See `Controls.submit`."""
        self.controls.submit(name, value, dancer)

    def stop(self) -> None:
        """Ask the run to end; callable from any thread and from signal handlers."""
        self._stop.set()
        if self._dancer.watchdog is not None:
            self._dancer.watchdog.given_up.set()
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
            If the source or an output fails to start, or a file fails on the way.
        """
        if self._dancer.watchdog is not None:
            self._dancer.watchdog.given_up.clear()
        warm_up(self._dancer, len(self._timelines))
        if self._options.max_frames is not None:
            for timeline in self._timelines:  # here, since the dance may be late when its time is over
                timeline.finish(self._options.max_frames)
        dance = threading.Thread(target=self._guarded(self._dance), name="bailando-dance", daemon=True)
        frames = threading.Thread(
            target=self._guarded(self._send_frames), name="bailando-frames", daemon=True
        )
        with calm_interpreter(), raised_priority():
            try:
                self._timeline_chunks(np.empty(0, np.float32))
                self._output.start()
                self._source.start()
                self._delay.set(self._wanted_delay_ns())
                self._meter.begin()
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
        return self._meter.status(self._delay.current_ns)

    def _guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        """Wrap a thread's work so that its failure ends the run and is raised there."""

        def guarded() -> None:
            try:
                with raised_priority():
                    work()
            except BackendGivenUpError:
                pass  # the show is over
            except BaseException as error:
                self._failure = self._failure or error
                self.stop()

        return guarded

    def _dance(self) -> None:
        """Dance thread: turn sound into chunks until the source ends."""
        limit = self._options.max_frames
        while (block := self._source.read()) is not None:
            if self._on_sound is not None:
                self._on_sound(block, self._source.origin_ns + self._delay.current_ns)
            self._timeline_chunks(self._resampler.process(self._meter.without_nan(block)))
            if limit is not None and self._frames_heard() >= limit:
                break
        else:
            if not self._stop.is_set():
                self._timeline_chunks(self._resampler.finish())
        heard = self._frames_heard()
        self._timeline_chunks(None)
        for timeline in self._timelines:
            timeline.finish(heard if limit is None else min(heard, limit))

    def _frames_heard(self) -> int:
        listener = self._ensemble.listener
        return frame_count(listener.samples, listener.sample_rate_hz)

    def _timeline_chunks(self, samples: Samples | None) -> None:
        """Feed samples (None: no more will come) and put the chunks that come of it on the timelines."""
        started_ns = now_ns()
        ready = self._ensemble.feed(samples) if samples is not None else self._ensemble.finish()
        ready_ns = now_ns()
        for chunks in ready:
            for timeline, chunk in zip(self._timelines, chunks, strict=True):
                timeline.put(chunk)
            compute_ns = (ready_ns - started_ns) // len(ready)
            if self.on_token is not None:
                self.on_token(chunks[0].first_frame, ready_ns, compute_ns)
            if first_frame := chunks[0].first_frame:
                self._meter.compute.record(compute_ns)
                self._meter.latency.record(ready_ns - frame_due_ns(self._source.origin_ns, first_frame))

    def _obey(self, control: Control) -> None:
        """Dance thread: carry out what concerns more than the sessions."""
        if control.name == "next":
            self._source.skip()
        elif control.name == "delay":
            self._delay_ms = float(control.value or 0.0)
            self._delay.set(self._wanted_delay_ns())
        elif control.name == "tap":
            self._ensemble.listener.tempo.tap(self._frame_heard_at(control.time_ns))
        elif control.name == FOLLOW and control.beat is not None:
            clock = control.beat.clock(self._frame_heard_at(control.beat.time_ns))
            self._ensemble.listener.tempo.follow(clock)
        elif control.name == FOLLOW:
            self._ensemble.listener.tempo.clear()

    def _frame_heard_at(self, time_ns: int) -> float:
        """Return the frame of the sound of a moment."""
        return (time_ns - self._source.origin_ns) * FRAME_RATE_HZ / NS_PER_SECOND

    def _wanted_delay_ns(self) -> int:
        """Return the delay asked for, what the bundle needs and what the device adds."""
        lookahead_frames = self._dancer.delay_tokens * self._dancer.manifest.frames_per_token
        lookahead_ns = lookahead_frames * NS_PER_SECOND // FRAME_RATE_HZ
        return round(self._delay_ms * 1e6) + lookahead_ns + self._source.report().latency_ns

    def _send_frames(self) -> None:
        """Frame thread: hand over each frame shortly before it is due, come what may."""
        beats = BeatCounter()
        last = self._timelines[-1]  # which gets its chunks last
        while not self._stop.is_set():
            number = last.next_number
            due_ns = frame_due_ns(self._source.origin_ns + self._delay.step(), number)
            last.wait(max(0, due_ns - _GUARD_NS - now_ns()) / NS_PER_SECOND)
            if last.ended:
                return
            wait_ns = due_ns - _LEAD_NS - now_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / NS_PER_SECOND)
            poses, reading = (
                [timeline.take() for timeline in self._timelines],
                self._ensemble.listener.reading,
            )
            # After its turn the native thread has repeated the frame before, and counted that.
            self._meter.extrapolated += not poses[-1].danced and now_ns() < due_ns
            beat = beats.is_beat(number, reading)
            self._output.submit([make_frame(number, pose, reading, beat) for pose in poses], due_ns)


def _for_each(sinks: Sequence[Sink] | Sequence[Sequence[Sink]], dancers: int) -> list[list[Sink]]:
    """Return the sinks of each dancer; a flat list is the first one's."""
    each: list[list[Sink]] = [[] for _ in range(dancers)]
    for number, entry in enumerate(sinks):
        if isinstance(entry, list | tuple):
            each[number] += entry
        else:
            each[0].append(cast(Sink, entry))
    return each


def warm_up(dancer: Dancer, dancers: int = 1) -> None:
    """Dance a few tokens of silence with as many as will dance, so that the first real one is no slower."""
    ensemble = Ensemble(dancer, [dancer.session() for _ in range(dancers)])
    hop = dancer.feature_spec.hop_length * dancer.manifest.frames_per_token
    for _ in range(_WARM_UP_TOKENS):
        ensemble.feed(np.zeros(hop, np.float32))
