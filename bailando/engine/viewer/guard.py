"""Who may talk to the viewer's port."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine can reach a server bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """Judges requests by their headers and the token in their address.

    A page of another site can make the user's browser connect to this machine; the browser then
    names that site as Origin. A site whose name is made to point to 127.0.0.1 (DNS rebinding) is
    its own origin, but shows itself in Host. Programs that are no browser send no Origin and pass.

    Parameters
    ----------
    token : str, optional
        Secret that every request for a page or a socket must carry as `?token=`; required by the
        server when others than this machine can reach it.
    """

    token: str | None = None

    def refusal(self, path: str, headers: Headers, token_free: bool = False) -> str | None:
        """Return why a request is refused, None if it may pass.

        Parameters
        ----------
        path : str
            What the request asks for, with its query.
        headers : Headers
            Headers of the request.
        token_free : bool
            Whether it asks for something that everybody may have.
        """
        hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
        if len(hosts) != 1 or len(origins) > 1:
            return "exactly one Host header and at most one Origin are expected"
        host = _authority(f"http://{hosts[0]}")
        if host is None or (self.token is None and host[0] not in _LOOPBACK_NAMES):
            return "the address in the Host header is not that of this server"
        if origins and _authority(origins[0]) != host:
            return "only pages of this server may connect"
        if self.token is not None and not token_free and not self._has_token(path):
            return "the address lacks the token that bailando-live printed at its start"
        return None

    def _has_token(self, path: str) -> bool:
        given = parse_qs(urlsplit(path).query).get("token", [""])[-1]
        return hmac.compare_digest(given.encode(), (self.token or "").encode())


def _authority(url: str) -> tuple[str, int] | None:
    """Return host name and port of an http address, None if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "http" or not parts.hostname or parts.username is not None:
        return None
    return parts.hostname, port or 80
