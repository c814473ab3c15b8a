"""Beat trackers of others, each run as a process of its own: prints the beats of a song, seconds, one a line.

python benchmarks/trackers.py aubio|BeatNet SONG.wav

Neither is installed with this project: aubio is GPL, BeatNet needs torch and madmom. Run this file with the
interpreter of any environment that has them; it needs nothing else. Both are fed as live music would be.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator

HOP = 256
WINDOW = 1024


def aubio_beats(path: str) -> Iterator[float]:
    """Yield the beats of aubio's online tracker."""
    import aubio

    source = aubio.source(path, 0, HOP)
    tempo = aubio.tempo("default", WINDOW, HOP, source.samplerate)
    read = HOP
    while read == HOP:
        samples, read = source()
        if tempo(samples)[0]:
            yield tempo.get_last_s()


def beatnet_beats(path: str) -> Iterator[float]:
    """Yield the beats of BeatNet's causal inference with its particle filter."""
    from BeatNet.BeatNet import BeatNet

    yield from BeatNet(1, mode="online", inference_model="PF", plot=[], thread=False).process(path)[:, 0]


TRACKERS: dict[str, Callable[[str], Iterator[float]]] = {"aubio": aubio_beats, "BeatNet": beatnet_beats}


def installed() -> list[str]:
    """Return the trackers that this interpreter has."""
    return [name for name in TRACKERS if importlib.util.find_spec(name) is not None]


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in TRACKERS:
        sys.exit(f"usage: python trackers.py {'|'.join(TRACKERS)} SONG.wav")
    for beat_s in TRACKERS[sys.argv[1]](sys.argv[2]):
        print(f"{beat_s:.4f}")
