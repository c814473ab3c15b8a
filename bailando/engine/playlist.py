"""Lists of songs: a folder or an m3u file."""

from __future__ import annotations

from pathlib import Path

from bailando.errors import InputError

SONG_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3"})
_LIST_SUFFIXES = frozenset({".m3u", ".m3u8"})
_MAX_LIST_BYTES = 1 << 20


def read_playlist(path: str | Path) -> list[Path]:
    """Return the songs of a list, in order.

    Parameters
    ----------
    path : str or Path
        A folder, whose songs come in the order of their names, or an ``.m3u`` or ``.m3u8`` file, whose
        relative paths start at its own folder.

    Raises
    ------
    InputError
        If there is no such list or no song in it.
    """
    path = Path(path)
    if path.is_dir():
        songs = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SONG_SUFFIXES)
    elif path.suffix.lower() in _LIST_SUFFIXES:
        songs = [path.parent / line for line in _lines(path)]
    else:
        raise InputError(f"{path} is no playlist; give a folder of songs or an .m3u file")
    if not songs:
        raise InputError(f"{path} lists no song; expected {', '.join(sorted(SONG_SUFFIXES))}")
    return songs


def _lines(path: Path) -> list[str]:
    """Return the lines that name songs; ``#`` begins a comment."""
    try:
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise InputError(f"{path} is larger than 1 MB; expected a list of paths")
        # m3u files of older players are Latin-1; m3u8 is UTF-8, with or without a mark.
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a folder of songs or an .m3u file") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = [line.strip() for line in text.splitlines()]
    songs = [line for line in lines if line and not line.startswith("#")]
    for line in songs:
        if "://" in line or "\0" in line:
            raise InputError(f"{path} lists {line[:60]!r}; expected files of this machine")
    return songs
