"""Where sound comes from: a file paced like a sound card; devices are in `bailando.engine.devices`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bailando._native import now_ns
from bailando.music.audio import AudioFile

Samples = NDArray[np.float32]

NS_PER_SECOND = 1_000_000_000
BLOCKS_PER_SECOND = 100


class Source(Protocol):
    """A mono stream whose sample count is the clock of the show.

    One thread calls `start`, `read` and `close`; `stop` may be called from any thread.
    """

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples, Hz."""

    @property
    def origin_ns(self) -> int:
        """When sample 0 sounds, on the clock of `bailando._native.now_ns`; known once started."""

    @property
    def lost_samples(self) -> int:
        """Samples that the device or the ring lost so far."""

    @property
    def replaced_samples(self) -> int:
        """NaN and infinite samples that the source itself made silent."""

    def start(self) -> None:
        """Begin; the clock runs from here."""

    def read(self) -> Samples | None:
        """Wait for the next samples (n,); None at the end or after `stop`."""

    def stop(self) -> None:
        """Make `read` return None soon."""

    def close(self) -> None:
        """Let go of the file or device; closing twice is harmless."""


class FileSource:
    """An audio file, given out in real time as a sound card would: no block before its last sample.

    Parameters
    ----------
    path : str or Path
        wav, flac, ogg or mp3.
    loop : bool
        Start the file again at its end, for ever.

    Raises
    ------
    InputError
        If the file cannot be used (`AudioFile`).
    """

    lost_samples = 0

    def __init__(self, path: str | Path, loop: bool = False) -> None:
        self._audio = AudioFile(path)
        self.name = str(path)
        self.sample_rate_hz = self._audio.sample_rate_hz
        self.origin_ns = 0
        self._loop = loop
        self._stopped = threading.Event()
        self._blocks = self._all_blocks()
        self._given = 0

    @property
    def replaced_samples(self) -> int:
        """NaN and infinite samples of the file that became silence."""
        return self._audio.replaced_samples

    def start(self) -> None:
        """Let the first sample sound now."""
        self.origin_ns = now_ns()

    def read(self) -> Samples | None:
        """Wait until the next 10 ms have sounded and return them; None at the end."""
        if self._stopped.is_set():
            return None
        block = next(self._blocks, None)
        if block is None:
            return None
        self._given += len(block)
        sounded_ns = self.origin_ns + self._given * NS_PER_SECOND // self.sample_rate_hz
        wait_ns = sounded_ns - now_ns()
        if wait_ns > 0 and self._stopped.wait(wait_ns / NS_PER_SECOND):
            return None
        return block

    def stop(self) -> None:
        """Make `read` return None at once."""
        self._stopped.set()

    def close(self) -> None:
        """Close the file."""
        self._audio.close()

    def _all_blocks(self) -> Iterator[Samples]:
        block_frames = max(1, self.sample_rate_hz // BLOCKS_PER_SECOND)
        yield from self._audio.blocks(block_frames)
        while self._loop:
            yield from self._audio.blocks(block_frames)
