"""Where sound comes from: files paced like a sound card; devices are in `bailando.engine.devices`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from bailando._native import now_ns
from bailando.errors import ConfigError, InputError
from bailando.music.audio import AudioFile, StreamResampler

Samples = NDArray[np.float32]
AtEnd = Literal["stop", "loop", "next"]
AT_END: tuple[AtEnd, ...] = get_args(AtEnd)

NS_PER_SECOND = 1_000_000_000
BLOCKS_PER_SECOND = 100


@dataclass(frozen=True)
class SourceReport:
    """What a source has been through.

    Attributes
    ----------
    title : str
        What sounds now.
    connected : bool
        False while a device is away; the source gives silence meanwhile.
    lost_samples : int
        Samples that the device or the ring lost.
    replaced_samples : int
        NaN and infinite samples that the source itself made silent.
    reconnects : int
        How often the device came back.
    skipped_songs : int
        Songs of a list that could not be played.
    drift_ppm : float
        By how much the card's seconds are longer than the host's, parts per million.
    slewed_ns : int
        How far the clock has walked after that drift.
    latency_ns : int
        From the sound at the device to its arrival here, beyond the length of a block.
    """

    title: str
    connected: bool = True
    lost_samples: int = 0
    replaced_samples: int = 0
    reconnects: int = 0
    skipped_songs: int = 0
    drift_ppm: float = 0.0
    slewed_ns: int = 0
    latency_ns: int = 0


class Source(Protocol):
    """A mono stream whose sample count is the clock of the show.

    One thread calls `start`, `read` and `close`; the others may be called from any thread.
    """

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples, Hz; it never changes."""

    @property
    def origin_ns(self) -> int:
        """When sample 0 sounds, on the clock of `bailando._native.now_ns`; known once started."""

    def report(self) -> SourceReport:
        """Return what the source has been through."""

    def start(self) -> None:
        """Begin; the clock runs from here."""

    def read(self) -> Samples | None:
        """Wait for the next samples (n,); None at the end or after `stop`."""

    def skip(self) -> None:
        """Go on to the next song; raises ConfigError where there is none."""

    def stop(self) -> None:
        """Make `read` return None soon."""

    def close(self) -> None:
        """Let go of the file or device; closing twice is harmless."""


class FileSource:
    """Audio files, given out in real time as a sound card would: no block before its last sample.

    Parameters
    ----------
    songs : str, Path or sequence of them
        wav, flac, ogg or mp3. Songs follow each other without a gap, at the sample rate of the first.
    at_end : {"stop", "loop", "next"}
        At the end of a song: go on and stop after the last; the same again; go on, the first after
        the last.

    Raises
    ------
    InputError
        If there is no song or the first cannot be used (`AudioFile`). Later ones that cannot are
        skipped and counted.
    """

    def __init__(self, songs: str | Path | Sequence[str | Path], at_end: AtEnd = "stop") -> None:
        paths = [songs] if isinstance(songs, str | Path) else list(songs)
        if not paths:
            raise InputError("got no song; give at least one")
        if at_end not in AT_END:
            raise ConfigError(f"at the end of a song: got {at_end!r}; choose {', '.join(AT_END)}")
        self._paths = paths
        self._at_end = at_end
        self._audio: AudioFile | None = AudioFile(paths[0])
        self.name = str(paths[0]) if len(paths) == 1 else f"{len(paths)} songs"
        self.sample_rate_hz = self._audio.sample_rate_hz
        self.origin_ns = 0
        self._title = str(paths[0])
        self._stopped = threading.Event()
        self._skip = threading.Event()
        self._blocks = self._all_blocks()
        self._given = 0
        self._replaced = 0
        self._skipped_songs = 0

    def report(self) -> SourceReport:
        """Return what sounds and what was replaced or skipped."""
        now_replaced = self._audio.replaced_samples if self._audio is not None else 0
        return SourceReport(
            title=self._title,
            replaced_samples=self._replaced + now_replaced,
            skipped_songs=self._skipped_songs,
        )

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

    def skip(self) -> None:
        """Go on to the next song, from the next block on; a single song begins again."""
        self._skip.set()

    def stop(self) -> None:
        """Make `read` return None at once."""
        self._stopped.set()

    def close(self) -> None:
        """Close the file."""
        if self._audio is not None:
            self._replaced += self._audio.replaced_samples
            self._audio.close()
            self._audio = None

    def _all_blocks(self) -> Iterator[Samples]:
        """Yield all songs, one after another, as the end of each says."""
        number, unplayable = 0, 0
        while unplayable < len(self._paths):
            if self._open(number):
                unplayable = 0
                yield from self._song_blocks()
            else:
                unplayable += 1
            again = self._at_end == "loop" and not self._skip.is_set() and not unplayable
            number += 0 if again else 1
            if number == len(self._paths):
                if self._at_end == "stop" and not self._skip.is_set():
                    return
                number = 0
            self._skip.clear()
        raise InputError(f"{self.name}: none can be played any more; check the files")

    def _open(self, number: int) -> bool:
        """Make a song the current one; whether that worked."""
        path = self._paths[number]
        if self._audio is not None and self._audio.path == Path(path):
            return True
        self.close()
        try:
            self._audio = AudioFile(path)
        except InputError:
            self._skipped_songs += 1
            return False
        self._title = str(path)
        return True

    def _song_blocks(self) -> Iterator[Samples]:
        """Yield the current song at the rate of the first, until it ends or is skipped."""
        assert self._audio is not None
        rate_hz = self._audio.sample_rate_hz
        resampler = StreamResampler(rate_hz, self.sample_rate_hz)
        earlier = self._replaced
        try:
            for block in self._audio.blocks(max(1, rate_hz // BLOCKS_PER_SECOND)):
                if self._skip.is_set():
                    break
                yield resampler.process(block)
            else:
                if len(tail := resampler.finish()):
                    yield tail
        except InputError:
            if len(self._paths) == 1:
                raise
            self._skipped_songs += 1
        self._replaced = earlier + self._audio.replaced_samples
        self._audio.replaced_samples = 0
