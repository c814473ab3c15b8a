"""Draw a dance so that it can be judged by eye: stick figures over time, and speed against the beats.

Usage: python examples/contact_sheet.py dance.npz song.ogg -o sheet.png
Needs matplotlib and librosa (``pip install 'bailando[train]'``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import librosa
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from bailando.motion.motion import Motion, load_npz
from bailando.motion.skeleton import PARENTS

LEFT, RIGHT, MIDDLE = "#d1495b", "#2e6f95", "#333333"
SMOOTHING_FRAMES = 5.0  # sigma of the published definition of dance beats


def joint_speed(motion: Motion) -> np.ndarray:
    """Return the mean joint speed, smoothed, shape (T,), m/s."""
    speed = np.linalg.norm(np.diff(motion.positions, axis=0), axis=-1).mean(-1) * motion.fps
    speed = np.append(speed, speed[-1:])
    taps = np.exp(-0.5 * (np.arange(-20, 21) / SMOOTHING_FRAMES) ** 2)
    return np.convolve(speed, taps / taps.sum(), mode="same")


def draw_figure(axes: plt.Axes, pose: np.ndarray, across: int, offset: float) -> None:
    """Draw one pose (24, 3), seen along the axis that is neither `across` nor up."""
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        x = pose[[joint, parent], across] - pose[0, across] + offset
        name = LEFT if joint in (1, 4, 7, 10, 13, 16, 18, 20, 22) else RIGHT
        colour = MIDDLE if joint in (3, 6, 9, 12, 15) else name
        axes.plot(x, pose[[joint, parent], 1], color=colour, lw=1.6, solid_capstyle="round")
    axes.axhline(0, color="#bbbbbb", lw=0.6, zorder=0)


def draw_strips(figure: plt.Figure, grid: list[plt.Axes], motion: Motion, per_row: int, every: int) -> None:
    """Fill each row with `per_row` poses, `every` frames apart, front view."""
    for row, axes in enumerate(grid):
        start = row * (len(motion.positions) // len(grid))
        for column in range(per_row):
            frame = min(start + column * every, len(motion.positions) - 1)
            draw_figure(axes, motion.positions[frame], 0, column * 0.9)
        axes.set_ylim(-0.1, 2.1)
        axes.set_xlim(-0.7, per_row * 0.9)
        axes.set_aspect("equal")
        axes.set_yticks([])
        axes.set_xticks([])
        axes.set_ylabel(f"{start / motion.fps:.0f} s", rotation=0, labelpad=18)


def beat_alignment(beats: np.ndarray, minima: np.ndarray, sigma: float = 3.0) -> float:
    """Return the Beat Align Score over music beats (equation 15), beats and minima in frames."""
    gaps = np.abs(beats[:, None] - minima[None]).min(1)
    return float(np.exp(-(gaps**2) / (2 * sigma**2)).mean())


def main() -> None:
    """Draw the sheet and print what can be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dance", type=Path)
    parser.add_argument("song", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("sheet.png"))
    parser.add_argument("--rows", type=int, default=6)
    options = parser.parse_args()

    motion = load_npz(options.dance)
    samples, rate = librosa.load(options.song, sr=22050, duration=len(motion.positions) / motion.fps)
    tempo, beat_times = librosa.beat.beat_track(y=samples, sr=rate, units="time")
    speed = joint_speed(motion)
    inner = speed[1:-1]
    minima = 1 + np.flatnonzero((inner < speed[:-2]) & (inner <= speed[2:]))
    beats = beat_times * motion.fps
    rng = np.random.default_rng(0)
    period = float(np.median(np.diff(beats)))
    chance = np.mean([beat_alignment(beats + shift, minima) for shift in rng.uniform(0, period, 200)])

    per_row = 16
    figure, axes = plt.subplots(
        options.rows + 2, 1, figsize=(16, 2 * options.rows + 5), height_ratios=[2] * options.rows + [2, 2]
    )
    draw_strips(figure, list(axes[: options.rows]), motion, per_row, every=10)
    seconds = np.arange(len(speed)) / motion.fps
    shown = seconds < 20
    axes[-2].plot(seconds[shown], speed[shown], color=MIDDLE)
    axes[-2].vlines(beat_times[beat_times < 20], 0, speed[shown].max(), color=LEFT, lw=0.7)
    axes[-2].set_title("mean joint speed (m/s) of the first 20 s; red: beats of the song", fontsize=9)
    axes[-1].plot(motion.root_position[:, 0], motion.root_position[:, 2], color=RIGHT, lw=0.8)
    axes[-1].set_aspect("equal")
    axes[-1].set_title("path of the pelvis on the floor (m)", fontsize=9)
    figure.tight_layout()
    figure.savefig(options.output, dpi=70)

    feet = motion.positions[:, [7, 8, 10, 11]]
    foot_speed = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1) * motion.fps
    on_floor = motion.contacts[1:] > 0.5
    print(f"{len(speed)} frames, {float(np.atleast_1d(tempo)[0]):.0f} bpm, mean speed {speed.mean():.2f} m/s")
    print(f"beat align score {beat_alignment(beats, minima):.3f}, random phase {chance:.3f}")
    print(f"lowest joint: median {np.median(motion.positions[..., 1].min(1)):.3f} m")
    if on_floor.any():
        print(f"median sliding speed of a foot in contact: {np.median(foot_speed[on_floor]):.3f} m/s")
    span = np.ptp(motion.root_position[:, [0, 2]], axis=0)
    print(f"floor used: {span[0]:.1f} x {span[1]:.1f} m; picture: {options.output}")


if __name__ == "__main__":
    main()
