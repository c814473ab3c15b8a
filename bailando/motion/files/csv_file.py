"""Motion as a table: one row a frame, for spreadsheets and tools that read numbers only."""

from __future__ import annotations

import os

import numpy as np

from bailando.motion.motion import Motion
from bailando.motion.rotations import make_continuous

_CONTACTS = ("left_ankle", "right_ankle", "left_toes", "right_toes")


def csv_header(motion: Motion) -> list[str]:
    """Names of the columns.

    ``frame``, ``time_s``, per joint NAME ``NAME_x NAME_y NAME_z`` (position in the world, metres) and
    ``NAME_qx NAME_qy NAME_qz NAME_qw`` (local rotation), then ``contact_PART`` (0 to 1).
    """
    columns = ("x", "y", "z", "qx", "qy", "qz", "qw")
    joints = [f"{joint}_{column}" for joint in motion.skeleton.joint_names for column in columns]
    return ["frame", "time_s", *joints, *(f"contact_{part}" for part in _CONTACTS)]


def write_csv(path: str | os.PathLike[str], motion: Motion) -> None:
    """Write a motion as comma-separated values with one line of names, see `csv_header`."""
    frames = np.arange(motion.frame_count)
    joints = np.concatenate([motion.positions, make_continuous(motion.rotations)], axis=-1)
    columns = (
        frames[:, None],
        frames[:, None] / motion.fps,
        joints.reshape(motion.frame_count, -1),
        motion.contacts,
    )
    formats = ["%d", "%.6f", *["%.6f"] * (joints.shape[1] * joints.shape[2]), *["%.3f"] * len(_CONTACTS)]
    with open(path, "w", encoding="ascii", newline="\n") as stream:
        header = ",".join(csv_header(motion))
        np.savetxt(stream, np.hstack(columns), fmt=formats, delimiter=",", header=header, comments="")
