"""From a click in the sound to the first changed packet, and from a beat to the received motion's pause.

python benchmarks/end_to_end.py [--clicks 60] [--song-seconds 120] [--delay-ms 60] [--model BUNDLE]
    [--device NAME] [--json FILE]

Starts a PulseAudio server of its own with a null sink; what is played into the sink is heard from its
monitor, as from a cable. Clicks: `bailando.engine.latency_test`. Beats: the demo song is played and danced
to, and each of its beats, a grid fitted to the whole song, is compared with the local minima of the speed of
the motion as a receiver got it, when it got it. A beat is where the recorded sound has it, for a server that
starves holds the song up; one with a hole in its sound is left out. Chance is the same with the beats moved
by random phases.

With `--device` a real loop is used, and no server is started. Times are elapsed ones: use a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from beats import fitted_grid
from heard import find_moments
from measure import percentiles, show, write_json
from numpy.typing import NDArray
from pythonosc.osc_packet import OscPacket

from bailando._native import now_ns
from bailando.engine.audio_out import AudioOutput
from bailando.engine.dancer import Dancer, default_bundle_path
from bailando.engine.devices import DeviceSource
from bailando.engine.latency_test import measure_latency
from bailando.engine.runner import LiveOptions, LiveRunner
from bailando.engine.sinks import Destination, OscSink
from bailando.engine.sources import Samples
from bailando.errors import DeviceError
from bailando.music.audio import load_mono
from bailando.music.features import FeatureSpec
from bailando.training.metrics import motion_beats

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "bailando" / "assets" / "demo" / "demo.ogg"
LEAD_S = 1.0
SETTLING_S = 8.0  # the tracker finds the beat first
PHASES = 64
NEAR_MS = 100.0
SERVER_LATENCY_MS = 30  # with 10 the server starves again and again, and what it plays has holes


@contextmanager
def sound_server() -> Iterator[str]:
    """Start a server with a null sink and point this process to it; the name of its device.

    Raises
    ------
    DeviceError
        If PulseAudio is not installed.
    """
    sys.path.append(str(ROOT / "tests" / "engine"))
    from pulse_server import PulseServer

    if missing := PulseServer.missing():
        raise DeviceError(
            f"{missing} not found; run: apt install pulseaudio pulseaudio-utils libasound2-plugins"
        )
    server = PulseServer(latency_ms=SERVER_LATENCY_MS)
    before = dict(os.environ)
    try:
        server.start()
        os.environ.update(server.environment)
        os.environ.update({"PULSE_SINK": "bailando", "PULSE_SOURCE": "bailando.monitor"})
        yield "pulse"
    finally:
        server.close()
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def counted_underruns(figures: dict[str, Any]) -> Iterator[None]:
    """Keep ALSA's lines on underruns from the screen and count them: many mean that the machine was busy."""
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+b") as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            lines = log.read().splitlines(keepends=True)
            figures["sound_underruns"] = sum(b"underrun occurred" in line for line in lines)
            sys.stderr.write(b"".join(line for line in lines if b"ALSA lib" not in line).decode())


class Receiver:
    """Keeps every datagram with the moment it came."""

    def __init__(self) -> None:
        self._inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._inbox.bind(("127.0.0.1", 0))
        self._inbox.settimeout(0.2)
        self.port: int = self._inbox.getsockname()[1]
        self.received: list[tuple[int, bytes]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop receiving."""
        self._done.set()
        self._thread.join()
        self._inbox.close()

    def _receive(self) -> None:
        while not self._done.is_set():
            try:
                data = self._inbox.recv(65536)
            except TimeoutError:
                continue
            self.received.append((now_ns(), data))

    def motion(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return when frames came, ns ``[T]``, and their joints ``[T, 24, 3]``."""
        times, frames = [], []
        for time_ns, data in self.received:
            for message in OscPacket(data).messages:
                if message.message.address == "/bailando/pose":
                    times.append(time_ns)
                    frames.append(message.message.params[:72])
        return np.array(times, np.int64), np.array(frames, np.float64).reshape(-1, 24, 3)


class Danced(NamedTuple):
    """A song that was played, what was heard of it, and what was received.

    Attributes
    ----------
    base_ns : int
        When the first sample of the song was to sound.
    recording : (n,) float32
        What was heard.
    origins_ns : (n,) int64
        When the first sample of the recording was heard, as each block had it.
    ends : (n,) int64
        Samples heard by the end of each block.
    receiver : Receiver
    """

    base_ns: int
    recording: Samples
    origins_ns: NDArray[np.int64]
    ends: NDArray[np.int64]
    receiver: Receiver

    def beats_s(self, song: Samples, grid_s: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
        """Return when beats were heard, seconds after `base_ns`, (k,); NaN where the sound had a hole."""
        expected_s = grid_s + (self.base_ns - self.origins_ns[-1]) / 1e9
        heard_s = find_moments(song, self.recording, grid_s, expected_s, rate_hz)
        samples = np.nan_to_num(heard_s * rate_hz)
        blocks = np.minimum(np.searchsorted(self.ends, samples), len(self.ends) - 1)
        return heard_s + (self.origins_ns[blocks] - self.base_ns) / 1e9


def dance_to(dancer: Dancer, device: str, samples: Samples, delay_ms: float, seed: int) -> Danced:
    """Play a song into a loop and dance to what comes back."""
    source, receiver = DeviceSource(device), Receiver()
    seconds = len(samples) / source.sample_rate_hz
    output = AudioOutput(device, source.sample_rate_hz, seconds + LEAD_S)
    options = LiveOptions(delay_ms, duration_s=seconds + LEAD_S)
    base_ns = 0
    blocks: list[Samples] = []
    origins_ns: list[int] = []

    def hear(block: Samples, _due_ns: int) -> None:
        nonlocal base_ns
        queued = samples[:0] if base_ns else samples
        base_ns = base_ns or now_ns() + round(LEAD_S * 1e9)  # now that somebody listens
        output.play(queued, base_ns)  # each time, for a device that stopped is opened again by it
        blocks.append(block)
        origins_ns.append(source.origin_ns)

    sink = OscSink(Destination("127.0.0.1", receiver.port))
    runner = LiveRunner(dancer, dancer.session(seed=seed), source, [sink], options, on_sound=hear)
    try:
        output.start()
        runner.run()
    finally:
        output.close()
        receiver.close()
    ends = np.cumsum([len(block) for block in blocks])
    return Danced(base_ns, np.concatenate(blocks), np.array(origins_ns, np.int64), ends, receiver)


def nearest_ms(beats_s: NDArray[np.float64], pauses_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how long after each beat the nearest pause came, ms; before it is negative."""
    distance = pauses_s[None, :] - beats_s[:, None]
    return 1e3 * distance[np.arange(len(beats_s)), np.abs(distance).argmin(axis=1)]


def beat_offsets(
    beats_s: NDArray[np.float64], times_ns: NDArray[np.int64], joints: NDArray[np.float64], base_ns: int
) -> dict[str, Any]:
    """Compare beats of the sound with pauses of the received motion; chance is random phases of the beats."""
    arrival_s = (times_ns - base_ns) / 1e9
    pauses = motion_beats(joints)
    # Pause n lies between frames n and n + 1.
    pauses_s = (arrival_s[pauses] + arrival_s[pauses + 1]) / 2
    beats_s = beats_s[(beats_s > SETTLING_S) & (beats_s < arrival_s[-1] - 1.0)]
    offsets = nearest_ms(beats_s, pauses_s)
    period_s = float(np.median(np.diff(beats_s)))
    moved = [nearest_ms(beats_s + phase * period_s, pauses_s) for phase in np.arange(PHASES) / PHASES]
    return {
        "beats": len(beats_s),
        "period_ms": 1e3 * period_s,
        "signed_median_ms": float(np.median(offsets)),
        "absolute": percentiles(np.abs(offsets)),
        "absolute_at_random_phases": percentiles(np.abs(np.concatenate(moved))),
        "within_100_ms": float((np.abs(offsets) < NEAR_MS).mean()),
        "within_100_ms_at_random_phases": float((np.abs(np.concatenate(moved)) < NEAR_MS).mean()),
        "offsets_ms": offsets.tolist(),
    }


def measure(dancer: Dancer, device: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of clicks and beats, as far as they were asked for."""
    figures: dict[str, Any] = {"unit": "ms", "seed": options.seed, "delay_ms": options.delay_ms}
    with counted_underruns(figures):
        figures |= clicks_and_beats(dancer, device, options)
    return figures


def clicks_and_beats(dancer: Dancer, device: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run both parts."""
    figures: dict[str, Any] = {}
    if options.clicks:
        source = DeviceSource(device)
        found = measure_latency(dancer, source, device, options.delay_ms, options.clicks, options.seed)
        moved = {part: values for part, values in found.parts.items() if len(values)}
        figures |= {"clicks": found.clicks, "heard": found.heard, "moved": len(found.parts["total"])}
        figures["results"] = {part: percentiles(values) for part, values in moved.items()}
        figures["click_ms"] = found.parts["total"].tolist()
    if options.song_seconds:
        rate_hz = DeviceSource(device).sample_rate_hz
        song = load_mono(DEMO, rate_hz)[: round(options.song_seconds * rate_hz)]
        grid = fitted_grid(load_mono(DEMO, FeatureSpec().sample_rate_hz))
        danced = dance_to(dancer, device, song, options.delay_ms, options.seed)
        grid = grid[grid < len(song) / rate_hz]
        heard_s = danced.beats_s(song, grid, rate_hz)
        there = ~np.isnan(heard_s)
        if not there.any():
            raise DeviceError(f"no beat of the song came back from {device!r}; connect output and input")
        late_s = (heard_s - grid)[there]
        figures["beats_lost"] = int((~there).sum())
        figures["held_up"] = percentiles(1e3 * np.abs(late_s - np.median(late_s)))
        figures["beat_offset"] = beat_offsets(heard_s[there], *danced.receiver.motion(), danced.base_ns)
    return figures


def report(figures: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"underruns of the sound server: {figures['sound_underruns']} (a busy machine; expected 0)")
    if "results" in figures:
        print("{clicks} clicks, {heard} came back, {moved} changed the dance".format(**figures))
        show("ms from click to packet", figures["results"])
    if "beat_offset" in figures:
        beat, held_up = figures["beat_offset"], figures["held_up"]
        print(
            f"beats with a hole in their sound: {figures['beats_lost']}, left out; the others are "
            f"p50 {held_up['p50']:.0f}, max {held_up['max']:.0f} ms off the median place of the sound"
        )
        rows = {"beat to pause": beat["absolute"], "at random phases": beat["absolute_at_random_phases"]}
        show(f"ms, {beat['beats']} beats {beat['period_ms']:.0f} ms apart", rows)
        print(
            f"within 100 ms: {beat['within_100_ms']:.0%} of the beats, "
            f"{beat['within_100_ms_at_random_phases']:.0%} at random phases"
        )
        print(f"median with its sign: {beat['signed_median_ms']:+.1f} ms (positive: the pause comes later)")


def main() -> int:
    """Print the distributions, or why there are none."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clicks", type=int, default=60, help="0 for none")
    parser.add_argument("--song-seconds", type=float, default=120.0, help="0 for no song")
    parser.add_argument("--delay-ms", type=float, default=60.0, help="as bailando-live --delay")
    parser.add_argument("--model", default=default_bundle_path(), help="bundle; default: the shipped one")
    parser.add_argument("--device", help="a loop that is there; default: a sound server of its own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    dancer = Dancer.open(options.model)
    try:
        if options.device:
            figures = measure(dancer, options.device, options)
        else:
            with sound_server() as device:
                figures = measure(dancer, device, options)
    except DeviceError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 1
    report(figures)
    write_json(options.json, "end_to_end", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
