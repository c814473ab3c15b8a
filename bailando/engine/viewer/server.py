"""The viewer's server: pages and sockets on one port, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bailando.engine.viewer.clients import QUEUE_FRAMES, Client
from bailando.engine.viewer.commands import CommandHandler, parse_command
from bailando.engine.viewer.guard import Guard, is_loopback
from bailando.engine.viewer.pages import Pages, text_response
from bailando.engine.viewer.wire import Hello, done_json, error_json, status_json
from bailando.errors import BailandoError, OutputError

VIEWER_PORT = 8060
SOCKET_PATH = "/ws"
MAX_CLIENTS = 16
MAX_MESSAGE_BYTES = 65536
"""A longer message of a viewer closes its connection; one that is only too long for a command is answered."""
START_SECONDS = 10.0
_WRITE_LIMIT_BYTES = 32768

# A stranger's broken handshake is no news for the person on stage.
_library_log = logging.getLogger("bailando.engine.viewer.websockets")
_library_log.addHandler(logging.NullHandler())
_library_log.propagate = False
_log = logging.getLogger(__name__)


class ViewerServer:
    """Serves viewers in the background; what it does never delays the caller.

    Parameters
    ----------
    hello : Hello
        First message of every connection.
    port : int
        TCP port; 0 lets the system choose.
    host : str
        Address to listen on. Where others than this machine can reach it, a random token becomes
        part of `url` and every request must carry it.
    on_command : callable, optional
        Carries out the viewers' commands, on the server's thread; without it they are refused.
    pages : bool
        Whether to serve the page as well; otherwise only the socket at ``/ws``.
    queue_frames : int
        Frames that wait for a slow viewer before its oldest are dropped.

    Attributes
    ----------
    dropped_frames : int
        Frames that viewers were too slow for, over all connections so far.
    """

    def __init__(
        self,
        hello: Hello,
        port: int = VIEWER_PORT,
        host: str = "127.0.0.1",
        on_command: CommandHandler | None = None,
        *,
        pages: bool = True,
        queue_frames: int = QUEUE_FRAMES,
    ) -> None:
        self.dropped_frames = 0
        self._hello = hello
        self._host, self._port = host, port
        self._on_command = on_command
        self._queue_frames = queue_frames
        self._pages = Pages.load() if pages else Pages({})
        self._guard = Guard(None if is_loopback(host) else secrets.token_urlsafe(16))
        self._clients: set[Client] = set()
        self._status: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The TCP port; the one in use once started."""
        return self._port

    @property
    def url(self) -> str:
        """Address of the page, with the token if one is needed."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        query = f"/?token={self._guard.token}" if self._guard.token else "/"
        return f"http://{host}:{self._port}{query}"

    @property
    def client_count(self) -> int:
        """Number of viewers that are connected now."""
        return len(self._clients)

    def start(self) -> None:
        """Listen; return once connections are accepted. Starting twice is harmless.

        Raises
        ------
        OutputError
            If the port is taken or the address is not one of this machine.
        """
        if self._thread is not None:
            return
        ready: _Ready = _Ready()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="bailando-viewer", daemon=True)
        self._thread.start()
        started = ready.event.wait(START_SECONDS)
        if ready.error is None and started:
            return
        self._thread.join(START_SECONDS)
        self._thread = None
        reason = ready.error.strerror or ready.error if ready.error else "no answer from the system"
        raise OutputError(
            f"cannot serve the viewer on {self._host}:{self._port} ({reason}); choose another port or address"
        )

    def stop(self) -> None:
        """Close all connections and the port; stopping twice is harmless."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._stopping is not None:
            self._call(self._stopping.set)
        thread.join()

    def publish_frame(self, frame: bytes) -> None:
        """Hand a packed frame to every viewer; any thread, returns at once."""
        if self._clients:
            self._call(self._offer_frame, frame)

    def publish_status(self, status: Mapping[str, Any]) -> None:
        """Hand a status to every viewer, now or when it connects; any thread, returns at once."""
        self._status = text = status_json(status)
        if self._clients:
            self._call(self._offer_text, text)

    def _call(self, function: Any, *arguments: Any) -> None:
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop was closed between the two lines: nobody is left to receive.
            _log.debug("the viewer's server has stopped")

    # From here on: the server's thread only.

    def _run(self, ready: _Ready) -> None:
        try:
            asyncio.run(self._serve(ready))
        except OSError as error:
            ready.error = error
        finally:
            self._loop = None
            ready.event.set()

    async def _serve(self, ready: _Ready) -> None:
        self._stopping = asyncio.Event()
        async with serve(
            self._converse,
            self._host,
            self._port,
            process_request=self._answer,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=4,
            write_limit=_WRITE_LIMIT_BYTES,
            close_timeout=1.0,
            open_timeout=5.0,
            logger=_library_log,
            server_header=None,
        ) as server:
            self._port = _port_of(server)
            self._loop = asyncio.get_running_loop()
            ready.event.set()
            await self._stopping.wait()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Judge a request before the handshake; None lets the socket open."""
        path = request.path.partition("?")[0]
        refusal = self._guard.refusal(request.path, request.headers, token_free=Pages.is_asset(path))
        if refusal is not None:
            return text_response(HTTPStatus.FORBIDDEN, refusal)
        if path != SOCKET_PATH:
            return self._pages.respond(path)
        if len(self._clients) >= MAX_CLIENTS:
            return text_response(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_CLIENTS} viewers are connected already"
            )
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        client = Client(connection, self._queue_frames)
        client.offer_text(self._hello.to_json())
        if self._status is not None:
            client.offer_text(self._status)
        self._clients.add(client)
        sender = asyncio.create_task(client.send_queued())
        try:
            async for message in connection:
                client.offer_text(self._reply(message))
        except ConnectionClosed:
            _log.debug("a viewer's connection broke off")
        finally:
            self._clients.discard(client)
            sender.cancel()

    def _reply(self, message: str | bytes) -> str:
        name: str | None = None
        try:
            command = parse_command(message, self._hello.styles)
            name = command.name
            if self._on_command is None:
                raise OutputError("this run takes no commands from viewers")
            self._on_command(command)
        except BailandoError as error:
            return error_json(str(error), name)
        except Exception:
            # Whatever a command breaks, viewers keep seeing the dance.
            _log.exception("a viewer's command failed")
            return error_json("the command failed; see the log of bailando-live", name)
        return done_json(command.name)

    def _offer_frame(self, frame: bytes) -> None:
        for client in self._clients:
            self.dropped_frames += client.offer_frame(frame)

    def _offer_text(self, text: str) -> None:
        for client in self._clients:
            client.offer_text(text)


class _Ready:
    """Tells the starting thread how the server's start went."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.error: OSError | None = None


def _port_of(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port
