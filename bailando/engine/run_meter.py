"""Counts what happens in a live run and puts it into a `Status`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bailando._native import now_ns
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.output import Output
from bailando.engine.pacer import NS_PER_SECOND
from bailando.engine.performance import Ensemble
from bailando.engine.sources import Samples, Source
from bailando.engine.telemetry import LatencyHistogram, Status
from bailando.engine.timeline import Timeline
from bailando.engine.watchdog import WatchedBackend

_FPS_INTERVAL_NS = 200_000_000


class RunMeter:
    """What a run measures of itself.

    Attributes
    ----------
    latency, compute : LatencyHistogram
        Of each token, see `Status`; recorded by the dance thread.
    extrapolated : int
        Frames invented because the dance was late; counted by the frame thread.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        timelines: Sequence[Timeline],
        source: Source,
        output: Output,
        watchdog: WatchedBackend | None,
    ) -> None:
        self._ensemble = ensemble
        self._timelines = timelines
        self._source = source
        self._output = output
        self._watchdog = watchdog
        self.latency = LatencyHistogram()
        self.compute = LatencyHistogram()
        self.extrapolated = 0
        self._replaced = 0
        self._fps = 0.0
        self._measured_ns = 0
        self._measured_frames = 0

    def begin(self) -> None:
        """Start the clock of the frame rate."""
        self._measured_ns = now_ns()

    def without_nan(self, samples: Samples) -> Samples:
        """Return samples with silence for what is not finite, before a filter spreads it, and count it."""
        finite = np.isfinite(samples)
        if finite.all():
            return samples
        self._replaced += int(samples.size - np.count_nonzero(finite))
        return np.where(finite, samples, np.float32(0))

    def status(self, delay_ns: int) -> Status:
        """Return a look at the run; for one thread at a time."""
        report, sound, listener = self._output.report(), self._source.report(), self._ensemble.listener
        reading, sessions = listener.reading, self._ensemble.sessions
        self._measure_fps(report.frames)
        dropped = report.dropped + report.queue_full
        latency_ms = [self.latency.percentile_ns(percent) / 1e6 for percent in (50, 99)]
        compute_ms = [self.compute.percentile_ns(percent) / 1e6 for percent in (50, 99)]
        return Status(
            time_s=max(report.last_frame, 0) / FRAME_RATE_HZ,
            fps=self._fps,
            latency_p50_ms=latency_ms[0],
            latency_p99_ms=latency_ms[1],
            compute_p50_ms=compute_ms[0],
            compute_p99_ms=compute_ms[1],
            compute_max_ms=self.compute.max_ns / 1e6,
            bpm=reading.bpm,
            phase=reading.phase_at(report.last_frame),
            confidence=reading.confidence,
            level=reading.level,
            frames=report.frames,
            late_frames=report.late + report.underruns + dropped + self.extrapolated,
            sent_late=report.late,
            repeated_frames=report.underruns,
            dropped_frames=dropped,
            extrapolated_frames=self.extrapolated,
            late_tokens=max(timeline.late_tokens for timeline in self._timelines),
            rejected_codes=sum(session.rejected_logits for session in sessions),
            rejected_poses=sum(session.rejected_poses for session in sessions),
            lost_samples=sound.lost_samples,
            replaced_samples=listener.replaced_samples + self._replaced + sound.replaced_samples,
            send_errors=report.send_errors,
            sink_dropped_frames=self._output.dropped_frames,
            title=sound.title,
            connected=sound.connected,
            idle=self._ensemble.idle,
            reconnects=sound.reconnects,
            skipped_songs=sound.skipped_songs,
            backend_restarts=0 if self._watchdog is None else self._watchdog.restarts,
            clock_drift_ppm=sound.drift_ppm,
            clock_slew_ms=sound.slewed_ns / 1e6,
            delay_ms=delay_ns / 1e6,
        )

    def _measure_fps(self, frames: int) -> None:
        """Renew the frame rate, unless the interval since the last time is too short to tell."""
        elapsed_ns = now_ns() - self._measured_ns
        if elapsed_ns >= _FPS_INTERVAL_NS:
            self._fps = (frames - self._measured_frames) * NS_PER_SECOND / elapsed_ns
            self._measured_ns, self._measured_frames = now_ns(), frames
