"""Receive the dance in Python: ``pip install python-osc``, then ``bailando-live --demo`` and this."""

import sys

from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer


def on_frame(address: str, number: int) -> None:
    """Count frames: 60 a second, whatever happens."""
    if number % 60 == 0:
        print(f"frame {number}", flush=True)


def on_left_wrist(address: str, x: float, y: float, z: float) -> None:
    """Metres; Y is up, the dancer faces +Z, +X is the dancer's left."""
    if y > 1.6:
        print(f"left hand up: {y:.2f} m", flush=True)


def on_beat(address: str, beat: int) -> None:
    """1 in the frame of a beat, else 0."""
    print("beat\n" * beat, end="", flush=True)


dispatcher = Dispatcher()
for name, function in (("frame", on_frame), ("joint/left_wrist/pos", on_left_wrist), ("beat", on_beat)):
    dispatcher.map(f"/bailando/{name}", function)
port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
BlockingOSCUDPServer(("127.0.0.1", port), dispatcher).serve_forever()
