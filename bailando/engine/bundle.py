"""Opening a bundle: a folder or a .zip, judged in full before anything in it is used."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bailando.engine.manifest import MANIFEST_NAME, Manifest
from bailando.engine.onnx_scan import check_graph
from bailando.engine.specs import check_file_name
from bailando.errors import BundleError

_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How much a bundle may hold; whatever is above is refused unread."""

    max_manifest_bytes: int = 4 << 20
    max_file_bytes: int = 1 << 30
    max_total_bytes: int = 2 << 30
    max_files: int = 64
    max_compression_ratio: int = 100


class Bundle:
    """A checked bundle, held in memory; make one with `Bundle.open`.

    Attributes
    ----------
    path : Path
        Where it was read from.
    manifest : Manifest
        Its contract.
    """

    def __init__(self, path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
        self.path = path
        self.manifest = manifest
        self._contents = dict(contents)

    @classmethod
    def open(cls, path: str | Path, limits: Limits | None = None) -> Bundle:
        """Read and check a bundle.

        Parameters
        ----------
        path : str or Path
            A folder, or a single .zip file.
        limits : Limits, optional
            Size limits; the defaults suit any bundle of this package.

        Raises
        ------
        BundleError
            If it is missing, corrupt, truncated, foreign, of another schema version, or hostile:
            a wrong hash, a file it does not list, a name or link leading outside, sizes above the
            limits, a compression bomb, a graph with external data or custom operators.
        """
        path, limits = Path(path), limits or Limits()
        if path.is_dir():
            contents = _read_folder(path, limits)
        elif path.is_file():
            contents = _read_zip(path, limits)
        else:
            raise BundleError(
                f"no bundle at {path}: give a folder or .zip made by bailando-export CHECKPOINT -o BUNDLE"
            )
        if MANIFEST_NAME not in contents:
            raise BundleError(
                f"{path} has no {MANIFEST_NAME}, so it is no bundle: "
                "make one with bailando-export CHECKPOINT -o BUNDLE"
            )
        manifest = Manifest.from_json(contents.pop(MANIFEST_NAME))
        _check_files(manifest, contents, path)
        for graph in manifest.graphs.values():
            check_graph(contents[graph.file], graph.file)
        return cls(path, manifest, contents)

    def graph_bytes(self, name: str) -> bytes:
        """Return the ONNX bytes of the graph called `name`, for example ``gpt_step``."""
        if name not in self.manifest.graphs:
            has = ", ".join(self.manifest.graphs)
            raise BundleError(f"bundle {self.path} has no graph {name!r} (it has {has}): export it again")
        return self._contents[self.manifest.graphs[name].file]

    def file_bytes(self, name: str) -> bytes:
        """Return the bytes of a listed file, for example an engine."""
        if name not in self._contents:
            raise BundleError(f"bundle {self.path} has no file {name!r}: export it again")
        return self._contents[name]


def _check_files(manifest: Manifest, contents: Mapping[str, bytes], path: Path) -> None:
    if missing := sorted(set(manifest.files) - set(contents)):
        raise BundleError(f"{path} lacks {', '.join(missing)}: copy or export the bundle again")
    if extra := sorted(set(contents) - set(manifest.files)):
        raise BundleError(
            f"{path} holds files its manifest does not list ({', '.join(extra)[:200]}): "
            "remove them or get the bundle again"
        )
    for name, entry in manifest.files.items():
        data = contents[name]
        if len(data) != entry.bytes:
            raise BundleError(
                f"{name} has {len(data)} bytes, the manifest says {entry.bytes}: copy the bundle again"
            )
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{name} does not match its sha256 in the manifest: copy the bundle again")


def _limit(name: str, limits: Limits) -> int:
    return limits.max_manifest_bytes if name == MANIFEST_NAME else limits.max_file_bytes


def _check_sizes(sizes: Mapping[str, int], path: Path, limits: Limits) -> None:
    for name, size in sizes.items():
        if size > _limit(name, limits):
            raise BundleError(
                f"{name} in {path} has {size} bytes, at most {_limit(name, limits)} are allowed: "
                "do not use this bundle"
            )
    if len(sizes) > limits.max_files or sum(sizes.values()) > limits.max_total_bytes:
        raise BundleError(
            f"{path} has {len(sizes)} files of {sum(sizes.values())} bytes together, at most "
            f"{limits.max_files} of {limits.max_total_bytes} are allowed: do not use this bundle"
        )


def _read_folder(path: Path, limits: Limits) -> dict[str, bytes]:
    try:
        root = path.resolve(strict=True)
        sizes: dict[str, int] = {}
        for entry in sorted(root.iterdir()):
            if entry.name in _LITTER:
                continue
            check_file_name(entry.name, str(path))
            target = entry.resolve(strict=True)
            if target.parent != root:
                raise BundleError(f"{entry.name} in {path} links outside the bundle: do not use this bundle")
            status = target.stat()
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(
                    f"{entry.name} in {path} is no plain file: remove it or get the bundle again"
                )
            sizes[entry.name] = status.st_size
            if len(sizes) > limits.max_files:
                break
        _check_sizes(sizes, path, limits)
        return {name: _read_file(root / name, size) for name, size in sizes.items()}
    except (OSError, RuntimeError) as error:
        raise BundleError(f"cannot read {path} ({error}): check the path and its permissions") from None


def _read_file(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size + 1)


def _read_zip(path: Path, limits: Limits) -> dict[str, bytes]:
    try:
        if path.stat().st_size > limits.max_total_bytes:
            raise BundleError(f"{path} has more than {limits.max_total_bytes} bytes: do not use this bundle")
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            _check_entries(infos, path, limits)
            return {info.filename: _extract(archive, info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise BundleError(
            f"{path} is no whole .zip bundle ({error}): get it again or make one with bailando-export"
        ) from None
    except (OSError, RuntimeError) as error:
        raise BundleError(f"cannot read {path} ({error}): check the file and its permissions") from None


def _check_entries(infos: list[zipfile.ZipInfo], path: Path, limits: Limits) -> None:
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        raise BundleError(f"{path} holds one name twice: do not use this bundle")
    for info in infos:
        check_file_name(info.filename, str(path))
        if stat.S_ISLNK(info.external_attr >> 16):
            raise BundleError(f"{info.filename} in {path} is a link: do not use this bundle")
        if info.file_size > limits.max_compression_ratio * max(info.compress_size, 64):
            raise BundleError(
                f"{info.filename} in {path} unpacks to {info.file_size} bytes from {info.compress_size}, "
                "a compression bomb: do not use this bundle"
            )
    _check_sizes({info.filename: info.file_size for info in infos}, path, limits)


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Unpack one entry in chunks, never beyond the size it declares."""
    chunks, left = [], info.file_size + 1
    with archive.open(info) as file:
        while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
            chunks.append(chunk)
            left -= len(chunk)
    data = b"".join(chunks)
    if len(data) != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename} is cut short")
    return data
