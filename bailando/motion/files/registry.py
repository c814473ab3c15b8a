"""Which writer makes which file."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bailando.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from bailando.motion.motion import Motion


TAKE_SUFFIX = ".take"
"""Recordings of live runs, from which all these files can be made (`bailando.motion.files.take`)."""


@dataclass(frozen=True)
class FileFormat:
    """A kind of motion file.

    Parameters
    ----------
    suffix : str
        End of the file's name, lower case.
    content : str
        What it holds, a few words for lists.
    writer : str
        ``module:function``, called with path, motion and options; imported when first needed.
    options : tuple of str
        Keywords that the writer takes.
    packages : tuple of str
        Modules that the writer needs beyond those of every installation.
    extra : str
        The optional extra of ours that brings them.
    """

    suffix: str
    content: str
    writer: str
    options: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    extra: str = ""

    @property
    def name(self) -> str:
        """The suffix without its leading mark, as in lists of formats: ``bvh``, ``smpl.npz``."""
        return self.suffix[1:]

    def check_installed(self) -> None:
        """Raise `ConfigError`, with the cure, where a package that the writer needs is missing."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"{self.suffix} files need {package}; run: pip install 'bailando[{self.extra}]'"
                )

    def load_writer(self) -> Callable[..., None]:
        """Import and return the function that writes such files."""
        module, _, function = self.writer.partition(":")
        writer: Callable[..., None] = getattr(importlib.import_module(module), function)
        return writer


_FILES = "bailando.motion.files"
_VIDEO = (("PIL", "imageio_ffmpeg"), "video")
FORMATS: tuple[FileFormat, ...] = (
    FileFormat(".bvh", "skeleton and rotations", "bailando.motion.bvh:write_bvh", ("order", "unit")),
    FileFormat(".glb", "skinned person with animation", f"{_FILES}.gltf_body:write_glb"),
    FileFormat(
        ".fbx", "the same as .glb, made by Blender", f"{_FILES}.fbx:write_fbx", packages=("bpy",), extra="fbx"
    ),
    FileFormat(".vrma", "animation for VRM avatars", f"{_FILES}.gltf_body:write_vrma"),
    FileFormat(".csv", "a table, one row a frame", f"{_FILES}.csv_file:write_csv"),
    FileFormat(".pkl", "SMPL axis-angle, pickled as in AIST++", f"{_FILES}.smpl_file:write_smpl_pickle"),
    FileFormat(
        ".mp4",
        "film with the song's sound",
        f"{_FILES}.video:write_mp4",
        ("song", "progress", "size"),
        *_VIDEO,
    ),
    FileFormat(".gif", "film without sound", f"{_FILES}.video:write_gif", ("progress", "size"), *_VIDEO),
    FileFormat("_smpl.npz", "SMPL axis-angle arrays", f"{_FILES}.smpl_file:write_smpl_npz"),
    FileFormat(".npz", "arrays for Python", "bailando.motion.motion:save_npz"),
)
"""In the order in which they are tried: a longer suffix comes before one that it ends with."""


def file_format(path: str | os.PathLike[str]) -> FileFormat:
    """Return the format that the end of a file's name asks for.

    Raises
    ------
    ConfigError
        If no format has this suffix; lists them.
    """
    name = Path(path).name.lower()
    for candidate in FORMATS:
        if name.endswith(candidate.suffix) and name != candidate.suffix:
            return candidate
    known = ", ".join(candidate.suffix for candidate in FORMATS)
    raise ConfigError(f"cannot write {Path(path).name!r}; choose a name ending in one of {known}")


def formats_of_names(text: str, option: str) -> list[FileFormat]:
    """Return the formats that a list of names with commas between them asks for, each once.

    Parameters
    ----------
    text : str
        As in ``bvh,glb``; marks before a name and capitals do not matter.
    option : str
        Where the text was given, for messages.

    Raises
    ------
    ConfigError
        If a name is unknown or a package for its format is missing.
    """
    known = {kind.name: kind for kind in FORMATS}
    names = [name.strip().lower().lstrip("._") for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ConfigError(f"{option} got {name!r}; expected names out of {','.join(known)}")
        known[name].check_installed()
    return [known[name] for name in dict.fromkeys(names)]


def write_motion(path: str | os.PathLike[str], motion: Motion, **options: Any) -> None:
    """Write a motion in the format that the file's name asks for.

    The file appears under its name only when it is complete, so that one that exists is whole.

    Parameters
    ----------
    path : path
        File to write; its suffix chooses among `FORMATS`.
    motion : Motion
        What to write.
    **options
        Keywords of the format's writer, see `FileFormat.options`.

    Raises
    ------
    ConfigError
        If the suffix or an option is unknown, or a package for the format is missing.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    kind = file_format(path)
    unknown = sorted(set(options) - set(kind.options))
    if unknown:
        expected = ", ".join(kind.options) or "none"
        raise ConfigError(f"{kind.suffix} files got option {unknown[0]!r}; expected {expected}")
    kind.check_installed()
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        kind.load_writer()(partial, motion, **options)
        os.replace(partial, path)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write {path} ({reason}); check the path and the disk") from None
    except OutputError as error:
        raise OutputError(str(error).replace(str(partial), str(path))) from None
    finally:
        partial.unlink(missing_ok=True)
