"""Recording a live run: the dance and its sound, appended to files as they happen."""

from __future__ import annotations

import io
import queue
import struct
import threading
from datetime import datetime
from pathlib import Path

import numpy as np

from bailando.engine.frame import FRAME_RATE_HZ, Frame
from bailando.engine.overheard import overheard
from bailando.engine.sinks.base import SinkCounters
from bailando.engine.sources import Samples, Source
from bailando.errors import OutputError
from bailando.motion.files.take import TakeWriter
from bailando.motion.files.take_names import sound_path, take_path
from bailando.motion.skeleton import Skeleton

_PCM_FULL_SCALE = 32767.0
_MAX_DATA_BYTES = 2**32 - 1 - 44
_WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")

_Entry = tuple[int, Frame] | Samples
"""A frame with the number of its dancer, or a block of sound."""


class WavWriter:
    """A mono 16-bit .wav whose header is true after every block, whatever ends the program.

    Parameters
    ----------
    path : Path
        The file, which must not exist.
    sample_rate_hz : int

    Raises
    ------
    OutputError
        If the file cannot be made.
    """

    def __init__(self, path: Path, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._bytes = 0
        try:
            self._stream = io.FileIO(path, "x")
            self._write_header()
        except OSError as error:
            raise OutputError(f"cannot record to {path} ({error.strerror}); choose another folder") from None

    def write(self, samples: Samples) -> int:
        """Append samples (n,) in [-1, 1], clipped; return how many no longer fit into the format.

        Raises
        ------
        OSError
            If the disk does not take them.
        """
        room = (_MAX_DATA_BYTES - self._bytes) // 2
        pcm = np.rint(np.clip(np.nan_to_num(samples[:room]), -1.0, 1.0) * _PCM_FULL_SCALE).astype("<i2")
        self._stream.write(pcm.tobytes())
        self._bytes += pcm.nbytes
        self._write_header()
        return len(samples) - len(pcm)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._stream.close()

    def _write_header(self) -> None:
        """Say at the beginning how long the file is now, and return to its end."""
        rate_hz, size = self._rate_hz, self._bytes
        self._stream.seek(0)
        format_chunk = (b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
        self._stream.write(_WAV_HEADER.pack(b"RIFF", 36 + size, b"WAVE", *format_chunk, b"data", size))
        self._stream.seek(0, 2)


class Recorder:
    """Writes one live run into a folder: ``NAME.take`` and ``NAME.wav``, from a thread of its own.

    Of several dancers each has a take: ``NAME-dancer1.take`` and so on. Neither the dance nor the output
    waits for the disk. Frame n of a take belongs to sample n·rate/60 of the sound.

    Parameters
    ----------
    folder : Path
        Made if missing.
    skeleton : Skeleton
    source : Source
        The sound; `source` of this object takes its place and keeps a copy of what is read.
    dancers : int
        How many dance; each has one of `sinks`, in order.

    Raises
    ------
    OutputError
        If the files cannot be made.
    """

    def __init__(self, folder: Path, skeleton: Skeleton, source: Source, dancers: int = 1) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder} ({error.strerror}); choose another") from None
        self.take_paths = _free_paths(folder, dancers)
        self.sound_path = sound_path(self.take_paths[0])
        about = {"title": source.name}
        self._takes = [TakeWriter(path, skeleton, FRAME_RATE_HZ, about) for path in self.take_paths]
        self._sound = WavWriter(self.sound_path, source.sample_rate_hz)
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self.failures = 0
        self.source = overheard(source, lambda block: self._queue.put(block.copy()))
        self.sinks = [
            RecordSink(f"record {path}", number, self._queue) for number, path in enumerate(self.take_paths)
        ]
        self._thread = threading.Thread(target=self._write_all, name="bailando-recorder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits and close the files; closing twice is harmless."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        for take in self._takes:
            take.close()
        self._sound.close()

    def _write_all(self) -> None:
        while (entry := self._queue.get()) is not None:
            try:
                if isinstance(entry, tuple):
                    dancer, frame = entry
                    self._takes[dancer].write(
                        frame.number, frame.rotations, frame.root_position, frame.contacts
                    )
                else:
                    self.failures += self._sound.write(entry) > 0
            except OSError:
                self.failures += 1  # a full disk must not stop the show


class RecordSink:
    """Hands the frames of one dancer to the recorder's thread; a sink like any other."""

    def __init__(self, name: str, dancer: int, frames: queue.SimpleQueue[_Entry | None]) -> None:
        self.name = name
        self._dancer = dancer
        self.counters = SinkCounters()
        self._frames = frames

    def open(self) -> None:
        """Nothing to do: the files are open."""

    def send(self, frame: Frame) -> None:
        """Take one frame; never waits."""
        self.counters.frames += 1
        self._frames.put((self._dancer, frame))

    def close(self) -> None:
        """Nothing to do: the recorder closes the files when the sound has ended too."""


def _free_paths(folder: Path, dancers: int) -> list[Path]:
    """Return a path for each dancer, named after this moment, such that none of the files exists yet."""
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        paths = [take_path(folder, now + suffix, dancer, dancers) for dancer in range(dancers)]
        if not any(path.exists() for path in (*paths, sound_path(paths[0]))):
            return paths
    raise OutputError(f"{folder} holds a thousand recordings of this second; choose another folder")
