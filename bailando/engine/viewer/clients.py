"""The viewers that are connected, each with a short queue of its own."""

from __future__ import annotations

import asyncio
from collections import deque

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

QUEUE_FRAMES = 30
"""Half a second: what a viewer may lag before its oldest frames are dropped."""
CLOSE_SECONDS = 1.0


class Client:
    """One viewer. All methods belong to the server's thread.

    Parameters
    ----------
    connection : ServerConnection
        The open socket.
    queue_frames : int
        Frames that wait at most; the newest are kept.

    Attributes
    ----------
    dropped : int
        Frames that this viewer was too slow for.
    """

    def __init__(self, connection: ServerConnection, queue_frames: int = QUEUE_FRAMES) -> None:
        self.dropped = 0
        self._connection = connection
        self._texts: deque[str] = deque(maxlen=queue_frames)
        self._frames: deque[bytes] = deque(maxlen=queue_frames)
        self._wake = asyncio.Event()

    def offer_frame(self, frame: bytes) -> int:
        """Queue a frame; return how many were dropped for it (0 or 1)."""
        full = len(self._frames) == self._frames.maxlen
        self._frames.append(frame)
        self.dropped += full
        self._wake.set()
        return int(full)

    def offer_text(self, text: str) -> None:
        """Queue a status or a reply; of too many the oldest are lost."""
        self._texts.append(text)
        self._wake.set()

    async def send_queued(self) -> None:
        """Send what is queued, texts first, until the connection closes."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._texts or self._frames:
                    await self._connection.send(
                        self._texts.popleft() if self._texts else self._frames.popleft()
                    )
        except ConnectionClosed:
            pass
