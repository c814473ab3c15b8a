"""Foreign motion onto our body.

Each joint of ours follows the change of its counterpart's global rotation since a reference
pose. In that pose, which is as close to a T-pose as the file has (its rest pose, or a frame), our
body is posed by directions: limbs along the source's limbs without added twist, trunk upright in
the source's body frame, feet flat. Limbs are then turned exactly onto the source's limb
directions. The road of the hips is scaled by the ratio of the leg lengths, and the floor is put at
the height that the feet reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bailando.errors import InputError
from bailando.motion.bvh import Bvh
from bailando.motion.contacts import detect_contacts
from bailando.motion.joint_map import complete_joint_map
from bailando.motion.kinematics import forward_kinematics, local_rotations
from bailando.motion.motion import Motion, resample_grid
from bailando.motion.rotations import (
    FloatArray,
    from_matrix,
    identity,
    inverse,
    make_continuous,
    multiply,
    rotate,
    shortest_arc,
    slerp,
)
from bailando.motion.skeleton import JOINT_NAMES, Skeleton

FRAME_RATE_HZ = 60.0
FLOOR_PERCENTILE = 5.0
LIMBS: tuple[tuple[str, str], ...] = tuple(
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("left", "right")
    for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
)
_INDEX = {name: joint for joint, name in enumerate(JOINT_NAMES)}
_GOOD_REFERENCE_DEG = 30.0
_UPRIGHT_COSINE = float(np.cos(np.radians(25)))
_Z_UP = np.array([-np.sqrt(0.5), 0, 0, np.sqrt(0.5)])


@dataclass(frozen=True, eq=False)
class _Source:
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
        return (
            sum(
                float(np.linalg.norm(self.points[end] - self.points[start], axis=-1).mean())
                for start, end in LIMBS
                if start.endswith(("hip", "knee"))
            )
            / 2
        )

    def at(self, frames: slice) -> _Source:
        """Some of the frames."""
        return _Source(
            {name: points[frames] for name, points in self.points.items()},
            {name: turns[frames] for name, turns in self.turns.items()},
            [turns[frames] for turns in self.spine],
        )

    def turned(self, turn: FloatArray) -> _Source:
        """The whole world turned by one quaternion (4,)."""
        return _Source(
            {name: rotate(turn, points) for name, points in self.points.items()},
            {name: multiply(turn, turns) for name, turns in self.turns.items()},
            [multiply(turn, turns) for turns in self.spine],
        )


@dataclass(frozen=True)
class RetargetError:
    """How far a retargeted motion is from its source.

    Parameters
    ----------
    direction_deg : float
        Mean angle between the limbs (thighs, shins, upper arms, forearms) of both.
    leg_position_mm, arm_position_mm : float
        Mean distance of knees and ankles from the source's, scaled by leg length, with the middles
        of the hips laid together; of elbows and wrists, scaled by arm length, from their shoulder.
    """

    direction_deg: float
    leg_position_mm: float
    arm_position_mm: float


def retarget(
    bvh: Bvh,
    joint_map: Mapping[str, str] | None = None,
    skeleton: Skeleton | None = None,
    fps: float = FRAME_RATE_HZ,
) -> Motion:
    """Put the motion of a BVH file on our body.

    Parameters
    ----------
    bvh : Bvh
        Any hierarchy in any unit of length, Y or Z up.
    joint_map : mapping of str to str, optional
        Our joint names to the file's, where guessing fails (see `bailando.motion.joint_map`).
    skeleton : Skeleton, optional
        Body of the 24 joints to move; the default person if not given.
    fps : float
        Frame rate of the result.

    Returns
    -------
    Motion
        Floor at y = 0; a T-pose before the first frame of the dance is dropped.

    Raises
    ------
    InputError
        If required joints cannot be found or the body is degenerate.
    """
    skeleton = skeleton or Skeleton.default()
    source, stills = _read_source(bvh, joint_map, fps)
    reference = _choose_reference(source, stills)
    world = _follow(source, reference, _reference_pose(reference, skeleton))
    world = _align_limbs(world, source, skeleton)
    rotations = make_continuous(local_rotations(skeleton, world))
    root = _root_road(source, world[:, 0], skeleton)
    return _ground(rotations, root, fps, skeleton)


def retarget_error(bvh: Bvh, motion: Motion, joint_map: Mapping[str, str] | None = None) -> RetargetError:
    """Compare a motion with the file it came from (same arguments as for `retarget`)."""
    source, _ = _read_source(bvh, joint_map, motion.fps)
    ours = {name: motion.positions[:, _INDEX[name]].astype(np.float64) for name in source.points}
    angles, legs, arms = [], [], []
    for start, end in LIMBS:
        a, b = _unit(source.points[end] - source.points[start]), _unit(ours[end] - ours[start])
        angles.append(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=-1) / 2, 0, 1))))
    leg_scale = _leg_length(motion.skeleton) / source.leg_length
    for name in ("left_knee", "right_knee", "left_ankle", "right_ankle"):
        wanted = (source.points[name] - _mid_hips(source.points)) * leg_scale
        legs.append(np.linalg.norm(ours[name] - _mid_hips(ours) - wanted, axis=-1))
    for side in ("left", "right"):
        theirs = _arm_length(source.points, side)
        arm_scale = _arm_length(ours, side) / theirs
        for part in ("elbow", "wrist"):
            wanted = (source.points[f"{side}_{part}"] - source.points[f"{side}_shoulder"]) * arm_scale
            arms.append(np.linalg.norm(ours[f"{side}_{part}"] - ours[f"{side}_shoulder"] - wanted, axis=-1))
    return RetargetError(float(np.mean(angles)), 1000 * float(np.mean(legs)), 1000 * float(np.mean(arms)))


def _read_source(bvh: Bvh, joint_map: Mapping[str, str] | None, fps: float) -> tuple[_Source, _Source]:
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
    """Without frame 0 where it is a pose of its own: the body jumps from it to frame 1."""
    if bvh.frame_count < 4:
        return bvh
    window = slice(0, min(bvh.frame_count, 60))
    head = replace(bvh, rotations=bvh.rotations[window], translations=bvh.translations[window])
    positions, _ = head.forward_kinematics()
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(-1)
    height = np.ptp(positions[0], axis=0).max()
    if steps[0] < 0.01 * height or steps[0] < 4 * steps[1:].max():
        return bvh
    return replace(bvh, rotations=bvh.rotations[1:], translations=bvh.translations[1:])


def _resampled(bvh: Bvh, fps: float) -> Bvh:
    if bvh.fps == fps:
        return bvh
    before, weight = resample_grid(bvh.frame_count, bvh.fps, fps)
    after = np.minimum(before + 1, bvh.frame_count - 1)
    rotations = slerp(bvh.rotations[before], bvh.rotations[after], weight[:, None])
    mix = weight[:, None, None]
    translations = bvh.translations[before] * (1 - mix) + bvh.translations[after] * mix
    return replace(bvh, rotations=rotations, translations=translations, fps=fps)


def _named(bvh: Bvh, joints: Mapping[str, int]) -> _Source:
    """Points and turns by our joint names; end sites of the ankles stand in for missing toes."""
    positions, world = bvh.forward_kinematics()
    points = {name: positions[:, joint] for name, joint in joints.items()}
    for side in ("left", "right"):
        ankle = joints[f"{side}_ankle"]
        if f"{side}_foot" not in points and ankle in bvh.end_offsets:
            points[f"{side}_foot"] = positions[:, ankle] + rotate(world[:, ankle], bvh.end_offsets[ankle])
    spine = [world[:, joint] for joint in _spine_chain(bvh.parents, joints)]
    return _Source(points, {name: world[:, joint] for name, joint in joints.items()}, spine)


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


def _choose_reference(source: _Source, stills: _Source) -> _Source:
    """The frame (T = 1) nearest to a T-pose: rest pose, first frame or, failing both, any frame."""
    scores = _distance_from_t_pose(stills)
    if scores.min() < _GOOD_REFERENCE_DEG:
        # The rest pose is preferred unless the first frame is clearly better.
        best = 1 if scores[1] < scores[0] - 10 else 0
        return stills.at(slice(best, best + 1))
    best = int(np.argmin(_distance_from_t_pose(source)))
    return source.at(slice(best, best + 1))


def _distance_from_t_pose(source: _Source) -> FloatArray:
    """Mean angle (T,), degrees, of the limbs from a straight stand with arms out or hanging."""
    body = _body_frame(source)
    angles = []
    for start, end in LIMBS:
        limb = _unit(rotate(inverse(body), source.points[end] - source.points[start]))
        out = limb[:, 0] if start.startswith("left") else -limb[:, 0]
        cosine = -limb[:, 1] if start.endswith(("hip", "knee")) else np.maximum(out, -limb[:, 1])
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    mean: FloatArray = np.mean(angles, axis=0)
    return mean


def _body_frame(source: _Source) -> FloatArray:
    """Rotation (T, 4) of the trunk: +Y up the trunk, or along the nearest axis, +X to its left."""
    points = source.points
    up = _unit((points["left_shoulder"] + points["right_shoulder"]) / 2 - _mid_hips(points))
    axis = np.where(np.abs(up) == np.abs(up).max(-1, keepdims=True), np.sign(up), 0)
    up = np.where(np.sum(up * axis, axis=-1, keepdims=True) > _UPRIGHT_COSINE, axis, up)
    left = points["left_hip"] - points["right_hip"]
    left = _unit(left - np.sum(left * up, axis=-1, keepdims=True) * up)
    return from_matrix(np.stack([left, up, np.cross(left, up)], axis=-1))


def _reference_pose(reference: _Source, skeleton: Skeleton) -> FloatArray:
    """Our body's global rotations (24, 4) in the source's reference pose."""
    body = _body_frame(reference)
    pose: FloatArray = np.repeat(body, len(JOINT_NAMES), axis=0)
    points = reference.points
    for start, end in LIMBS:
        joint, child = _INDEX[start], _INDEX[end]
        # Hips and shoulders start from the trunk, knees and elbows from the limb above.
        above = body[0] if start.endswith(("hip", "shoulder")) else pose[skeleton.parents[joint]]
        now = rotate(above, skeleton.offsets[child])
        pose[joint] = multiply(shortest_arc(now, (points[end] - points[start])[0]), above)
    for side in ("left", "right"):
        pose[_INDEX[f"{side}_wrist"]] = pose[_INDEX[f"{side}_hand"]] = pose[_INDEX[f"{side}_elbow"]]
        if f"{side}_foot" in points:
            foot = rotate(inverse(body), points[f"{side}_foot"] - points[f"{side}_ankle"])
            # Only the direction of the toes counts: the foot is flat.
            level = foot * np.array([1.0, 0.0, 1.0])
            flat = multiply(body, shortest_arc(np.array([0.0, 0.0, 1.0]), level))[0]
            pose[_INDEX[f"{side}_ankle"]] = pose[_INDEX[f"{side}_foot"]] = flat
    return pose


def _follow(source: _Source, reference: _Source, pose: FloatArray) -> FloatArray:
    """Global rotations (T, 24, 4): the reference pose turned as the source's joints turn."""
    spine = [multiply(now, inverse(then)) for now, then in zip(source.spine, reference.spine, strict=True)]
    turned = {
        name: multiply(now, inverse(reference.turns[name]))
        for name, now in source.turns.items()
        if name != "pelvis"
    }
    turned["pelvis"] = spine[0]
    for number in (1, 2, 3):
        place = number / 3 * (len(spine) - 1)
        below, above = spine[int(place)], spine[min(int(place) + 1, len(spine) - 1)]
        turned[f"spine{number}"] = slerp(below, above, place - int(place))
    turned.setdefault("neck", slerp(turned["spine3"], turned["head"], 0.5))
    for side in ("left", "right"):
        turned.setdefault(f"{side}_collar", turned["spine3"])
        turned.setdefault(f"{side}_foot", turned[f"{side}_ankle"])
        turned[f"{side}_hand"] = turned[f"{side}_wrist"]
    return multiply(np.stack([turned[name] for name in JOINT_NAMES], axis=1), pose)


def _align_limbs(world: FloatArray, source: _Source, skeleton: Skeleton) -> FloatArray:
    """The same global rotations with each limb exactly along the source's."""
    aligned = world.copy()
    for start, end in LIMBS:
        joint, child = _INDEX[start], _INDEX[end]
        now = rotate(world[:, joint], skeleton.offsets[child])
        arc = shortest_arc(now, source.points[end] - source.points[start])
        aligned[:, joint] = multiply(arc, world[:, joint])
    return aligned


def _root_road(source: _Source, pelvis: FloatArray, skeleton: Skeleton) -> FloatArray:
    """Positions of our pelvis (T, 3), metres, that put the middle of the hips on the source's, scaled."""
    scale = _leg_length(skeleton) / source.leg_length
    mid_hips = skeleton.offsets[[_INDEX["left_hip"], _INDEX["right_hip"]]].mean(0)
    road: FloatArray = _mid_hips(source.points) * scale - rotate(pelvis, mid_hips)
    return road


def _ground(rotations: FloatArray, root: FloatArray, fps: float, skeleton: Skeleton) -> Motion:
    """Motion with the floor where the soles are lowest, and its contacts."""
    positions, _ = forward_kinematics(skeleton, rotations, root)
    toes = [_INDEX["left_foot"], _INDEX["right_foot"]]
    heels = positions[:, [_INDEX["left_ankle"], _INDEX["right_ankle"]], 1] + skeleton.offsets[toes, 1]
    lowest = np.minimum(heels, positions[:, toes, 1]).min(axis=1)
    floor = np.array([0.0, np.percentile(lowest, FLOOR_PERCENTILE), 0.0])
    contacts = detect_contacts(positions - floor, fps, skeleton)
    return Motion(rotations, root - floor, contacts, fps, skeleton)


def _unit(vectors: FloatArray) -> FloatArray:
    unit: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit


def _mid_hips(points: Mapping[str, FloatArray]) -> FloatArray:
    middle: FloatArray = (points["left_hip"] + points["right_hip"]) / 2
    return middle


def _leg_length(skeleton: Skeleton) -> float:
    return float(np.linalg.norm(skeleton.offsets[[_INDEX["left_knee"], _INDEX["left_ankle"]]], axis=1).sum())


def _arm_length(points: Mapping[str, FloatArray], side: str) -> float:
    chain = [points[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist")]
    return sum(float(np.linalg.norm(b - a, axis=-1).mean()) for a, b in pairwise(chain))
