"""Foreign motion onto our body.

Each joint of ours follows the change of its counterpart's global rotation since a reference
pose. In that pose, which is as close to a T-pose as the file has (its rest pose, or a frame), our
body is posed by directions: limbs along the source's limbs without added twist, trunk upright in
the source's body frame, feet flat. Limbs are then turned exactly onto the source's limb
directions, and legs bent until the feet are where the source's were, scaled. The road of the hips is
scaled by the ratio of the leg lengths, and the floor is put at the height that the feet reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bailando.motion.bvh import Bvh
from bailando.motion.contacts import detect_contacts
from bailando.motion.foreign import ForeignMotion, read_foreign
from bailando.motion.kinematics import forward_kinematics, local_rotations
from bailando.motion.motion import Motion
from bailando.motion.rotations import (
    FloatArray,
    from_matrix,
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
_FORWARD = np.array([0.0, 0.0, 1.0])
_GOOD_REFERENCE_DEG = 30.0
_UPRIGHT_COSINE = float(np.cos(np.radians(25)))


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
    source, stills = read_foreign(bvh, joint_map, fps)
    reference = _choose_reference(source, stills)
    world = _follow(source, reference, _reference_pose(reference, skeleton))
    world = _align_limbs(world, source, skeleton)
    root = _root_road(source, world[:, 0], skeleton)
    world = _plant_feet(world, root, source, skeleton)
    rotations = make_continuous(local_rotations(skeleton, world))
    return ground(rotations, root, fps, skeleton)


def retarget_error(bvh: Bvh, motion: Motion, joint_map: Mapping[str, str] | None = None) -> RetargetError:
    """Compare a motion with the file it came from (same arguments as for `retarget`)."""
    source, _ = read_foreign(bvh, joint_map, motion.fps)
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


def _choose_reference(source: ForeignMotion, stills: ForeignMotion) -> ForeignMotion:
    """The frame (T = 1) nearest to a T-pose: rest pose, first frame or, failing both, any frame."""
    scores = _distance_from_t_pose(stills)
    if scores.min() < _GOOD_REFERENCE_DEG:
        # The rest pose is preferred unless the first frame is clearly better.
        best = 1 if scores[1] < scores[0] - 10 else 0
        return stills.at(slice(best, best + 1))
    best = int(np.argmin(_distance_from_t_pose(source)))
    return source.at(slice(best, best + 1))


def _distance_from_t_pose(source: ForeignMotion) -> FloatArray:
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


def _body_frame(source: ForeignMotion) -> FloatArray:
    """Rotation (T, 4) of the trunk: +Y up the trunk, or along the nearest axis, +X to its left."""
    points = source.points
    trunk = _unit((points["left_shoulder"] + points["right_shoulder"]) / 2 - _mid_hips(points))
    axis = np.where(np.abs(trunk) == np.abs(trunk).max(-1, keepdims=True), np.sign(trunk), 0)
    up: FloatArray = np.where(np.sum(trunk * axis, axis=-1, keepdims=True) > _UPRIGHT_COSINE, axis, trunk)
    left: FloatArray = points["left_hip"] - points["right_hip"]
    left = _unit(left - np.sum(left * up, axis=-1, keepdims=True) * up)
    return from_matrix(np.stack([left, up, np.cross(left, up)], axis=-1))


def _reference_pose(reference: ForeignMotion, skeleton: Skeleton) -> FloatArray:
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


def _follow(source: ForeignMotion, reference: ForeignMotion, pose: FloatArray) -> FloatArray:
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


def _align_limbs(world: FloatArray, source: ForeignMotion, skeleton: Skeleton) -> FloatArray:
    """The same global rotations with each limb exactly along the source's."""
    aligned = world.copy()
    for start, end in LIMBS:
        joint, child = _INDEX[start], _INDEX[end]
        now = rotate(world[:, joint], skeleton.offsets[child])
        arc = shortest_arc(now, source.points[end] - source.points[start])
        aligned[:, joint] = multiply(arc, world[:, joint])
    return aligned


def _root_road(source: ForeignMotion, pelvis: FloatArray, skeleton: Skeleton) -> FloatArray:
    """Positions of our pelvis (T, 3), metres, that put the middle of the hips on the source's, scaled."""
    scale = _leg_length(skeleton) / source.leg_length
    mid_hips = skeleton.offsets[[_INDEX["left_hip"], _INDEX["right_hip"]]].mean(0)
    road: FloatArray = _mid_hips(source.points) * scale - rotate(pelvis, mid_hips)
    return road


def _plant_feet(world: FloatArray, root: FloatArray, source: ForeignMotion, skeleton: Skeleton) -> FloatArray:
    """The same global rotations with each leg bent so that the ankle moves as the source's, scaled.

    Thigh and shin of the source may differ from ours in proportion; copying directions alone
    would let planted feet slide. The knee stays in the plane it was in.
    """
    planted = world.copy()
    scale = _leg_length(skeleton) / source.leg_length
    middle = _mid_hips(source.points)
    for side in ("left", "right"):
        hip, knee, ankle = (_INDEX[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        start = root + rotate(world[:, 0], skeleton.offsets[hip])
        centre = root + rotate(
            world[:, 0], skeleton.offsets[[_INDEX["left_hip"], _INDEX["right_hip"]]].mean(0)
        )
        reach = centre + (source.points[f"{side}_ankle"] - middle) * scale - start
        bend = rotate(world[:, hip], skeleton.offsets[knee]) + 0.01 * rotate(world[:, hip], _FORWARD)
        thigh, shin = _two_bones(reach, bend, *np.linalg.norm(skeleton.offsets[[knee, ankle]], axis=1))
        for joint, child, direction in ((hip, knee, thigh), (knee, ankle, shin)):
            now = rotate(world[:, joint], skeleton.offsets[child])
            planted[:, joint] = multiply(shortest_arc(now, direction), world[:, joint])
    return planted


def _two_bones(
    reach: FloatArray, bend: FloatArray, first: float, second: float
) -> tuple[FloatArray, FloatArray]:
    """Directions of two bones of given lengths that span `reach` (T, 3) and bend towards `bend` (T, 3)."""
    straight = _unit(reach)
    span = np.clip(np.linalg.norm(reach, axis=-1), abs(first - second) + 1e-3, first + second - 1e-5)
    along = (first**2 - second**2 + span**2) / (2 * span)
    aside = np.sqrt(np.maximum(first**2 - along**2, 0))
    side = _unit(bend - np.sum(bend * straight, axis=-1, keepdims=True) * straight)
    joint = along[:, None] * straight + aside[:, None] * side
    return joint, span[:, None] * straight - joint


def ground(rotations: FloatArray, root: FloatArray, fps: float, skeleton: Skeleton) -> Motion:
    """Motion whose floor, y = 0, is where the soles are at their lowest, with contacts found."""
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
