"""Does the body look right: swinging toes, foot skate, penetration, jerk before and after `refine`, its cost.

python benchmarks/body.py --motion DIR [--seconds 30] [--limit 6] [--json FILE]
python benchmarks/body.py DANCE.npz ...

BVH files of DIR are spoilt the way a decoder spoils them (the root drifts, joints tremble and wander,
contact probabilities are soft); dance files are taken as they are. Contact frames are those that the
contacts of the unspoilt motion name.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from time import thread_time_ns

import numpy as np
from numpy.typing import NDArray

from bailando.motion.bvh import read_bvh
from bailando.motion.grounding import BodyConfig, BodyState, refine
from bailando.motion.motion import Motion, load_npz
from bailando.motion.retarget import retarget
from bailando.motion.rotations import from_axis_angle, inverse, multiply, to_axis_angle
from bailando.motion.skeleton import CONTACT_JOINTS

CHUNK = 8
SLIDING_M_S = 0.1
SWINGING_M_S = 0.5
CONFIGS = {
    "lock + floor": BodyConfig(),
    "lock only": BodyConfig(floor=False),
    "floor only": BodyConfig(foot_lock=False),
    "no root follow": BodyConfig(root_follow=False),
    "no swing": BodyConfig(root_follow=False, swing_height_m=0.0),
    "all + smoothing": BodyConfig(smoothing=True),
}


def spoil(motion: Motion, seed: int) -> Motion:
    """Return the motion with the faults of a decoded one; deterministic."""
    rng = np.random.default_rng(seed)
    count = motion.frame_count
    turns = coloured(rng, (count, 24, 3), 0.35) * 0.03 + rng.normal(size=(count, 24, 3)) * 0.002
    drift = coloured(rng, (count, 3), 1.5) * np.array([0.06, 0, 0.06]) / motion.fps
    height = coloured(rng, (count, 1), 0.5) * np.array([0, 0.012, 0])
    contacts = np.clip(motion.contacts + coloured(rng, (count, 4), 0.2) * 0.2, 0, 1)
    return replace(
        motion,
        rotations=multiply(motion.rotations, from_axis_angle(turns.astype(np.float32))),
        root_position=motion.root_position + np.cumsum(drift, axis=0) + height,
        contacts=contacts,
    )


def coloured(rng: np.random.Generator, shape: tuple[int, ...], tau_s: float) -> NDArray[np.float64]:
    """Return noise of variance 1 whose correlation decays with `tau_s` (60 Hz), low-passed twice."""
    keep = np.exp(-1 / (60 * tau_s))
    noise = rng.normal(size=shape)
    for _ in range(2):
        for frame in range(1, len(noise)):
            noise[frame] = keep * noise[frame - 1] + (1 - keep) * noise[frame]
    return noise / np.maximum(noise.std(axis=0), 1e-9)


def refine_in_chunks(motion: Motion, config: BodyConfig) -> tuple[Motion, NDArray[np.float64]]:
    """Return the refined motion and the processor time of each chunk in ms."""
    state, parts, costs = BodyState(), [], []
    for start in range(0, motion.frame_count, CHUNK):
        part = slice(start, start + CHUNK)
        began = thread_time_ns()
        *result, state = refine(
            motion.rotations[part],
            motion.root_position[part],
            motion.contacts[part],
            state,
            config,
            motion.skeleton,
        )
        costs.append((thread_time_ns() - began) / 1e6)
        parts.append(result)
    rotations, root = (np.concatenate(column) for column in zip(*parts, strict=True))
    return replace(motion, rotations=rotations, root_position=root), np.array(costs)


def measure(motion: Motion, contacts: NDArray[np.float32]) -> dict[str, float]:
    """Return figures of a motion whose feet touch the floor where `contacts` say so."""
    positions, fps = motion.positions.astype(np.float64), motion.fps
    feet = positions[:, CONTACT_JOINTS]
    step = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1) * fps
    planted = (contacts[1:] > 0.5) & (contacts[:-1] > 0.5)
    sliding = step[planted] if planted.any() else np.zeros(1)
    depth = np.maximum(-feet[..., 2:, 1], 0).max(axis=-1) * 1000
    jerk = np.linalg.norm(np.diff(positions, 3, axis=0), axis=-1) * fps**3
    legs = motion.rotations[:, [1, 2, 4, 5]].astype(np.float64)
    spin = np.linalg.norm(to_axis_angle(multiply(inverse(legs[:-1]), legs[1:])), axis=-1) * fps
    swinging = feet[1:, 2:, 1][step[:, 2:] > SWINGING_M_S]
    return {
        "swing_height_mm": float(np.median(swinging) * 1000) if len(swinging) else float("nan"),
        "skate_m_s": float(sliding.mean()),
        "sliding_ratio": float((sliding > SLIDING_M_S).mean()),
        "depth_mean_mm": float(depth.mean()),
        "depth_max_mm": float(depth.max()),
        "jerk_mean_m_s3": float(jerk.mean()),
        "jerk_feet_m_s3": float(jerk[:, CONTACT_JOINTS].mean()),
        "knee_hip_p999_rad_s": float(np.percentile(spin, 99.9)),
        "knee_hip_max_rad_s": float(spin.max()),
    }


def judge(motion: Motion, clean: Motion) -> dict[str, dict[str, float]]:
    """Return the figures of the motion before and after each configuration."""
    rows = {"unspoilt": measure(clean, clean.contacts)} if clean is not motion else {}
    rows["before"] = measure(motion, clean.contacts)
    for name, config in CONFIGS.items():
        refined, costs = refine_in_chunks(motion, config)
        moved = np.linalg.norm(refined.positions - motion.positions, axis=-1)
        rows[name] = measure(refined, clean.contacts) | {
            "moved_mean_mm": float(moved.mean() * 1000),
            "cost_p50_ms": float(np.median(costs)),
            "cost_p99_ms": float(np.percentile(costs, 99)),
        }
    return rows


def load(arguments: argparse.Namespace) -> dict[str, tuple[Motion, Motion]]:
    """Return pairs of a motion to put right and the one that knows the contacts."""
    loaded = {}
    for path in arguments.dances:
        motion = load_npz(path)
        loaded[path.name] = motion, motion
    files = sorted(arguments.motion.rglob("*ance*.bvh")) + sorted(arguments.motion.rglob("salsa*_a.bvh"))
    stride = max(1, len(files) // arguments.limit)
    for seed, path in enumerate(files[::stride][: arguments.limit]):
        clean = retarget(read_bvh(path))[: round(arguments.seconds * 60)]
        loaded[path.name] = spoil(clean, seed), clean
    return loaded


def show(name: str, rows: dict[str, dict[str, float]]) -> None:
    """Print a table of figures."""
    columns = list(rows["lock + floor"])
    print(
        f"\n{name}\n{'':16}" + "".join(f"{column.rpartition('_m_s')[0] or column:>20}" for column in columns)
    )
    for row, figures in rows.items():
        print(f"{row:16}" + "".join(f"{figures.get(column, float('nan')):20.3f}" for column in columns))


def main() -> None:
    """Print tables; write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dances", nargs="*", type=Path, help="dance files (.npz) to take as they are")
    parser.add_argument("--motion", type=Path, default=Path("data/motion"), help="folder with BVH files")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each BVH file")
    parser.add_argument("--limit", type=int, default=6, help="number of BVH files")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    results = {}
    for name, (motion, clean) in load(arguments).items():
        results[name] = judge(motion, clean)
        show(name, results[name])
    if len(results) > 1:
        rows = next(iter(results.values()))
        mean = {
            row: {
                column: float(np.mean([r[row][column] for r in results.values() if row in r]))
                for column in of
            }
            for row, of in rows.items()
        }
        show("mean", mean)
        results["mean"] = mean
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
