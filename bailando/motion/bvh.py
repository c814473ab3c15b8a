"""BVH files: a reader for any hierarchy and a writer for our body."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bailando.errors import ConfigError, InputError, OutputError
from bailando.motion.motion import MAX_FRAMES, Motion
from bailando.motion.rotations import FloatArray, about_axis, identity, multiply, rotate, to_euler
from bailando.motion.skeleton import Skeleton

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_JOINTS = 512
MAX_VALUES = 400_000_000
_CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
_UNIT_SCALE = {"m": 1.0, "cm": 100.0}


@dataclass(frozen=True, eq=False)
class Bvh:
    """What a BVH file says, in the file's own units.

    Parameters
    ----------
    names : tuple of str
        Joints in file order.
    parents : tuple of int
        Parent of each joint, -1 for the root.
    offsets : ndarray, shape (J, 3)
        Rest position of each joint in its parent's frame.
    end_offsets : dict of int to ndarray (3,)
        End sites by the joint they belong to.
    rotations : ndarray, shape (T, J, 4)
        Local rotations, `xyzw`.
    translations : ndarray, shape (T, J, 3)
        Local positions: position channels where a joint has them, else its offset.
    fps : float
        Frames a second; rates within 0.1 % of a whole number are that number.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: FloatArray
    end_offsets: dict[int, FloatArray]
    rotations: FloatArray
    translations: FloatArray
    fps: float

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.rotations)

    def forward_kinematics(self) -> tuple[FloatArray, FloatArray]:
        """Global positions (T, J, 3) in file units and global rotations (T, J, 4)."""
        positions = np.empty_like(self.translations)
        world = np.empty_like(self.rotations)
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                positions[:, joint], world[:, joint] = self.translations[:, joint], self.rotations[:, joint]
                continue
            step = rotate(world[:, parent], self.translations[:, joint])
            positions[:, joint] = positions[:, parent] + step
            world[:, joint] = multiply(world[:, parent], self.rotations[:, joint])
        return positions, world


@dataclass
class _Joint:
    name: str
    parent: int
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    channels: list[str] = field(default_factory=list)
    end: list[float] | None = None


class _Lines:
    """Non-empty lines of a file as words, with numbers for error messages."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.line_number = 0
        self._lines: Iterator[tuple[int, str]] = enumerate(text.splitlines(), 1)

    def next_words(self, wanted: str) -> list[str]:
        """Words of the next line that is not empty."""
        for line_number, line in self._lines:
            self.line_number = line_number
            words = line.split()
            if words:
                return words
        raise InputError(f"{self.path}: file ends after line {self.line_number}; expected {wanted}")

    def fail(self, got: str, expected: str) -> InputError:
        """An error that names the present line."""
        return InputError(f"{self.path}, line {self.line_number}: {got[:80]!r}; expected {expected}")

    def numbers(self, words: list[str], count: int, what: str) -> list[float]:
        """Exactly `count` finite numbers."""
        try:
            values = [float(word) for word in words]
        except ValueError:
            raise self.fail(" ".join(words), f"{count} numbers ({what})") from None
        if len(values) != count or not all(map(math.isfinite, values)):
            got = " ".join(words) if len(values) < 8 else f"{len(values)} values"
            raise self.fail(got, f"{count} finite numbers ({what})")
        return values


def read_bvh(path: str | os.PathLike[str]) -> Bvh:
    """Read a BVH file: any hierarchy, any channel order, any line ends.

    Raises
    ------
    InputError
        If the file is missing, too large, truncated or malformed; names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"motion file {path} not found; give the path of a .bvh file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes; expected at most {MAX_FILE_BYTES}")
    lines = _Lines(path, path.read_bytes().decode("utf-8-sig", errors="replace"))
    joints = _read_hierarchy(lines)
    values, frame_time_s = _read_frames(lines, sum(len(joint.channels) for joint in joints))
    return _assemble(joints, values, frame_time_s)


def _read_hierarchy(lines: _Lines) -> list[_Joint]:
    words = lines.next_words("HIERARCHY")
    if words[0].upper() != "HIERARCHY":
        raise lines.fail(" ".join(words), "HIERARCHY, the first word of a BVH file")
    joints: list[_Joint] = []
    stack: list[int] = []
    in_end_site = False
    while True:
        words = lines.next_words("the rest of the hierarchy, then MOTION")
        keyword = words[0].upper()
        if keyword == "MOTION":
            break
        if keyword in ("ROOT", "JOINT"):
            _open_joint(lines, words, joints, stack)
        elif keyword == "END":
            in_end_site = True
        elif keyword == "}":
            if in_end_site:
                in_end_site = False
            elif stack:
                stack.pop()
            else:
                raise lines.fail("}", "no more closing braces than opening ones")
        elif keyword == "OFFSET" and stack:
            offset = lines.numbers(words[1:], 3, "OFFSET x y z")
            if in_end_site:
                joints[stack[-1]].end = offset
            else:
                joints[stack[-1]].offset = offset
        elif keyword == "CHANNELS" and stack:
            joints[stack[-1]].channels = _channels(lines, words)
        elif keyword != "{":
            raise lines.fail(" ".join(words), "ROOT, JOINT, End Site, OFFSET, CHANNELS or a brace")
    if stack or not joints:
        raise lines.fail("MOTION", "a complete hierarchy with every brace closed before it")
    return joints


def _open_joint(lines: _Lines, words: list[str], joints: list[_Joint], stack: list[int]) -> None:
    if words[0].upper() == "ROOT" and joints:
        raise lines.fail(" ".join(words), "one ROOT in a file")
    if words[0].upper() == "JOINT" and not stack:
        raise lines.fail(" ".join(words), "JOINT inside the braces of another")
    if len(joints) >= MAX_JOINTS:
        raise lines.fail(" ".join(words), f"at most {MAX_JOINTS} joints")
    name = " ".join(words[1:]).rstrip("{").strip() or f"joint{len(joints)}"
    joints.append(_Joint(name, stack[-1] if stack else -1))
    stack.append(len(joints) - 1)


def _channels(lines: _Lines, words: list[str]) -> list[str]:
    channels = [word[:1].upper() + word[1:].lower() for word in words[2:]]
    known = all(channel in _CHANNELS for channel in channels)
    if len(words) < 2 or words[1] != str(len(channels)) or not known or len(channels) > 6:
        raise lines.fail(" ".join(words), "CHANNELS, their number, then names such as Zrotation")
    return channels


def _read_frames(lines: _Lines, width: int) -> tuple[FloatArray, float]:
    words = lines.next_words("Frames: and their number")
    if words[0].lower() != "frames:" or len(words) != 2 or not words[1].isdigit():
        raise lines.fail(" ".join(words), "Frames: and their number")
    frame_count = int(words[1])
    if not 0 < frame_count <= MAX_FRAMES or frame_count * width > MAX_VALUES or width == 0:
        raise lines.fail(f"{frame_count} frames of {width} channels", f"1 to {MAX_FRAMES} frames")
    words = lines.next_words("Frame Time: in seconds")
    if [word.lower() for word in words[:2]] != ["frame", "time:"]:
        raise lines.fail(" ".join(words), "Frame Time: in seconds")
    frame_time_s = lines.numbers(words[2:], 1, "Frame Time: in seconds")[0]
    if not 1e-4 <= frame_time_s <= 10:
        raise lines.fail(" ".join(words), "a Frame Time between 0.0001 and 10 seconds")
    rows = []
    for frame in range(frame_count):
        words = lines.next_words(f"frame {frame + 1} of {frame_count}")
        rows.append(np.array(lines.numbers(words, width, f"frame {frame + 1} of {frame_count}")))
    return np.stack(rows), frame_time_s


def _assemble(joints: list[_Joint], values: FloatArray, frame_time_s: float) -> Bvh:
    frame_count, joint_count = len(values), len(joints)
    offsets = np.array([joint.offset for joint in joints], np.float64)
    rotations = identity((frame_count, joint_count))
    translations = np.broadcast_to(offsets, (frame_count, joint_count, 3)).copy()
    column = 0
    for j, joint in enumerate(joints):
        for channel in joint.channels:
            if channel.endswith("rotation"):
                turn = about_axis(channel[0], np.radians(values[:, column]))
                rotations[:, j] = multiply(rotations[:, j], turn)
            else:
                translations[:, j, "XYZ".index(channel[0])] = values[:, column]
            column += 1
    fps = 1 / frame_time_s
    whole = round(fps)
    return Bvh(
        tuple(joint.name for joint in joints),
        tuple(joint.parent for joint in joints),
        offsets,
        {j: np.array(joint.end) for j, joint in enumerate(joints) if joint.end is not None},
        rotations,
        translations,
        float(whole) if whole and abs(fps - whole) < 1e-3 * fps else fps,
    )


def format_hierarchy(skeleton: Skeleton, order: str = "ZYX", unit: str = "m") -> str:
    """The HIERARCHY section for a skeleton.

    Parameters
    ----------
    skeleton : Skeleton
        The body; its joints are written depth first.
    order : {"ZYX", "ZXY", "XYZ", "XZY", "YXZ", "YZX"}
        Rotation channels from left to right of the product.
    unit : {"m", "cm"}
        Unit of lengths.
    """
    scale = _check_style(order, unit)
    rotation_channels = " ".join(f"{axis}rotation" for axis in order)
    children = _children(skeleton)
    lines = ["HIERARCHY"]

    def offset(vector: tuple[float, float, float]) -> str:
        return "OFFSET " + " ".join(f"{value * scale:.6f}" for value in vector)

    def write(joint: int, depth: int) -> None:
        tab = "\t" * depth
        head = "ROOT" if joint == 0 else "JOINT"
        position = "6 Xposition Yposition Zposition" if joint == 0 else "3"
        lines.extend([f"{tab}{head} {skeleton.joint_names[joint]}", f"{tab}{{"])
        lines.append(f"{tab}\t{offset((0.0, 0.0, 0.0) if joint == 0 else skeleton.offsets_m[joint])}")
        lines.append(f"{tab}\tCHANNELS {position} {rotation_channels}")
        for child in children[joint]:
            write(child, depth + 1)
        if not children[joint]:
            lines.extend([f"{tab}\tEnd Site", f"{tab}\t{{"])
            lines.extend([f"{tab}\t\t{offset(skeleton.tip_m(joint))}", f"{tab}\t}}"])
        lines.append(f"{tab}}}")

    write(0, 0)
    return "\n".join(lines) + "\n"


def format_frames(
    skeleton: Skeleton,
    rotations: FloatArray,
    root_position: FloatArray,
    order: str = "ZYX",
    unit: str = "m",
) -> str:
    """Lines of the MOTION section for frames of rotations (T, J, 4) and root positions (T, 3)."""
    scale = _check_style(order, unit)
    joints = _depth_first(skeleton)
    euler = np.degrees(to_euler(np.asarray(rotations, np.float64)[:, joints], order))
    rows = np.concatenate([root_position * scale, euler.reshape(len(rotations), -1)], axis=1)
    return "".join(" ".join(f"{value:.5f}" for value in row) + "\n" for row in rows)


def write_bvh(path: str | os.PathLike[str], motion: Motion, order: str = "ZYX", unit: str = "m") -> None:
    """Write a motion as BVH.

    Reading the file back gives joint positions within 0.1 mm.

    Parameters
    ----------
    path : path
        File to write.
    motion : Motion
        What to write.
    order, unit : str
        See `format_hierarchy`.

    Raises
    ------
    OutputError
        If the file cannot be written.
    ConfigError
        If the order or unit is unknown.
    """
    text = format_hierarchy(motion.skeleton, order, unit)
    text += f"MOTION\nFrames: {motion.frame_count}\nFrame Time: {1 / motion.fps:.8f}\n"
    text += format_frames(motion.skeleton, motion.rotations, motion.root_position, order, unit)
    try:
        Path(path).write_text(text, encoding="ascii", newline="\n")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose a writable place") from None


def _check_style(order: str, unit: str) -> float:
    if sorted(order) != ["X", "Y", "Z"] or unit not in _UNIT_SCALE:
        raise ConfigError(f"BVH got order {order!r} and unit {unit!r}; expected e.g. 'ZYX' and 'm' or 'cm'")
    return _UNIT_SCALE[unit]


def _children(skeleton: Skeleton) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in skeleton.parents]
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            children[parent].append(joint)
    return children


def _depth_first(skeleton: Skeleton) -> list[int]:
    children = _children(skeleton)
    order, stack = [], [0]
    while stack:
        joint = stack.pop()
        order.append(joint)
        stack.extend(reversed(children[joint]))
    return order
