"""A member of an Ableton Link session that writes what it hears to its standard output.

``python -m bailando.engine.link_peer`` is started by `bailando.engine.link` as a process of its own, because
`aalink` and the Link library inside it are GPL software; nothing else imports it. Ten lines a second,
``time_ns bpm beat peers``, tell the beat of a moment on the clock of `bailando._native.now_ns`, until the
standard input is closed.
"""

from __future__ import annotations

import asyncio
import sys
import threading

from aalink import Link

from bailando._native import now_ns

_INTERVAL_S = 0.1
_OWN_BPM = 120.0


async def _tell() -> None:
    """Join the session and write lines until nobody wants them."""
    link = Link(_OWN_BPM)
    link.enabled = True
    wanted = threading.Thread(target=sys.stdin.read, daemon=True)
    wanted.start()
    while wanted.is_alive():
        before_ns = now_ns()
        beat = link.beat
        time_ns = (before_ns + now_ns()) // 2
        sys.stdout.write(f"{time_ns} {link.tempo!r} {beat!r} {link.num_peers}\n")
        sys.stdout.flush()
        await asyncio.sleep(_INTERVAL_S)


if __name__ == "__main__":
    asyncio.run(_tell())
