"""SMPL motion files in the layout of AIST++: axis-angle poses and the road of the root."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.motion.motion import Motion
from bailando.motion.rotations import to_axis_angle
from bailando.motion.skeleton import JOINT_NAMES
from bailando.motion.smpl import AIST_FRAME_RATE_HZ, SMPL_LEG_M

# The last pickle protocol that spells the modules of classes as plain lines.
_PROTOCOL = 3


def smpl_arrays(motion: Motion) -> dict[str, npt.NDArray[np.float32]]:
    """Return a motion as the arrays of an SMPL file.

    Returns
    -------
    dict
        `smpl_poses` (T, 72), axis times angle of 24 joints, rad; `smpl_trans` (T, 3), position of
        the pelvis, metres, Y up; `smpl_scaling` (1,), size of our body against the mean SMPL body.
        All float32, 60 frames a second.

    Raises
    ------
    InputError
        If the skeleton has other joints than those of SMPL.
    """
    if motion.skeleton.joint_names != JOINT_NAMES:
        raise InputError("an SMPL file got a skeleton of other joints; expected the 24 of the SMPL order")
    motion = motion.resample(AIST_FRAME_RATE_HZ)
    poses = to_axis_angle(motion.rotations.astype(np.float64))
    leg_m = float(np.linalg.norm(motion.skeleton.offsets[[4, 7]], axis=1).sum())
    return {
        "smpl_poses": poses.reshape(len(poses), -1).astype(np.float32),
        "smpl_trans": np.asarray(motion.root_position, np.float32),
        "smpl_scaling": np.array([leg_m / SMPL_LEG_M], np.float32),
    }


def write_smpl_npz(path: str | os.PathLike[str], motion: Motion) -> None:
    """Write the arrays of `smpl_arrays` as an .npz archive."""
    arrays: dict[str, Any] = {**smpl_arrays(motion)}  # numpy types keywords as its own option
    with Path(path).open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def write_smpl_pickle(path: str | os.PathLike[str], motion: Motion) -> None:
    """Write the arrays of `smpl_arrays` as a pickled dictionary, readable by numpy 1 and 2."""
    content = pickle.dumps(smpl_arrays(motion), protocol=_PROTOCOL)
    # numpy 2 moved its core but still answers to the old name, the only one that numpy 1 knows.
    Path(path).write_bytes(content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
