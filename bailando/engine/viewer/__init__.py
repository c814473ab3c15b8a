"""The stage in the browser: a web server on one port, its pages and its stream of frames.

`ViewerServer` is the whole of it; `bailando.engine.sinks.websocket.WebSocketSink` feeds it. What
travels over the socket is written down in docs/websocket.md.
"""

from bailando.engine.viewer.commands import Command, CommandHandler
from bailando.engine.viewer.server import ViewerServer
from bailando.engine.viewer.wire import Hello

__all__ = ["Command", "CommandHandler", "Hello", "ViewerServer"]
