"""Measures the way from sound to motion on this machine, through a real device loop.

Clicks are played through an output device and come back through the input device: a cable, a
loopback device or a sound server's monitor. Afterwards the recorded sound is danced again without each
click; the first frame that then differs is the first that the click moved, and when its packet
arrived is known.
"""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bailando._native import now_ns
from bailando.engine.audio_out import AudioOutput
from bailando.engine.dancer import Dancer
from bailando.engine.pacer import frame_due_ns
from bailando.engine.performance import Performance
from bailando.engine.runner import LiveOptions, LiveRunner
from bailando.engine.sinks import Destination, OscSink
from bailando.engine.sources import NS_PER_SECOND, Samples, Source
from bailando.errors import DeviceError
from bailando.music.audio import StreamResampler

PARTS = ("total", "device", "features", "model", "queue", "send")
_FRAME_MESSAGE = b"/bailando/frame\0,i\0\0"
_FIRST_CLICK_S = 2.0
_SPACING_S = 1.2
_CLICK_S = 0.03
_LEAD_S = 1.0
_LOUDNESS = 0.5
_SEARCH_S = 0.9
_HEARD = 0.05
_PATIENCE_FRAMES = 48


@dataclass(frozen=True)
class LatencyResult:
    """Times of each click that moved the dancer, ms.

    Attributes
    ----------
    clicks : int
        Clicks played.
    heard : int
        Clicks that came back through the loop.
    parts : dict
        For each of `PARTS`, (n,) of the clicks that changed the dance: all of it; from the output device
        to the block that came here; from there to the end of the token that heard it; its computation;
        from there to the frame's deadline, which the chosen delay decides; from there to the packet's
        arrival.
    """

    clicks: int
    heard: int
    parts: dict[str, NDArray[np.float64]]

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Return p50, p90 and max of each part, ms."""
        names = ("p50", "p90", "max")
        return {
            part: dict(zip(names, np.percentile(values, (50, 90, 100)).tolist(), strict=True))
            for part, values in self.parts.items()
            if len(values)
        }


@dataclass
class _Log:
    """What happened when, ns: blocks as (samples so far, time, when frame 0 was due), the rest by frame."""

    samples: list[Samples] = field(default_factory=list)
    blocks: list[tuple[int, int, int]] = field(default_factory=list)
    tokens: dict[int, tuple[int, int]] = field(default_factory=dict)
    packets: dict[int, int] = field(default_factory=dict)


class _PacketLog:
    """Receives the frames on a port of its own and notes when each came."""

    def __init__(self, log: _Log) -> None:
        self._log = log
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port: int = self._socket.getsockname()[1]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="bailando-packets", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop receiving."""
        self._done.set()
        self._thread.join(timeout=2.0)
        self._socket.close()

    def _receive(self) -> None:
        while not self._done.is_set():
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            start = data.find(_FRAME_MESSAGE)
            if start >= 0:
                (number,) = struct.unpack_from(">i", data, start + len(_FRAME_MESSAGE))
                self._log.packets.setdefault(number, now_ns())


def click_track(rate_hz: int, clicks: int) -> tuple[Samples, NDArray[np.int64]]:
    """Return a track of noise bursts (n,) and the sample at which each begins, anywhere within a token."""
    rng = np.random.default_rng(0)
    times_s = _FIRST_CLICK_S + _SPACING_S * np.arange(clicks) + rng.uniform(0.0, 8.0 / 60.0, clicks)
    starts = np.round(times_s * rate_hz).astype(np.int64)
    track = np.zeros(int((times_s[-1] + 1.5) * rate_hz), np.float32)
    length = int(_CLICK_S * rate_hz)
    for start in starts:
        track[start : start + length] = rng.uniform(-_LOUDNESS, _LOUDNESS, length)
    return track, starts


def measure_latency(
    dancer: Dancer,
    source: Source,
    output_device: str,
    delay_ms: float = 60.0,
    clicks: int = 15,
    seed: int = 0,
) -> LatencyResult:
    """Play clicks, dance to what comes back and find out when each was first seen.

    Parameters
    ----------
    dancer : Dancer
    source : Source
        The input device, not yet started; it hears what `output_device` plays.
    output_device : str
        See `AudioOutput`.
    delay_ms : float
        As in `LiveOptions`.
    clicks : int
    seed : int

    Raises
    ------
    DeviceError
        If a device does not open, or no click comes back.
    """
    track, starts = click_track(source.sample_rate_hz, clicks)
    log = _Log()
    base_ns, origin_ns = _run(dancer, source, output_device, track, log, delay_ms, seed)
    recorded = np.concatenate(log.samples)
    rate_hz = source.sample_rate_hz
    twins = _Twins(dancer, recorded, rate_hz, seed)
    rows = []
    heard = 0
    for start in starts.tolist():
        sounded_ns = base_ns + start * NS_PER_SECOND // rate_hz
        onset = _onset(recorded, (sounded_ns - origin_ns) * rate_hz // NS_PER_SECOND, rate_hz)
        if onset is not None:
            heard += 1
            frame = twins.first_moved_frame(onset)
            if frame is not None and frame in log.packets:
                rows.append(_split(log, sounded_ns, onset, frame))
    if not heard:
        raise DeviceError(
            f"none of {clicks} clicks came back from {output_device!r} through {source.name!r}; "
            "connect output and input, or choose the output's monitor as input"
        )
    table = np.array(rows, np.float64).reshape(-1, len(PARTS)) / 1e6
    return LatencyResult(clicks, heard, {part: table[:, column] for column, part in enumerate(PARTS)})


def _run(
    dancer: Dancer,
    source: Source,
    output_device: str,
    track: Samples,
    log: _Log,
    delay_ms: float,
    seed: int,
) -> tuple[int, int]:
    """Dance live while the track plays; return when its first sample sounded and the source's origin."""
    packets = _PacketLog(log)
    output = AudioOutput(output_device, source.sample_rate_hz, len(track) / source.sample_rate_hz + 1.0)
    sink = OscSink(Destination("127.0.0.1", packets.port))
    options = LiveOptions(delay_ms, duration_s=_LEAD_S + len(track) / source.sample_rate_hz)
    base_ns = 0

    def hear(block: Samples, due_ns: int) -> None:
        nonlocal base_ns
        queued = track[:0] if base_ns else track
        base_ns = base_ns or now_ns() + round(_LEAD_S * NS_PER_SECOND)  # now that somebody listens
        output.play(queued, base_ns)  # each time, for a device that stopped is opened again by it
        log.samples.append(block)
        log.blocks.append(((log.blocks[-1][0] if log.blocks else 0) + len(block), now_ns(), due_ns))

    def note(frame: int, ready_ns: int, compute_ns: int) -> None:
        log.tokens[frame] = ready_ns, compute_ns

    runner = LiveRunner(dancer, dancer.session(seed=seed), source, [sink], options, on_sound=hear)
    runner.on_token = note
    try:
        output.start()
        runner.run()
    finally:
        output.close()
        packets.close()
    return base_ns, source.origin_ns


def _onset(recorded: Samples, expected: int, rate_hz: int) -> int | None:
    """Return the sample at which a click begins that should lie about `expected`."""
    first = max(0, expected - int(0.05 * rate_hz))
    loud = np.flatnonzero(np.abs(recorded[first : expected + int(_SEARCH_S * rate_hz)]) > _HEARD)
    return first + int(loud[0]) if len(loud) else None


class _Twins:
    """Dances the recording again, with and without what follows an onset."""

    def __init__(self, dancer: Dancer, recorded: Samples, rate_hz: int, seed: int) -> None:
        self._dancer = dancer
        self._recorded = recorded
        self._rate_hz = rate_hz
        self._performance = Performance(dancer, dancer.session(seed=seed))
        self._sound = self._resampled(recorded)
        self._done = 0

    def first_moved_frame(self, onset: int) -> int | None:
        """Return the first frame that is not the same without all sound from `onset` on; onsets grow."""
        out_hz = self._performance.sample_rate_hz
        # The resampler's filter lets a click ring a little before itself.
        same = max(0, onset * out_hz // self._rate_hz - out_hz // 10)
        self._performance.feed(self._sound[self._done : same])
        self._done = same
        without = self._recorded.copy()
        without[onset:] = 0.0
        end = same + _PATIENCE_FRAMES * out_hz // 60
        chunks = [
            self._performance.fork(self._dancer).feed(sound[same:end])
            for sound in (self._sound, self._resampled(without))
        ]
        for one, other in zip(*chunks, strict=True):
            differs = np.abs(one.positions - other.positions).max(axis=(1, 2)) > 1e-5
            if differs.any():
                return int(one.first_frame + np.argmax(differs))
        return None

    def _resampled(self, samples: Samples) -> Samples:
        resampler = StreamResampler(self._rate_hz, self._performance.sample_rate_hz)
        return np.concatenate([resampler.process(samples), resampler.finish()])


def _split(log: _Log, sounded_ns: int, onset: int, frame: int) -> list[int]:
    """Return the parts of one click's way, ns, in the order of `PARTS`."""
    arrived_ns, first_due_ns = next((time_ns, due) for count, time_ns, due in log.blocks if count > onset)
    token = max(first for first in log.tokens if first <= frame)
    ready_ns, compute_ns = log.tokens[token]
    packet_ns, due_ns = log.packets[frame], frame_due_ns(first_due_ns, frame)
    return [
        packet_ns - sounded_ns,
        arrived_ns - sounded_ns,
        ready_ns - compute_ns - arrived_ns,
        compute_ns,
        due_ns - ready_ns,
        packet_ns - due_ns,
    ]
