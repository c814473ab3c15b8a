"""Which songs become which files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bailando.errors import ConfigError, InputError, OutputError
from bailando.motion.files import FORMATS, file_format
from bailando.motion.files.registry import TAKE_SUFFIX, formats_of_names
from bailando.motion.files.take_names import sound_path

SONG_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3"})


@dataclass(frozen=True)
class Job:
    """A song and the files its dance is written to."""

    song: Path
    outputs: tuple[Path, ...]

    @property
    def is_take(self) -> bool:
        """Whether the dance was recorded live, so that it is read instead of danced."""
        return self.song.suffix.lower() == TAKE_SUFFIX

    @property
    def sound(self) -> Path | None:
        """The file with the sound: the song itself, or what was recorded beside a take, if it is there."""
        if not self.is_take:
            return self.song
        beside = sound_path(self.song)
        return beside if beside.is_file() else None

    def unfinished(self) -> Job:
        """The job without the files that exist; a file that exists is whole."""
        return Job(self.song, tuple(path for path in self.outputs if not path.is_file()))


def is_batch(songs: Sequence[Path], output: Path, formats: str | None) -> bool:
    """Tell whether the output is a folder for many files rather than one file."""
    return formats is not None or len(songs) > 1 or songs[0].is_dir() or output.is_dir()


def single_job(song: Path, output: Path) -> Job:
    """Return the job of one song and one named file.

    Raises
    ------
    ConfigError, OutputError
        If the suffix names no format or a package for it is missing, or there is no such folder.
    """
    file_format(output).check_installed()
    if not output.parent.is_dir():
        raise OutputError(f"cannot write {output}: there is no folder {output.parent}; make it first")
    return Job(song, (output,))


def batch_jobs(songs: Sequence[Path], folder: Path, formats: str | None) -> list[Job]:
    """Return a job for each song, with one file per format in the folder.

    Parameters
    ----------
    songs : sequence of Path
        Songs and takes, and folders whose songs and takes are used in the order of their names.
    folder : Path
        Where the files go; made if missing.
    formats : str, optional
        Names of formats with commas between them, ``bvh,glb``.

    Raises
    ------
    ConfigError
        If no format is given, one is unknown or lacks its package, or two songs would write the same file.
    InputError
        If a folder holds no song.
    OutputError
        If the folder cannot be made.
    """
    suffixes = _suffixes(formats)
    jobs: dict[str, Job] = {}
    for song in _all_songs(songs):
        other = jobs.get(song.stem)
        if other is not None:
            raise ConfigError(
                f"{other.song} and {song} would both write {song.stem}{suffixes[0]}; give them apart"
            )
        jobs[song.stem] = Job(song, tuple(folder / f"{song.stem}{suffix}" for suffix in suffixes))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make folder {folder} ({error.strerror}); choose another") from None
    return list(jobs.values())


def _suffixes(formats: str | None) -> list[str]:
    if not formats:
        known = ",".join(kind.name for kind in FORMATS)
        raise ConfigError(f"many songs need --format, names with commas between: {known}")
    return [kind.suffix for kind in formats_of_names(formats, "--format")]


def _all_songs(songs: Sequence[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for song in songs:
        if not song.is_dir():
            found[song] = None
            continue
        inside = _inside(song)
        if not inside:
            raise InputError(f"{song} holds no song; expected a folder of {', '.join(sorted(SONG_SUFFIXES))}")
        found.update(dict.fromkeys(inside))
    return list(found)


def _inside(folder: Path) -> list[Path]:
    """Return songs and takes of a folder; the sound beside a take is no song of its own."""
    takes = {path for path in folder.iterdir() if path.suffix.lower() == TAKE_SUFFIX}
    sounds = {sound_path(take) for take in takes}
    songs = {path for path in folder.iterdir() if path.suffix.lower() in SONG_SUFFIXES}
    return sorted(takes | (songs - sounds))
