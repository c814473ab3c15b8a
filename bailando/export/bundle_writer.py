"""Writing a bundle: a folder or a .zip, hashes filled in, opened again before it is called done."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bailando.engine.bundle import Bundle
from bailando.engine.manifest import MANIFEST_NAME, Manifest
from bailando.engine.specs import FileEntry
from bailando.errors import OutputError

# The earliest time a zip can hold: equal bundles are equal bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def write_bundle(path: str | Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write `files` and their manifest as a bundle.

    Parameters
    ----------
    path : str or Path
        A folder to make, or a file ending in ``.zip``. A bundle that lies there is replaced; anything
        else is left alone.
    manifest : Manifest
        Its `files` are replaced by the hashes of `files`.
    files : mapping of str to bytes
        All files but the manifest.

    Returns
    -------
    Bundle
        The bundle, read back and checked.

    Raises
    ------
    OutputError
        If the path cannot be written, or holds something that is no bundle.
    BundleError
        If what was written is refused by `Bundle.open`.
    """
    path = Path(path)
    check_replaceable(path)
    entries = {name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
    contents = {MANIFEST_NAME: manifest.with_files(entries).to_json().encode()} | dict(files)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=path.parent) as scratch:
            made = Path(scratch) / ("bundle.zip" if path.suffix == ".zip" else "bundle")
            (_write_zip if path.suffix == ".zip" else _write_folder)(made, contents)
            Bundle.open(made)
            if path.is_dir():
                shutil.rmtree(path)
            made.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write the bundle {path} ({error}): choose another place") from None
    return Bundle.open(path)


def check_replaceable(path: str | Path) -> None:
    """Raise OutputError if `path` holds something that is no bundle; nothing is written."""
    path = Path(path)
    if not path.exists() or (path.is_dir() and (path / MANIFEST_NAME).is_file()):
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.suffix == ".zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if MANIFEST_NAME in archive.namelist():
                return
    raise OutputError(f"{path} exists and is no bundle: move it away or choose another place")


def _write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    path.mkdir()
    for name, data in contents.items():
        (path / name).write_bytes(data)


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.external_attr = 0o644 << 16
            # Weights hardly compress; the manifest does.
            info.compress_type = zipfile.ZIP_DEFLATED if name == MANIFEST_NAME else zipfile.ZIP_STORED
            archive.writestr(info, data)
