"""Ableton Link as the source of tempo and phase: the beat of the other musicians on the network.

A member of the session runs as a process of its own (`bailando.engine.link_peer`): the library is GPL, and it
keeps its threads out of ours. It never sets the tempo, it only follows.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from importlib.util import find_spec

from bailando.engine.control import Controls
from bailando.engine.tempo import SharedBeat
from bailando.errors import ConfigError

_LIBRARY = "aalink"
_END_S = 2.0

_LOG = logging.getLogger(__name__)


class LinkFollower:
    """Gives the beat of a Link session to the dance while there is anybody else in it.

    Parameters
    ----------
    controls : Controls
        Where the dance takes it, at token boundaries.

    Raises
    ------
    ConfigError
        If the package aalink is missing.
    """

    def __init__(self, controls: Controls) -> None:
        if find_spec(_LIBRARY) is None:
            raise ConfigError(
                "--link needs the package aalink, which is GPL software and runs as a program of its own; "
                "pip install 'bailando[link]'"
            )
        self._controls = controls
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bailando.engine.link_peer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._closed = False
        self._thread = threading.Thread(target=self._listen, name="bailando-link", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Leave the session; closing twice is harmless."""
        self._closed = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._thread.is_alive():
            self._thread.join(_END_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _listen(self) -> None:
        """Hand each line on; the beat is left to the tracker when the last other member leaves."""
        follows = False
        for line in self._process.stdout or ():
            beat = parse_line(line)
            if beat is not None:
                self._controls.follow(beat)
            elif follows:
                self._controls.follow(None)
            follows = beat is not None
        if follows:
            self._controls.follow(None)
        if not self._closed:
            _LOG.warning("warning: the Ableton Link process ended; the beat tracker takes over")


def parse_line(line: str) -> SharedBeat | None:
    """Read a line of `bailando.engine.link_peer`; None if its member is alone.

    Raises
    ------
    ValueError
        If it is none.
    """
    time_ns, bpm, beat, peers = line.split()
    return SharedBeat(float(bpm), float(beat), int(time_ns)) if int(peers) else None
