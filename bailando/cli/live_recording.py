"""Recording of a live run on the command line: ``--record`` and the files that are made at its end."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bailando.errors import BailandoError

if TYPE_CHECKING:
    from bailando.engine.recording import Recorder
    from bailando.engine.sources import Source
    from bailando.motion.files.registry import FileFormat
    from bailando.motion.skeleton import Skeleton

DEFAULT_FORMATS = "npz,bvh,glb"


def add_recording_options(group: argparse._ArgumentGroup) -> None:
    """Add ``--record``; ``--record-format`` is on the page of ``--help-output``."""
    group.add_argument("--record", metavar="DIR", type=Path, help="keep dance and sound; also after a crash")
    group.add_argument("--record-format", default=DEFAULT_FORMATS, help=argparse.SUPPRESS)


@contextmanager
def recording(options: argparse.Namespace, skeleton: Skeleton, source: Source) -> Iterator[Recorder | None]:
    """Record while the block runs, if asked to; at its end, however it ends, write the motion files.

    Yields
    ------
    Recorder or None
        Its `source` and `sinks`, one for each dancer, take part in the run.

    Raises
    ------
    BailandoError
        If the folder or a format cannot be used.
    """
    if options.record is None:
        yield None
        return
    from bailando.engine.recording import Recorder
    from bailando.motion.files.registry import formats_of_names

    formats = formats_of_names(options.record_format, "--record-format")
    recorder = Recorder(options.record, skeleton, source, options.dancers)
    try:
        yield recorder
    finally:
        recorder.close()
        written = [path for take in recorder.take_paths for path in _write_files(take, formats)]
        if not (options.quiet or options.json):
            names = ", ".join(str(path) for path in (*recorder.take_paths, recorder.sound_path, *written))
            lost = f"; {recorder.failures} writes failed" if recorder.failures else ""
            print(f"recorded {names}{lost}", flush=True)


def _write_files(take: Path, formats: Sequence[FileFormat]) -> list[Path]:
    """Turn a take into motion files beside it; what fails is said and can be made again from the take."""
    from bailando.motion.files import write_motion
    from bailando.motion.files.take import read_take
    from bailando.motion.files.take_names import sound_path

    written: list[Path] = []
    try:
        motion = read_take(take)
        for kind in formats:
            path = take.with_name(take.stem + kind.suffix)
            options = {"song": sound_path(take)} if "song" in kind.options else {}
            write_motion(path, motion, **options)
            written.append(path)
    except BailandoError as error:
        print(f"bailando-live: {error}; the take is kept: bailando-generate {take} -o FILE")
    return written
