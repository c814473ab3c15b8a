"""The built page, read once from the package, so that no request ever names a file."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

# `blob:` and `data:` are how a dropped avatar's textures reach the renderer.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Pages:
    """Files of the viewer by their address.

    Parameters
    ----------
    contents : dict of str to (str, bytes)
        Address such as ``/assets/viewer.js`` to content type and content.
    """

    contents: dict[str, tuple[str, bytes]]

    @classmethod
    def load(cls) -> Pages:
        """Read the pages that are part of the package."""
        contents: dict[str, tuple[str, bytes]] = {}
        _collect(files("bailando.engine.viewer") / "static", "", contents)
        if "/index.html" in contents:
            contents["/"] = contents["/index.html"]
        return cls(contents)

    @staticmethod
    def is_asset(path: str) -> bool:
        """Tell whether an address is that of a script, style or font: the same for everybody."""
        return urlsplit(path).path.startswith("/assets/")

    def respond(self, path: str) -> Response:
        """Return the answer to a request for a page."""
        found = self.contents.get(urlsplit(path).path)
        if found is None:
            return text_response(HTTPStatus.NOT_FOUND, "no such page")
        return _response(HTTPStatus.OK, *found)


def text_response(status: HTTPStatus, text: str) -> Response:
    """Return an answer of one line of text."""
    return _response(status, _CONTENT_TYPES[".txt"], f"{text}\n".encode())


def _response(status: HTTPStatus, content_type: str, content: bytes) -> Response:
    headers = Headers(
        {
            "Content-Type": content_type,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-cache",
            "Connection": "close",
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
    )
    return Response(status.value, status.phrase, headers, content)


def _collect(folder: Traversable, prefix: str, contents: dict[str, tuple[str, bytes]]) -> None:
    for entry in folder.iterdir():
        address = f"{prefix}/{entry.name}"
        if entry.is_dir():
            _collect(entry, address, contents)
        elif content_type := _CONTENT_TYPES.get(PurePosixPath(entry.name).suffix):
            contents[address] = (content_type, entry.read_bytes())
