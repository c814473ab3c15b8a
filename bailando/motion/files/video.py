"""Films of the dance: .mp4 with the song's sound and .gif, drawn without a window.

Needs the packages of ``bailando[video]``; ffmpeg runs as a program of its own.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg

from bailando.errors import ConfigError, InputError, OutputError
from bailando.motion.files.drawing import Painter
from bailando.motion.files.stage import capsule_ends, follow
from bailando.motion.motion import Motion

Progress = Callable[[float], None]

MP4_SIZE = (1280, 720)
GIF_SIZE = (480, 270)
GIF_FPS = 25.0
"""GIF counts time in hundredths of a second: 60 frames a second cannot be said in it."""

_MIN_PIXELS, _MAX_PIXELS = 16, 4096
_GIF_COLOURS = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:dither=none"


def write_mp4(
    path: str | os.PathLike[str],
    motion: Motion,
    song: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    size: tuple[int, int] = MP4_SIZE,
) -> None:
    """Write an H.264 film at the motion's own frame rate.

    Parameters
    ----------
    path : path
        File to write.
    motion : Motion
        What to film.
    song : path, optional
        Audio file whose sound is put beside it from the first frame on, as AAC.
    progress : callable, optional
        Called with the fraction that is done, 0 to 1.
    size : (int, int)
        Width and height, even numbers of pixels.

    Raises
    ------
    ConfigError
        If the size is impossible or there is no ffmpeg.
    InputError
        If there is no such song.
    OutputError
        If the film cannot be written.
    """
    sound: list[str] = []
    if song is not None:
        if not Path(song).is_file():
            raise InputError(f"song {song} not found; give the path of the audio file of the dance")
        sound = ["-i", f"file:{song}", "-map", "0:v", "-map", "1:a:0", "-c:a", "aac", "-b:a", "192k"]
    codec = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "19", "-pix_fmt", "yuv420p"]
    _film(path, motion, [*sound, *codec, "-movflags", "+faststart"], size, progress)


def write_gif(
    path: str | os.PathLike[str],
    motion: Motion,
    progress: Progress | None = None,
    size: tuple[int, int] = GIF_SIZE,
) -> None:
    """Write an endless GIF at `GIF_FPS` frames a second; parameters and errors as of `write_mp4`."""
    _film(path, motion.resample(GIF_FPS), ["-vf", _GIF_COLOURS, "-loop", "0"], size, progress)


def _film(
    path: str | os.PathLike[str],
    motion: Motion,
    encoding: Sequence[str],
    size: tuple[int, int],
    progress: Progress | None,
) -> None:
    """Pipe the pictures into ffmpeg."""
    if not all(_MIN_PIXELS <= pixels <= _MAX_PIXELS and pixels % 2 == 0 for pixels in size):
        raise ConfigError(f"film got size {size}; expected even numbers from {_MIN_PIXELS} to {_MAX_PIXELS}")
    pictures = _pictures(motion, *size)
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{motion.fps:g}"]
    command = [_ffmpeg(), "-y", "-nostdin", "-loglevel", "error", *raw, "-i", "pipe:", *encoding]
    with tempfile.TemporaryFile() as messages:
        encoder = subprocess.Popen(
            [*command, f"file:{path}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages
        )
        try:
            _feed(encoder, pictures, motion.frame_count, progress)
        finally:
            if encoder.poll() is None:
                encoder.kill()
            encoder.wait()
        if encoder.returncode:
            messages.seek(0)
            said = messages.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise OutputError(f"cannot write {path}: ffmpeg says {said[-1][:200]!r}; check the disk and song")


def _feed(
    encoder: subprocess.Popen[bytes], pictures: Iterator[bytes], count: int, progress: Progress | None
) -> None:
    """Give the encoder all pictures and wait until it is done; stop where it has ended before."""
    assert encoder.stdin is not None
    try:
        with encoder.stdin as pipe:
            for number, picture in enumerate(pictures, 1):
                pipe.write(picture)
                if progress is not None:
                    progress(number / count)
    except BrokenPipeError:
        pass  # its exit code and its message say why
    encoder.wait()


def _pictures(motion: Motion, width: int, height: int) -> Iterator[bytes]:
    """The frames as rows of RGB bytes."""
    painter = Painter(motion.skeleton, width, height)
    centres = follow(motion)
    ends = capsule_ends(motion, painter.capsules)
    return (painter.paint(ends[frame], centres[frame]) for frame in range(motion.frame_count))


def _ffmpeg() -> str:
    """Path of the encoder that imageio-ffmpeg brings, or that IMAGEIO_FFMPEG_EXE names."""
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise ConfigError("no ffmpeg for this machine; install it or set IMAGEIO_FFMPEG_EXE") from None
