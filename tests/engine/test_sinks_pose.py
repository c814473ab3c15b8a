"""The asymmetric pose as receivers of each convention see it, computed with their own directions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from posed_frame import ROOT_M, TURN_RAD, posed_frame

from bailando.engine.sinks import Destination, OscSink, PacketSink, VmcSink
from bailando.engine.sinks.livelink import LiveLinkSink
from bailando.engine.sinks.vmc import BONES
from bailando.engine.sinks.vrchat import VrchatSink
from bailando.motion.skeleton import JOINT_NAMES, PARENTS, Skeleton
from tests.engine.udp_receiver import Message, Receiver, decode, receiver

Vector = NDArray[np.float64]
# Convention: directions of up, forward and the dancer's left, metres in one unit of length.
DIRECTIONS = {
    "smpl": ((0, 1, 0), (0, 0, 1), (1, 0, 0), 1.0),
    "touchdesigner": ((0, 1, 0), (0, 0, 1), (1, 0, 0), 1.0),
    "unity": ((0, 1, 0), (0, 0, 1), (-1, 0, 0), 1.0),
    "unreal": ((0, 0, 1), (0, 1, 0), (1, 0, 0), 0.01),
    "godot": ((0, 1, 0), (0, 0, -1), (-1, 0, 0), 1.0),
    "blender": ((0, 0, 1), (0, -1, 0), (1, 0, 0), 1.0),
}


@pytest.fixture
def inbox() -> Iterator[Receiver]:
    with receiver() as opened:
        yield opened


def received(sink: PacketSink, inbox: Receiver) -> dict[str, list[Message]]:
    sink.open()
    sink.send(posed_frame())
    sink.close()
    found: dict[str, list[Message]] = {}
    for datagram in inbox.waiting():
        for message in decode(datagram):
            found.setdefault(message.address, []).append(message)
    return found


def assert_is_the_pose(place: dict[str, Vector], axes: str) -> None:
    """Check the places of joints against what the pose looks like, in the receiver's directions."""
    up, forward, left, metres = (np.array(part, float) for part in DIRECTIONS[axes])
    facing = np.cos(TURN_RAD) * forward + np.sin(TURN_RAD) * left
    sideways = np.cos(TURN_RAD) * left - np.sin(TURN_RAD) * forward
    pelvis = place["pelvis"] * metres
    expected = ROOT_M[0] * left + ROOT_M[1] * up + ROOT_M[2] * forward
    np.testing.assert_allclose(pelvis, expected, atol=1e-4)
    arm = (place["left_wrist"] - place["left_shoulder"]) * metres
    np.testing.assert_allclose(arm, 0.515 * up, atol=1e-4)
    other_arm = (place["right_wrist"] - place["right_shoulder"]) * metres
    np.testing.assert_allclose(other_arm, -0.515 * sideways, atol=1e-4)
    leg = (place["right_ankle"] - place["right_hip"]) * metres
    np.testing.assert_allclose(leg, 0.8 * (np.sin(0.7) * facing - np.cos(0.7) * up), atol=1e-4)


def turned(rotation: Vector, vector: Vector) -> Vector:
    """Rotate a vector by a quaternion xyzw as every textbook does; the formula has no handedness."""
    axis, w = rotation[:3], rotation[3]
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)


def product(a: Vector, b: Vector) -> Vector:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])


def chained(offsets: Vector, rotations: Vector) -> dict[str, Vector]:
    """Compute places of joints from local offsets and rotations, as an engine does."""
    world, place = [rotations[0]], [offsets[0]]
    for joint in range(1, len(rotations)):
        above = PARENTS[joint]
        place.append(place[above] + turned(world[above], offsets[joint]))
        world.append(product(world[above], rotations[joint]))
    return dict(zip(JOINT_NAMES, place, strict=False))


@pytest.mark.parametrize("axes", sorted(DIRECTIONS))
def test_plain_osc_positions_are_the_pose(inbox: Receiver, axes: str) -> None:
    found = received(OscSink(Destination("127.0.0.1", inbox.port), axes), inbox)
    place = {name: np.array(found[f"/bailando/joint/{name}/pos"][0].params, float) for name in JOINT_NAMES}
    assert_is_the_pose(place, axes)


@pytest.mark.parametrize("axes", sorted(DIRECTIONS))
def test_plain_osc_rotations_move_the_rest_pose_into_the_pose(inbox: Receiver, axes: str) -> None:
    found = received(OscSink(Destination("127.0.0.1", inbox.port), axes), inbox)
    rotations = np.array([found[f"/bailando/joint/{name}/rot"][0].params for name in JOINT_NAMES], float)
    up, forward, left, metres = (np.array(part, float) for part in DIRECTIONS[axes])
    offsets = Skeleton.default().offsets @ np.array([left, up, forward]) / metres
    offsets[0] = found["/bailando/root/pos"][0].params
    assert_is_the_pose(chained(offsets, rotations), axes)


def test_vmc_bones_chain_into_the_pose(inbox: Receiver) -> None:
    rest = Skeleton.default().offsets.astype(np.float32)
    found = received(VmcSink(Destination("127.0.0.1", inbox.port), rest), inbox)
    bones = [message.params for message in found["/VMC/Ext/Bone/Pos"]]
    assert [bone[0] for bone in bones] == list(BONES)
    numbers = np.array([bone[1:] for bone in bones], float)
    assert_is_the_pose(chained(numbers[:, :3], numbers[:, 3:]), "unity")


def test_live_link_bones_chain_into_the_pose(inbox: Receiver) -> None:
    import json

    sink = LiveLinkSink(Destination("127.0.0.1", inbox.port), Skeleton.default())
    sink.open()
    sink.send(posed_frame())
    sink.close()
    bones = json.loads(inbox.datagram())["bailando"]
    assert [bone["Name"] for bone in bones] == list(JOINT_NAMES)
    assert [bone["Parent"] for bone in bones] == list(PARENTS)
    assert all(bone["Scale"] == [1, 1, 1] for bone in bones)
    offsets = np.array([bone["Location"] for bone in bones])
    assert_is_the_pose(chained(offsets, np.array([bone["Rotation"] for bone in bones])), "unreal")


def test_vrchat_trackers_stand_where_the_joints_are(inbox: Receiver) -> None:
    found = received(VrchatSink(Destination("127.0.0.1", inbox.port), Skeleton.default()), inbox)
    frame = posed_frame()
    for tracker, joint in (("1", "pelvis"), ("3", "left_ankle"), ("8", "right_elbow"), ("head", "head")):
        ours = frame.positions[JOINT_NAMES.index(joint)] * (-1, 1, 1)
        theirs = found[f"/tracking/trackers/{tracker}/position"][0].params
        np.testing.assert_allclose(theirs, ours, atol=1e-6)
    assert len(found) == 18


def test_vrchat_angles_turn_as_unity_applies_them(inbox: Receiver) -> None:
    found = received(VrchatSink(Destination("127.0.0.1", inbox.port), Skeleton.default()), inbox)
    # 30 degrees to the dancer's left is a negative turn about Unity's Y; the thigh lifts about X.
    np.testing.assert_allclose(found["/tracking/trackers/1/rotation"][0].params, (0, -30, 0), atol=1e-3)
    knee = found["/tracking/trackers/6/rotation"][0].params
    np.testing.assert_allclose(knee, (np.degrees(-0.7), -30, 0), atol=1e-3)
