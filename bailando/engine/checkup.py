"""What can be found out about a machine before a show: each check gives findings with advice."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bailando import __version__
from bailando._native import now_ns
from bailando.engine.calibration_poses import t_pose, wave
from bailando.engine.dancer import Dancer
from bailando.engine.devices import DeviceSource, list_input_devices
from bailando.engine.frame import FRAME_RATE_HZ, Frame
from bailando.engine.pacer import NS_PER_SECOND, frame_due_ns
from bailando.engine.performance import Performance
from bailando.engine.sinks import Destination, Sink
from bailando.errors import BailandoError
from bailando.motion.skeleton import Skeleton

Mark = Literal["ok", "warning", "failure"]
TOKENS_TIMED = 60
_NOTE_FROM_SHARE, _WARN_FROM_SHARE = 0.5, 1.0
_QUIET_DBFS, _CLIPPED = -60.0, 0.999
_LISTEN_S = 1.5
_SLEEPS = 100
_OPTIONAL = {"PIL": "video", "imageio_ffmpeg": "video", "tensorrt_rtx": "tensorrt"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    mark : str
        ``ok``, ``warning`` (the show goes on) or ``failure``.
    text : str
        What was found.
    advice : str
        What to do about it; empty if nothing.
    """

    mark: Mark
    text: str
    advice: str = ""


Check = Callable[[], Iterable[Finding]]


def run_checks(checks: Sequence[Check]) -> Iterator[Finding]:
    """Give the findings of all checks; a check that fails gives its error as a finding."""
    for check in checks:
        try:
            yield from check()
        except BailandoError as error:
            found, _, advice = str(error).partition("; ")
            yield Finding("failure", found, advice)


def check_versions() -> Iterator[Finding]:
    """Name what is installed."""
    names = ("numpy", "onnxruntime", "python-osc", "soundfile", "sounddevice", "websockets")
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("ok", f"bailando {__version__}, {system}; {versions}")
    missing = sorted({extra for module, extra in _OPTIONAL.items() if not importlib.util.find_spec(module)})
    if missing:
        installs = ", ".join(f"pip install 'bailando[{extra}]'" for extra in missing)
        yield Finding("ok", f"not installed, only if wanted: {', '.join(missing)}", installs)


def check_clock() -> Iterator[Finding]:
    """Measure how late this machine wakes a thread that sleeps to a deadline."""
    late_ms = []
    for _ in range(_SLEEPS):
        due_ns = now_ns() + 5_000_000
        time.sleep(0.005)
        late_ms.append((now_ns() - due_ns) / 1e6)
    p50, p99 = np.percentile(late_ms, [50, 99])
    text = f"timer wakes p50 {p50:.2f} ms, p99 {p99:.2f} ms late"
    if p99 > 1000 / FRAME_RATE_HZ / 2:
        yield Finding("warning", text, "close other programs; on a laptop plug in the mains")
    else:
        yield Finding("ok", text)


def check_backend(dancer: Dancer) -> Iterator[Finding]:
    """Time the computation of tokens against the time that they have."""
    performance = Performance(dancer, dancer.session())
    budget_ms = 1000.0 * dancer.manifest.frames_per_token / FRAME_RATE_HZ
    samples_per_token = round(budget_ms / 1000 * performance.sample_rate_hz)
    noise = np.random.default_rng(0).normal(0, 0.1, (TOKENS_TIMED + 10, samples_per_token))
    took_ms = []
    for samples in noise.astype(np.float32):
        started_ns = now_ns()
        performance.feed(samples)
        took_ms.append((now_ns() - started_ns) / 1e6)
    p50, p99 = np.percentile(took_ms[10:], [50, 99])
    text = (
        f"model {dancer.manifest.name} on {dancer.backend.name}: a token takes p50 {p50:.1f} ms, "
        f"p99 {p99:.1f} ms of {budget_ms:.0f} ms"
    )
    if p99 >= _WARN_FROM_SHARE * budget_ms:
        yield Finding("failure", text, "close other programs, or use a smaller model with --model")
    elif p99 >= _NOTE_FROM_SHARE * budget_ms:
        yield Finding("warning", text, f"give the dance more time: bailando-live --delay {60 + p99:.0f}")
    else:
        yield Finding("ok", text)


def check_devices(wanted: str | None) -> Iterator[Finding]:
    """List the devices that record, and listen to one of them.

    Parameters
    ----------
    wanted : str, optional
        Name or index of the device to listen to; None takes the default one.
    """
    try:
        devices = list_input_devices()
    except BailandoError as error:
        found, _, advice = str(error).partition("; ")
        yield Finding("warning", found, f"{advice or 'install PortAudio'}; songs from files work without")
        return
    for device in devices:
        mark = " (default)" if device.is_default else ""
        yield Finding("ok", f"device {device.index}: {device.name}{mark}, {device.sample_rate_hz} Hz")
    defaults = [str(device.index) for device in devices if device.is_default]
    chosen = wanted or (defaults[0] if defaults else None)
    if chosen is None:
        yield Finding(
            "warning", "no default device that records", "plug one in; songs from files work without"
        )
        return
    yield _level(DeviceSource(chosen))


def _level(source: DeviceSource) -> Finding:
    """Listen for a moment and judge the level."""
    blocks = []
    try:
        source.start()
        ends_ns = now_ns() + int(_LISTEN_S * NS_PER_SECOND)
        while now_ns() < ends_ns and (block := source.read()) is not None:
            blocks.append(block)
    finally:
        source.stop()
        source.close()
    heard = np.concatenate(blocks) if blocks else np.zeros(1, np.float32)
    peak, rms = float(np.abs(heard).max()), float(np.sqrt(np.mean(np.square(heard, dtype=np.float64))))
    dbfs = 20 * np.log10(max(rms, 1e-9))
    text = f"{source.name}: level {dbfs:.0f} dBFS, peak {20 * np.log10(max(peak, 1e-9)):.0f} dBFS"
    if peak >= _CLIPPED:
        return Finding("warning", text, "it clips: turn the input down")
    if dbfs < _QUIET_DBFS:
        return Finding("warning", text, "silence: play music, unmute the input or turn it up")
    return Finding("ok", text)


def check_ports(tcp_ports: Sequence[int], udp_ports: Sequence[int]) -> Iterator[Finding]:
    """Tell whether ports that bailando-live may open on this machine are free."""
    for kind, ports in ((socket.SOCK_STREAM, tcp_ports), (socket.SOCK_DGRAM, udp_ports)):
        name = "TCP" if kind == socket.SOCK_STREAM else "UDP"
        for port in ports:
            with socket.socket(socket.AF_INET, kind) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    advice = "stop the program that holds it, or choose another port"
                    yield Finding("warning", f"{name} port {port} is taken ({error.strerror})", advice)
                else:
                    yield Finding("ok", f"{name} port {port} is free")


def check_listener(destination: Destination) -> Iterator[Finding]:
    """Tell whether a program of this machine listens there; of other machines nothing can be known."""
    endpoint = destination.resolve()
    if not endpoint.is_loopback:
        yield Finding("ok", f"{destination} is another machine; whether it listens cannot be asked")
        return
    with endpoint.connect() as probe:
        refused = False
        for _ in range(3):
            try:
                probe.send(b"/bailando/ping\0\0,\0\0\0")
            except ConnectionRefusedError:
                refused = True
            time.sleep(0.02)
    if refused:
        yield Finding("warning", f"nobody listens at {destination}", "start the receiver, or check its port")
    else:
        yield Finding("ok", f"a program listens at {destination}")


def show_poses(sinks: Sequence[Sink], skeleton: Skeleton, seconds: float) -> Iterator[Finding]:
    """Send a T-pose and then a wave, each for `seconds`, at 60 frames a second."""
    count = max(1, round(seconds * FRAME_RATE_HZ))
    try:
        for sink in sinks:
            sink.open()
        origin_ns = now_ns()
        for number in range(2 * count):
            wait_ns = frame_due_ns(origin_ns, number) - now_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / NS_PER_SECOND)
            for sink in sinks:
                sink.send(_pose(skeleton, number, count))
    finally:
        for sink in sinks:
            sink.close()
    names = ", ".join(sink.name for sink in sinks)
    yield Finding(
        "ok",
        f"sent {2 * count} frames to {names}: {seconds:g} s of T-pose, then {seconds:g} s of waving",
        "look: upright, feet on the floor, facing you, waving with ITS left hand, which is on your right; "
        "mirrored, lying or turned away means wrong axes: see bailando-live --help-output",
    )


def _pose(skeleton: Skeleton, number: int, count: int) -> Frame:
    return t_pose(skeleton, number) if number < count else wave(skeleton, number)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
