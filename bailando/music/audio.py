"""Audio files of any rate and channel count as mono float32 blocks, and streaming resampling.

A file is never loaded whole unless `load_mono` is asked for it, and the samples at the target rate
do not depend on how the input was cut into blocks: the offline and the live path see the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from bailando.errors import InputError

Samples = NDArray[np.float32]

BLOCK_FRAMES = 16384
MAX_STREAM_S = 6 * 3600.0
MAX_LOAD_S = 2 * 3600.0
MIN_RATE_HZ = 2000
MAX_RATE_HZ = 768_000
_ALL_NAN_PATIENCE_S = 10.0


class _ForwardFile(sf.SoundFile):  # type: ignore[misc]
    """A sound file that is only read forwards.

    soundfile seeks to where it already is after every read of a seekable file; in an mp3 that loses
    the decoder's overlap and puts a gap at every block.
    """

    def seekable(self) -> bool:
        """Say no, so that no seek happens between reads."""
        return False


class StreamResampler:
    """Resample a mono stream from one fixed rate to another (libsoxr, linear phase).

    Output sample k always stands for the input at time k / out_rate_hz: the filter's group delay is
    already taken out, only the *emission* is late. Between calls at most `max_delay_s` of audio is
    held back (about 20 ms from 44.1 or 48 kHz, 40 ms from 8 kHz, none between equal rates). The
    output is bit-identical for every way of cutting the input into blocks.

    Parameters
    ----------
    in_rate_hz, out_rate_hz
        Sample rates, Hz.

    Notes
    -----
    The ``LQ`` recipe of libsoxr halves the hold-back of ``HQ`` (39 ms at 44.1 kHz); its price is a
    pass band that ends at about 0.8 of the Nyquist frequency, above every mel band in use.
    """

    def __init__(self, in_rate_hz: int, out_rate_hz: int) -> None:
        for rate in (in_rate_hz, out_rate_hz):
            if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
                raise InputError(
                    f"sample rate {rate} Hz: expected {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; convert it first"
                )
        self.in_rate_hz = in_rate_hz
        self.out_rate_hz = out_rate_hz
        self._consumed = 0
        self._produced = 0
        self._stream: soxr.ResampleStream | None = None
        if in_rate_hz != out_rate_hz:
            self._stream = soxr.ResampleStream(in_rate_hz, out_rate_hz, 1, dtype="float32", quality="LQ")

    @property
    def max_delay_s(self) -> float:
        """Upper bound of the audio held back between calls, seconds."""
        if self._stream is None:
            return 0.0
        return 0.021 if self.in_rate_hz > self.out_rate_hz else 325.0 / self.in_rate_hz

    @property
    def pending_s(self) -> float:
        """Audio taken in and not yet given out, seconds."""
        return self._consumed / self.in_rate_hz - self._produced / self.out_rate_hz

    def process(self, samples: Samples) -> Samples:
        """Take input samples (n,), return the output samples (m,) that are ready; m may be 0."""
        return self._run(np.ascontiguousarray(samples, dtype=np.float32), last=False)

    def finish(self) -> Samples:
        """Return what is left at the end of the stream; the resampler is then ready for a new one."""
        tail = self._run(np.empty(0, dtype=np.float32), last=True)
        self.reset()
        return tail

    def reset(self) -> None:
        """Forget the stream so far."""
        self._consumed = self._produced = 0
        if self._stream is not None:
            self._stream.clear()

    def _run(self, samples: Samples, *, last: bool) -> Samples:
        if self._stream is None:
            output = samples
        else:
            output = np.asarray(self._stream.resample_chunk(samples, last=last), dtype=np.float32)
        self._consumed += len(samples)
        self._produced += len(output)
        return output


class AudioFile:
    """A wav, flac, ogg or mp3 file, read block by block as mono float32.

    Channels are averaged. Samples that are NaN or infinite become 0 and are counted in
    `replaced_samples`.

    Parameters
    ----------
    path
        The file.
    max_duration_s
        Files longer than this are refused.

    Raises
    ------
    InputError
        No such file, a folder, not audio, empty, too long, or an unusable sample rate.
    """

    def __init__(self, path: str | Path, max_duration_s: float = MAX_STREAM_S) -> None:
        self.path = Path(path)
        self.max_duration_s = max_duration_s
        self.replaced_samples = 0
        self._file = _open(self.path)
        try:
            self._check()
        except InputError:
            self._file.close()
            raise

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of the file, Hz."""
        return int(self._file.samplerate)

    @property
    def channels(self) -> int:
        """Number of channels in the file."""
        return int(self._file.channels)

    @property
    def duration_s(self) -> float:
        """Length by the file's header, seconds."""
        return float(self._file.frames) / self.sample_rate_hz

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    def blocks(self, block_frames: int = BLOCK_FRAMES) -> Iterator[Samples]:
        """Yield the file from its start as mono blocks (n,), n <= block_frames.

        Raises
        ------
        InputError
            The file is corrupt at some point, holds no finite sample, or runs past the limit.
        """
        self.replaced_samples = 0
        self._file.close()
        self._file = _open(self.path)
        done = 0
        while len(block := self._read(block_frames, done)):
            finite = np.isfinite(block)
            if not finite.all():
                self.replaced_samples += int(block.size - np.count_nonzero(finite))
                block = np.where(finite, block, np.float32(0))
            done += len(block)
            if done > self.max_duration_s * self.sample_rate_hz:
                raise self._too_long(done / self.sample_rate_hz)
            self._refuse_all_nan(done, done > _ALL_NAN_PATIENCE_S * self.sample_rate_hz)
            yield np.ascontiguousarray(block.mean(axis=1, dtype=np.float32))
        self._refuse_all_nan(done, True)
        if done == 0:
            raise InputError(
                f"{self.path}: no audio could be decoded; expected a playable file; re-encode it"
            )

    def resampled(self, sample_rate_hz: int, block_frames: int = BLOCK_FRAMES) -> Iterator[Samples]:
        """Yield the whole file at another rate, end included, as mono blocks of varying length."""
        resampler = StreamResampler(self.sample_rate_hz, sample_rate_hz)
        for block in self.blocks(block_frames):
            yield resampler.process(block)
        yield resampler.finish()

    def _check(self) -> None:
        rate = self.sample_rate_hz
        if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
            raise InputError(
                f"{self.path}: sample rate {rate} Hz; expected {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; convert it"
            )
        if self._file.frames <= 0:
            raise InputError(f"{self.path}: 0 s of audio; expected some sound; give another file")
        if self.duration_s > self.max_duration_s:
            raise self._too_long(self.duration_s)

    def _too_long(self, duration_s: float) -> InputError:
        return InputError(
            f"{self.path}: at least {duration_s / 3600:.1f} h long, expected at most "
            f"{self.max_duration_s / 3600:.1f} h; cut it into parts or play it into a live input"
        )

    def _refuse_all_nan(self, done: int, heard_enough: bool) -> None:
        if heard_enough and done and self.replaced_samples == done * self.channels:
            raise InputError(
                f"{self.path}: every sample is NaN or infinite; expected sound; export the audio again"
            )

    def _read(self, frames: int, done: int) -> NDArray[np.float32]:
        """Read the next (n, channels) after `done` frames."""
        try:
            block: NDArray[np.float32] = self._file.read(frames, dtype="float32", always_2d=True)
            return block
        except (sf.SoundFileError, RuntimeError) as error:
            raise InputError(
                f"{self.path}: corrupt after {done / self.sample_rate_hz:.1f} s ({_one_line(error)}); "
                "re-encode or replace the file"
            ) from error


def load_mono(path: str | Path, sample_rate_hz: int, max_duration_s: float = MAX_LOAD_S) -> Samples:
    """Load a whole file as mono float32 at a given rate.

    Parameters
    ----------
    path
        A wav, flac, ogg or mp3 file.
    sample_rate_hz
        Rate of the result, Hz.
    max_duration_s
        Longer files are refused, since the whole song is held in memory.

    Returns
    -------
    ndarray, (n,), float32
        The samples, bit-identical to the concatenated blocks of `AudioFile.resampled`.

    Raises
    ------
    InputError
        As `AudioFile`.
    """
    with AudioFile(path, max_duration_s) as audio:
        return np.concatenate(list(audio.resampled(sample_rate_hz)))


def _open(path: Path) -> _ForwardFile:
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected an audio file (wav, flac, ogg, mp3)")
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    try:
        return _ForwardFile(path)
    except (sf.SoundFileError, RuntimeError, TypeError, OSError) as error:
        raise InputError(
            f"{path}: no audio in it ({_one_line(error)}); expected wav, flac, ogg or mp3; convert it first"
        ) from error


def _one_line(error: Exception) -> str:
    text = str(error).strip()
    return " ".join(text.rsplit(":", 1)[-1].split()) or type(error).__name__
