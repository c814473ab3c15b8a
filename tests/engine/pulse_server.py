"""A real PulseAudio server with null sinks, on a socket of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 48000


class PulseServer:
    """Starts, kills and starts again; `environment` is what its clients need.

    `latency_ms` is what they ask of it; ALSA clients that play underrun below some 30.
    """

    def __init__(self, sinks: tuple[str, ...] = ("bailando",), latency_ms: int = 10) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pulse"))
        self._sinks = sinks
        self._process: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.folder),
            "HOME": str(self.folder),
            "PULSE_SERVER": f"unix:{self.folder}/native",
            "PULSE_LATENCY_MSEC": str(latency_ms),
        }

    @staticmethod
    def missing() -> str:
        """Return what is not installed, or nothing."""
        programs = [name for name in ("pulseaudio", "pactl", "paplay") if shutil.which(name) is None]
        return ", ".join(programs)

    def start(self, rate_hz: int = RATE) -> None:
        """Start the server and wait until it answers."""
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error"]
        command += [f"--load=module-native-protocol-unix socket={self.folder}/native auth-anonymous=1"]
        command += [
            f"--load=module-null-sink sink_name={name} rate={rate_hz} channels=2" for name in self._sinks
        ]
        self._process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            if self.control("info").returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError("PulseAudio does not answer")

    def control(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run pactl."""
        return subprocess.run(
            ["pactl", *arguments], env=self.environment, capture_output=True, timeout=10, check=False
        )

    def play(self, samples: np.ndarray, sink: str = "bailando") -> None:
        """Play mono samples at 48 kHz into a sink, without waiting."""
        path = self.folder / f"play{len(self._players)}.wav"
        soundfile.write(path, samples, RATE)
        self._players.append(
            subprocess.Popen(
                ["paplay", "--latency-msec=10", f"--device={sink}", str(path)],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def kill(self) -> None:
        """Kill the server without warning, as a pulled plug would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let the server stand still: streams stay open, and nothing comes through them."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End everything and leave no files."""
        for player in self._players:
            player.kill()
            player.wait()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
