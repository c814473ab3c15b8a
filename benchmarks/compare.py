"""Another program that turns a song into motion, beside ours, on the same songs.

python benchmarks/compare.py --theirs 'COMMAND {song} {output}' --output-name dance.pkl [--key KEY]
    [--lookahead-s S] [--json FILE] SONG ...

Both run as processes, one after the other on each song. In COMMAND ``{song}`` and ``{output}`` are replaced
by paths; it must write frames of 24 SMPL joints as positions (T, 24, 3) or (T, 72), Y up, in metres: as .npz
or .npy, or as a pickle of arrays, read without executing what it holds (``--key`` names the array, default
``positions``). Speed counts the whole process. Look-ahead is what its authors state; ours is the bundle's.
"""

from __future__ import annotations

import argparse
import pickle
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from measure import write_json
from numpy.typing import NDArray

from bailando.engine.dancer import Dancer
from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec, beat_times
from bailando.training.metrics import (
    beat_align_by_music,
    foot_skate_ratio,
    jitter,
    joint_speed_m_s,
    motion_beats,
    physical_foot_contact,
    random_phase_score,
)
from bailando.training.metrics.beats import SIGMA_FRAMES, SMOOTHING_FRAMES

OURS = f"{shlex.quote(sys.executable)} -m bailando.cli.generate {{song}} -o {{output}} --quiet"
FRAME_RATE_HZ = 60.0


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of plain containers and numpy arrays; anything else in them is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Return numpy's array builders only."""
        if module in ("numpy._core.multiarray", "numpy.core.multiarray", "numpy") and name in (
            "_reconstruct",
            "scalar",
            "ndarray",
            "dtype",
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no array")


def read_positions(path: Path, key: str) -> NDArray[np.float64]:
    """Return positions ``[T, 24, 3]`` of a .npz, .npy or pickle file."""
    if path.suffix in (".npz", ".npy"):
        content: Any = np.load(path, allow_pickle=False)
    else:
        with path.open("rb") as file:
            content = ArrayUnpickler(file).load()
    array = np.asarray(content if isinstance(content, np.ndarray) else content[key], np.float64)
    if array.size % 72:
        raise ValueError(f"{path} holds an array of shape {array.shape}; expected (T, 24, 3) or (T, 72)")
    return array.reshape(-1, 24, 3)


def run(command: str, song: Path, output: Path) -> float:
    """Run a command template on a song and return how long it took, s."""
    words = [word.format(song=song, output=output) for word in shlex.split(command)]
    started_s = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started_s


def judge(positions: NDArray[np.float64], beats: NDArray[np.float64], fps: float) -> dict[str, float]:
    """Return the metrics of one dance; `beats` are the music's, in frames."""
    # Both are given for 60 frames a second.
    danced = motion_beats(positions, SMOOTHING_FRAMES * fps / FRAME_RATE_HZ)
    sigma = SIGMA_FRAMES * fps / FRAME_RATE_HZ
    return {
        "seconds": len(positions) / fps,
        "beat_align": beat_align_by_music(beats, danced, sigma),
        "beat_align_random_phase": random_phase_score(beats, danced, sigma),
        "foot_contact": physical_foot_contact(positions, fps),
        "foot_skate": foot_skate_ratio(positions, fps),
        "jitter_m_s3": jitter(positions, fps),
        "speed_m_s": joint_speed_m_s(positions, fps),
    }


def compare(song: Path, commands: dict[str, tuple[str, str]], key: str, fps: float) -> dict[str, Any]:
    """Run each command on one song: seconds, real-time factor and metrics."""
    spec = FeatureSpec()
    samples = load_mono(song, spec.sample_rate_hz)
    beats = beat_times(FeatureExtractor(spec).extract(samples), spec) * FRAME_RATE_HZ
    duration_s, rows = soundfile.info(song).duration, {}
    for name, (command, file_name) in commands.items():
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / file_name
            elapsed_s = run(command, song, output)
            rate_hz = FRAME_RATE_HZ if name == "ours" else fps
            positions = read_positions(output, "positions" if name == "ours" else key)
        rows[name] = {"elapsed_s": elapsed_s, "times_real_time": duration_s / elapsed_s}
        rows[name] |= judge(positions, beats * rate_hz / FRAME_RATE_HZ, rate_hz)
    return rows


def main() -> None:
    """Print a block a song."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("songs", nargs="+", type=Path)
    parser.add_argument("--theirs", required=True, help="command with {song} and {output}")
    parser.add_argument("--output-name", default="dance.npz", help="what to call their output file")
    parser.add_argument("--key", default="positions", help="of the array in their output")
    parser.add_argument("--fps", type=float, default=60.0, help="of their output")
    parser.add_argument("--lookahead-s", type=float, help="how much future their authors say they hear")
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    manifest = Dancer.open().manifest
    lookahead_s = {
        "ours": manifest.lookahead_tokens * manifest.frames_per_token / manifest.frame_rate_hz,
        "theirs": options.lookahead_s,
    }
    print(f"look-ahead, s: {lookahead_s}")
    commands = {"ours": (OURS, "dance.npz"), "theirs": (options.theirs, options.output_name)}
    results = {}
    for song in options.songs:
        results[song.name] = compare(song, commands, options.key, options.fps)
        print(f"{song.name:24}{'ours':>12}{'theirs':>12}")
        for metric, value in results[song.name]["ours"].items():
            print(f"{metric:24}{value:12.3f}{results[song.name]['theirs'][metric]:12.3f}")
    write_json(options.json, "compare", {"lookahead_s": lookahead_s, "results": results})


if __name__ == "__main__":
    main()
