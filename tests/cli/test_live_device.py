"""bailando-live on a real sound server: the null sink of PulseAudio."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engine.pulse_server import RATE, PulseServer

pytestmark = pytest.mark.real_time
SO_TIMESTAMPNS = 35  # Linux
STANDSTILL_S = 4.0
FRAME_MESSAGE = b"/bailando/frame\0,i\0\0"
LIVE = [sys.executable, "-m", "bailando.cli.live"]


@pytest.fixture
def latency_ms() -> int:
    """What clients ask of the sound server; tests that play through ALSA ask for more."""
    return 10


@pytest.fixture
def server(latency_ms: int) -> Iterator[PulseServer]:
    if missing := PulseServer.missing():
        pytest.skip(f"PulseAudio is not installed ({missing})")
    running = PulseServer(("first", "second"), latency_ms)
    running.start()
    probe = subprocess.run(
        [*LIVE, "--list-devices"], env=running.environment, capture_output=True, text=True, check=False
    )
    if "pulse" not in probe.stdout:
        running.close()
        pytest.skip("PortAudio does not see PulseAudio here (libasound2-plugins)")
    yield running
    running.close()


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def live(server: PulseServer, bundle: Path, port: int, *options: str) -> subprocess.Popen[str]:
    command = [*LIVE, "--model", str(bundle), "--no-vmc", "--osc", f"127.0.0.1:{port}", "--json"]
    command += ["--delay", "300", *options]
    return subprocess.Popen(
        command, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def statuses_until(
    process: subprocess.Popen[str], wanted: object, seconds: float = 30.0
) -> dict[str, object]:
    """Read status lines until one fits."""
    assert process.stdout is not None
    deadline_s = time.monotonic() + seconds
    for line in process.stdout:
        status = json.loads(line)
        if wanted(status):  # type: ignore[operator]
            return dict(status)
        assert time.monotonic() < deadline_s, f"never came: last {line}"
    raise AssertionError(f"ended: {process.stderr.read() if process.stderr else ''}")


class FrameNumbers:
    """Collects the numbers of all frames that reach a port, with the kernel's time of each."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.arrivals_s: list[float] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._collect)

    def __enter__(self) -> FrameNumbers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._socket.close()

    def _collect(self) -> None:
        """Read until nothing comes any more; of a bundle only the frame's number, for speed."""
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(65536, 64)
            except TimeoutError:
                if self._done.is_set():
                    return
                continue
            if (start := data.find(FRAME_MESSAGE)) >= 0:
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                self.numbers.append(struct.unpack_from(">i", data, start + len(FRAME_MESSAGE))[0])
                self.arrivals_s.append(seconds + nanoseconds * 1e-9)


def test_server_killed_and_started_again_costs_no_frame(server: PulseServer, bundle_path: Path) -> None:
    server.environment["PULSE_SOURCE"] = "first.monitor"
    server.play(noise(60), "first")
    with FrameNumbers() as got:
        process = live(server, bundle_path, got.port, "--audio-device", "pulse")
        try:
            statuses_until(process, lambda status: status["level"] > 0 and status["time_s"] > 1)
            server.kill()
            statuses_until(process, lambda status: not status["connected"])
            gone = statuses_until(process, lambda status: status["idle"])
            server.start(44100)
            server.play(noise(60), "first")
            back = statuses_until(process, lambda status: status["reconnects"] and not status["idle"])
        finally:
            process.terminate()
            process.communicate(timeout=20)
    numbers = got.numbers
    assert process.returncode == 0
    assert back["frames"] > gone["frames"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) >= back["frames"] - 1
    # Sixty a second throughout: a frame is due 16.7 ms after the one before, whatever the sound does.
    assert np.diff(got.arrivals_s).max() < 0.25
    assert (len(numbers) - 1) / (got.arrivals_s[-1] - got.arrivals_s[0]) == pytest.approx(60.0, abs=1.5)


def loudness(server: PulseServer, sink: str, seconds: float) -> float:
    """Return how loud it is in a sink for so long, RMS."""
    recording = subprocess.run(
        ["timeout", str(seconds), "parec", "--format=float32le", "--channels=1", f"--device={sink}.monitor"],
        env=server.environment,
        capture_output=True,
        check=False,
    ).stdout
    samples = np.frombuffer(recording[: len(recording) // 4 * 4], np.float32)
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0


@pytest.mark.parametrize("latency_ms", [40])
def test_sound_that_is_played_comes_back_with_the_server(server: PulseServer, bundle_path: Path) -> None:
    """Input and output lose their device at once and search for it side by side."""
    server.environment |= {"PULSE_SOURCE": "first.monitor", "PULSE_SINK": "second"}
    server.play(noise(60), "first")
    with FrameNumbers() as got:
        process = live(server, bundle_path, got.port, "--audio-device", "pulse", "--audio-out", "pulse")
        try:
            statuses_until(process, lambda status: status["level"] > 0 and status["time_s"] > 2)
            before = loudness(server, "second", 1.0)
            server.kill()
            statuses_until(process, lambda status: not status["connected"])
            gone = statuses_until(process, lambda status: status["idle"])
            time.sleep(3.0)  # devices are looked for anew from the second time on
            server.start()
            server.play(noise(60), "first")
            statuses_until(process, lambda status: status["reconnects"] and not status["idle"])
            after = max(loudness(server, "second", 1.0) for _ in range(8))
            back = statuses_until(process, lambda status: status["connected"])
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert back["frames"] > gone["frames"]
    assert got.numbers == list(range(got.numbers[0], got.numbers[0] + len(got.numbers)))
    assert before > 0.01
    assert after == pytest.approx(before, rel=0.5)


def test_stream_that_stands_still_costs_no_frame(server: PulseServer, bundle_path: Path) -> None:
    server.environment["PULSE_SOURCE"] = "first.monitor"
    server.play(noise(60 + STANDSTILL_S), "first")
    with FrameNumbers() as got:
        process = live(server, bundle_path, got.port, "--audio-device", "pulse")
        try:
            statuses_until(process, lambda status: status["level"] > 0 and status["time_s"] > 1)
            server.freeze()
            time.sleep(STANDSTILL_S)
            server.thaw()
            statuses_until(process, lambda status: status["connected"] and not status["idle"])
            statuses_until(process, lambda status: status["level"] > 0 and status["connected"])
        finally:
            server.thaw()
            process.terminate()
            process.communicate(timeout=20)
    numbers = got.numbers
    assert process.returncode == 0
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert (len(numbers) - 1) / (got.arrivals_s[-1] - got.arrivals_s[0]) == pytest.approx(60.0, abs=1.5)


@pytest.mark.parametrize("latency_ms", [40])
@pytest.mark.parametrize("standstill_s", [0.2, STANDSTILL_S], ids=["just now", "long ago"])
def test_show_ends_while_the_sound_server_stands_still(
    standstill_s: float, server: PulseServer, bundle_path: Path
) -> None:
    server.environment |= {"PULSE_SOURCE": "first.monitor", "PULSE_SINK": "second"}
    server.play(noise(60), "first")
    process = live(server, bundle_path, 9, "--audio-device", "pulse", "--audio-out", "pulse")
    try:
        statuses_until(process, lambda status: status["level"] > 0 and status["time_s"] > 1)
        server.freeze()
        time.sleep(standstill_s)
        process.terminate()
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
        server.thaw()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_other_default_device_is_heard(server: PulseServer, bundle_path: Path) -> None:
    server.control("set-default-source", "first.monitor")
    server.play(noise(60), "second")
    process = live(server, bundle_path, 9, "--audio-device", "default")
    try:
        statuses_until(process, lambda status: status["idle"])
        server.control("set-default-source", "second.monitor")
        heard = statuses_until(process, lambda status: not status["idle"] and status["level"] > 0)
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert heard["connected"]


@pytest.mark.parametrize("latency_ms", [40])
def test_latency_is_measured_through_the_loop_of_a_sound_server(
    server: PulseServer, bundle_path: Path
) -> None:
    server.environment |= {"PULSE_SINK": "first", "PULSE_SOURCE": "first.monitor"}
    command = [*LIVE, "--latency-test", "--audio-out", "pulse", "--audio-device", "pulse", "--json"]
    command += ["--model", str(bundle_path), "--delay", "300"]
    result = subprocess.run(
        command, env=server.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["heard"] >= 0.7 * report["clicks"]  # a loaded machine's server drops some
    assert report["moved"] > 0
    total = report["latency"]["total"]
    # Not before the delay asked for, and not later than that, a token, and what the server adds.
    assert 150.0 < total["p50"] < 2000.0
    names = ("device", "features", "model", "queue", "send")
    parts = sum(report["latency"][part]["p50"] for part in names)
    assert parts == pytest.approx(total["p50"], abs=0.4 * total["p50"])
    # Of a wait of hundreds of milliseconds almost all is before the deadline.
    assert -5.0 < report["latency"]["send"]["p50"] < 0.2 * report["latency"]["queue"]["p50"]


@pytest.mark.parametrize("latency_ms", [40])
def test_latency_test_says_when_no_click_comes_back(server: PulseServer, bundle_path: Path) -> None:
    server.environment |= {"PULSE_SINK": "first", "PULSE_SOURCE": "second.monitor"}
    command = [*LIVE, "--latency-test", "--audio-out", "pulse", "--audio-device", "pulse"]
    result = subprocess.run(
        [*command, "--model", str(bundle_path)],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 2
    assert "clicks came back from" in result.stderr
