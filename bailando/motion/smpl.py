"""SMPL motion files: the pickles of AIST++ and the archives of AMASS.

Rotations of the SMPL body are put on our joints as they are; only the body's shape is ours.
Which way is up is read off the dancer, who is upright most of the time.
"""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError
from bailando.motion.motion import Motion
from bailando.motion.retarget import FRAME_RATE_HZ, ground
from bailando.motion.rotations import (
    FloatArray,
    about_axis,
    from_axis_angle,
    identity,
    make_continuous,
    multiply,
)
from bailando.motion.rotations import rotate as rotate_vectors
from bailando.motion.skeleton import JOINT_NAMES, Skeleton

AIST_FRAME_RATE_HZ = 60.0
MAX_FILE_BYTES = 512 * 1024 * 1024
SMPL_LEG_M = 0.82
"""Thigh and shin of the neutral SMPL body of mean shape, about; scales the road of the root."""

_BODY_JOINTS = 22
_HANDS = slice(22, 24)
_CLEARLY_UP = 0.2


def _encode_latin1(text: str, _encoding: str) -> bytes:
    """Stand-in for `codecs.encode`, which could be asked for any codec."""
    return text.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles arrays and plain containers; every other class or function is refused."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "scalar"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Resolve the few names that arrays need."""
        if (module, name) == ("_codecs", "encode"):
            return _encode_latin1  # old protocols store the bytes of arrays as text
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which arrays do not need")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_smpl(path: str | os.PathLike[str], fps: float | None = FRAME_RATE_HZ) -> Motion:
    """Read an SMPL motion file.

    Parameters
    ----------
    path : path
        A pickle or .npz with `smpl_poses` (T, 72), `smpl_trans` (T, 3) and perhaps `smpl_scaling`
        (AIST++, 60 Hz), or with `poses` (T, 66 or more, or (T, J, 3)), `trans` (T, 3) and
        `mocap_framerate` (AMASS: 22, 24 or 52 joints and more). Y or Z up, by where the trunks point;
        where that is unclear, AIST++ is taken for Y up and AMASS for Z up.
    fps : float, optional
        Frame rate of the result; None for the file's own.

    Returns
    -------
    Motion
        On the default skeleton, floor at y = 0. Nothing in the file is executed.

    Raises
    ------
    InputError
        If the file is missing, not of these layouts, or holds anything but arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"motion file {path} not found; give the path of an SMPL .pkl or .npz file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes; expected at most {MAX_FILE_BYTES}")
    fields = _read_npz(path) if path.suffix.lower() == ".npz" else _read_pickle(path)
    if "smpl_poses" in fields:
        trans = _array(path, fields, "smpl_trans", 3)
        scaling = np.asarray(fields.get("smpl_scaling", 1.0), np.float64).reshape(-1)
        if scaling.size != 1 or not scaling[0] > 0:
            raise InputError(f"{path} has smpl_scaling {scaling[:3]}; expected one positive number")
        poses = _array(path, fields, "smpl_poses", 72)
        motion = _on_our_body(path, poses, trans / scaling[0], AIST_FRAME_RATE_HZ, False)
        return motion.resample(fps or motion.fps)
    if "poses" in fields:
        rate = float(
            np.asarray(fields.get("mocap_framerate", fields.get("mocap_frame_rate", 0))).reshape(-1)[0]
        )
        if not 1 <= rate <= 1000:
            raise InputError(f"{path} has mocap_framerate {rate:g}; expected 1 to 1000 frames a second")
        trans = _array(path, fields, "trans", 3)
        motion = _on_our_body(path, _array(path, fields, "poses", 66), trans, rate, True)
        return motion.resample(fps or motion.fps)
    raise InputError(
        f"{path} holds {', '.join(map(str, list(fields)[:8])) or 'nothing'}; expected smpl_poses and "
        "smpl_trans (AIST++) or poses, trans and mocap_framerate (AMASS)"
    )


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        fields = _ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    except Exception as error:  # a corrupt pickle may raise anything at all
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a pickle of plain arrays: {reason}") from None
    if not isinstance(fields, dict):
        raise InputError(f"{path} holds a {type(fields).__name__}; expected a dictionary of arrays")
    return fields


def _read_npz(path: Path) -> dict[str, Any]:
    wanted = ("smpl_poses", "smpl_trans", "smpl_scaling", "poses", "trans")
    rates = ("mocap_framerate", "mocap_frame_rate")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in wanted or name in rates}
    except Exception as error:  # zip, zlib and numpy each have their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a readable .npz archive: {reason}") from None


def _array(path: Path, fields: dict[str, Any], name: str, width: int) -> npt.NDArray[np.float64]:
    """A finite (T, at least `width`) array of numbers."""
    try:
        array = np.asarray(fields[name], np.float64)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} lacks numbers called {name}; expected (T, {width})") from None
    if array.ndim == 3:
        array = array.reshape(len(array), -1)
    if array.ndim != 2 or array.shape[1] < width or not len(array) or not np.isfinite(array).all():
        raise InputError(f"{path} has {name} of shape {array.shape}; expected (T, {width}), finite, T >= 1")
    return array


def _on_our_body(
    path: Path, poses: FloatArray, trans: FloatArray, rate_hz: float, z_up_if_unclear: bool
) -> Motion:
    if len(poses) != len(trans):
        raise InputError(
            f"{path} has {len(poses)} poses and {len(trans)} translations; expected the same number"
        )
    skeleton = Skeleton.default()
    rotations = identity((len(poses), len(JOINT_NAMES)))
    rotations[:, :_BODY_JOINTS] = from_axis_angle(poses[:, : 3 * _BODY_JOINTS].reshape(len(poses), -1, 3))
    if poses.shape[1] == 72:
        rotations[:, _HANDS] = from_axis_angle(poses[:, 66:72].reshape(len(poses), 2, 3))
    if _is_z_up(rotations[:, 0], z_up_if_unclear):
        upright = about_axis("X", np.array(-np.pi / 2))
        rotations[:, 0] = multiply(upright, rotations[:, 0])
        trans = rotate_vectors(upright, trans[:, :3])
    legs = skeleton.offsets[[4, 7]]
    scale = float(np.linalg.norm(legs, axis=1).sum()) / SMPL_LEG_M
    return ground(make_continuous(rotations), trans[:, :3] * scale, rate_hz, skeleton)


def _is_z_up(pelvis: FloatArray, if_unclear: bool) -> bool:
    """Whether the trunk of pelvis rotations (T, 4) points along +Z rather than +Y in the mean."""
    _, y, z = rotate_vectors(pelvis, np.array([0.0, 1.0, 0.0])).mean(axis=0)
    return bool(z > y) if abs(y - z) > _CLEARLY_UP else if_unclear
