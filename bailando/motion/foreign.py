"""Foreign motion by our joint names: what retargeting needs of a BVH file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bailando.errors import InputError
from bailando.motion.bvh import Bvh
from bailando.motion.joint_map import complete_joint_map
from bailando.motion.motion import resample_grid
from bailando.motion.rotations import FloatArray, identity, multiply, rotate, slerp

_LEG_BONES = (("hip", "knee"), ("knee", "ankle"))
_SETTLING_S = 0.1
# Mean step of the joints from one frame to the next, in body heights, that nobody dances.
_JUMP_STEP = 0.04
_Z_UP = np.array([-np.sqrt(0.5), 0, 0, np.sqrt(0.5)])


@dataclass(frozen=True, eq=False)
class ForeignMotion:
    """A foreign motion with Y up at 60 Hz, joints by our names; lengths in its own unit."""

    points: dict[str, FloatArray]
    """(T, 3) per joint of ours, also end sites that stand in for toes and hands."""
    turns: dict[str, FloatArray]
    """(T, 4) global rotation per joint of ours that has one."""
    spine: list[FloatArray]
    """(T, 4) global rotations from the pelvis up to the joint the collars hang on."""

    @property
    def leg_length(self) -> float:
        """Mean length of thigh and shin together."""
        legs = [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _LEG_BONES]
        points = self.points
        return 0.5 * sum(float(np.linalg.norm(points[b] - points[a], axis=-1).mean()) for a, b in legs)

    def at(self, frames: slice) -> ForeignMotion:
        """Some of the frames."""
        return ForeignMotion(
            {name: points[frames] for name, points in self.points.items()},
            {name: turns[frames] for name, turns in self.turns.items()},
            [turns[frames] for turns in self.spine],
        )

    def turned(self, turn: FloatArray) -> ForeignMotion:
        """The whole world turned by one quaternion (4,)."""
        return ForeignMotion(
            {name: rotate(turn, points) for name, points in self.points.items()},
            {name: multiply(turn, turns) for name, turns in self.turns.items()},
            [multiply(turn, turns) for turns in self.spine],
        )


def read_foreign(
    bvh: Bvh, joint_map: Mapping[str, str] | None, fps: float
) -> tuple[ForeignMotion, ForeignMotion]:
    """The motion, Y up, and the two candidates for a reference: rest pose and first frame."""
    named = complete_joint_map(bvh.names, joint_map)
    joints = {ours: bvh.names.index(theirs) for ours, theirs in named.items()}
    still = identity((1, len(bvh.names)))
    stills = replace(
        bvh,
        rotations=np.concatenate([still, bvh.rotations[:1]]),
        translations=np.concatenate([bvh.offsets[None], bvh.translations[:1]]),
    )
    source = _named(_resampled(_without_calibration_pose(bvh), fps), joints)
    up = (source.points["head"] - (source.points["left_ankle"] + source.points["right_ankle"]) / 2).mean(0)
    if source.leg_length < 1e-6 or np.linalg.norm(up) < 1e-6:
        raise InputError("motion file has legs of no length; expected a body of ordinary proportions")
    if abs(up[2]) > abs(up[1]):
        source = source.turned(_Z_UP)
    return source, _named(stills, joints)


def _without_calibration_pose(bvh: Bvh) -> Bvh:
    """Without a pose of its own before the dance: the body jumps out of it and rings for a moment.

    The length that is cut depends on the frame rate alone, so partners stay in step.
    """
    settling, settled = round(_SETTLING_S * bvh.fps), round(5 * _SETTLING_S * bvh.fps)
    if bvh.frame_count <= settled or settling < 1:
        return bvh
    window = slice(0, settled + 1)
    start = replace(bvh, rotations=bvh.rotations[window], translations=bvh.translations[window])
    positions, _ = start.forward_kinematics()
    steps = np.linalg.norm(np.diff(positions - positions[:, :1], axis=0), axis=-1).mean(-1)
    height = np.ptp(positions[0], axis=0).max()
    if steps[0] < _JUMP_STEP * height or steps[0] < 3 * steps[settling:].max():
        return bvh
    rest = slice(settling, None)
    return replace(bvh, rotations=bvh.rotations[rest], translations=bvh.translations[rest])


def _resampled(bvh: Bvh, fps: float) -> Bvh:
    if bvh.fps == fps:
        return bvh
    before, weight = resample_grid(bvh.frame_count, bvh.fps, fps)
    after = np.minimum(before + 1, bvh.frame_count - 1)
    rotations = slerp(bvh.rotations[before], bvh.rotations[after], weight[:, None])
    mix = weight[:, None, None]
    translations = bvh.translations[before] * (1 - mix) + bvh.translations[after] * mix
    return replace(bvh, rotations=rotations, translations=translations, fps=fps)


def _named(bvh: Bvh, joints: Mapping[str, int]) -> ForeignMotion:
    """Points and turns by our joint names; end sites of the ankles stand in for missing toes."""
    positions, world = bvh.forward_kinematics()
    points = {name: positions[:, joint] for name, joint in joints.items()}
    for side in ("left", "right"):
        ankle = joints[f"{side}_ankle"]
        if f"{side}_foot" not in points and ankle in bvh.end_offsets:
            points[f"{side}_foot"] = positions[:, ankle] + rotate(world[:, ankle], bvh.end_offsets[ankle])
    spine = [world[:, joint] for joint in _spine_chain(bvh.parents, joints)]
    return ForeignMotion(points, {name: world[:, joint] for name, joint in joints.items()}, spine)


def _spine_chain(parents: tuple[int, ...], joints: Mapping[str, int]) -> list[int]:
    """Joints from the pelvis up to the last that neck and both arms share."""
    ends = [joints.get("neck", joints["head"]), joints["left_shoulder"], joints["right_shoulder"]]
    above = []
    for joint in ends:
        ancestors = []
        while parents[joint] >= 0:
            joint = parents[joint]
            ancestors.append(joint)
        above.append(ancestors)
    shared = [joint for joint in above[0] if all(joint in others for others in above[1:])]
    if joints["pelvis"] not in shared:
        return [joints["pelvis"]]
    return shared[: shared.index(joints["pelvis"]) + 1][::-1]
