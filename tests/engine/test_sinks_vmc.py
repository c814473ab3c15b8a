"""The VMC stream as a receiver sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bailando.engine.axes import convert_positions, convert_rotations
from bailando.engine.sinks import Destination, VmcSink
from bailando.engine.sinks.vmc import BONES
from bailando.errors import ConfigError, OutputError
from bailando.motion.files.vrm import VrmAvatar
from bailando.motion.kinematics import forward_kinematics, global_rotations
from bailando.motion.rotations import multiply
from bailando.motion.skeleton import JOINT_NAMES, Skeleton
from tests.engine.frame_factory import make_frame, rest_offsets_m
from tests.engine.udp_receiver import Message, Receiver, decode, receiver


@pytest.fixture
def inbox() -> Iterator[Receiver]:
    with receiver() as opened:
        yield opened


def one_frame(inbox: Receiver, number: int = 6) -> list[Message]:
    sink = VmcSink(Destination("127.0.0.1", inbox.port), rest_offsets_m())
    sink.open()
    sink.send(make_frame(number))
    sink.close()
    return decode(inbox.datagram())


def bones(messages: list[Message]) -> dict[Any, np.ndarray[Any, Any]]:
    found = [m.params for m in messages if m.address == "/VMC/Ext/Bone/Pos"]
    return {params[0]: np.array(params[1:], dtype=np.float32) for params in found}


def test_frame_is_root_22_bones_ok_time_in_order(inbox: Receiver) -> None:
    messages = one_frame(inbox)
    expected = ["/VMC/Ext/Root/Pos", *["/VMC/Ext/Bone/Pos"] * 22, "/VMC/Ext/OK", "/VMC/Ext/T"]
    assert [m.address for m in messages] == expected
    assert [m.params[0] for m in messages[1:23]] == list(BONES)
    assert messages[-2].params == [1, 3, 0, 1]
    assert messages[-1].params == [pytest.approx(6 / 60)]


def test_root_stays_at_the_origin(inbox: Receiver) -> None:
    assert one_frame(inbox)[0].params == ["root", 0, 0, 0, 0, 0, 0, 1]


def test_hips_carry_position_and_rotation_in_unity_axes(inbox: Receiver) -> None:
    frame = make_frame(6)
    hips = bones(one_frame(inbox))["Hips"]
    np.testing.assert_allclose(hips[:3], convert_positions(frame.root_position, "unity"), rtol=1e-6)
    np.testing.assert_allclose(hips[3:], convert_rotations(frame.rotations[0], "unity"), atol=1e-6)


def test_other_bones_keep_their_rest_offsets_and_turn(inbox: Receiver) -> None:
    frame = make_frame(6)
    found = bones(one_frame(inbox))
    for joint in (1, 18, 21):
        offset = convert_positions(rest_offsets_m()[joint], "unity")
        np.testing.assert_allclose(found[BONES[joint]][:3], offset, rtol=1e-6)
        rotation = convert_rotations(frame.rotations[joint], "unity")
        np.testing.assert_allclose(found[BONES[joint]][3:], rotation, atol=1e-6)


def test_quaternions_are_units_even_if_the_frame_is_sloppy(inbox: Receiver) -> None:
    sink = VmcSink(Destination("127.0.0.1", inbox.port), rest_offsets_m())
    frame = make_frame(2)
    frame.rotations[:] *= 1.01
    rotations = sink.values(frame)[3:].reshape(22, 4)
    np.testing.assert_allclose(np.linalg.norm(rotations, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("broken", [0.0, np.nan, np.inf])
def test_broken_rotations_from_the_first_frame_on_leave_as_no_rotation(
    inbox: Receiver, broken: float
) -> None:
    sink = VmcSink(Destination("127.0.0.1", inbox.port), rest_offsets_m())
    frame = make_frame(0)
    frame.rotations[4, : 4 if broken == 0.0 else 1] = broken
    sink.open()
    sink.send(frame)
    sink.close()
    found = bones(decode(inbox.datagram()))
    np.testing.assert_array_equal(found["LeftLowerLeg"][3:], [0, 0, 0, 1])
    np.testing.assert_allclose(np.linalg.norm(found["Hips"][3:]), 1.0, atol=1e-6)


def test_bones_are_named_after_the_joints_side() -> None:
    for joint, bone in ((1, "LeftUpperLeg"), (8, "RightFoot"), (13, "LeftShoulder"), (21, "RightHand")):
        assert BONES[joint] == bone


def test_network_destination_splits_below_one_mtu_with_ok_and_time_last() -> None:
    packets = VmcSink(Destination("192.0.2.1", 39539), rest_offsets_m()).packets
    assert len(packets) == 2
    assert max(len(packet.data) for packet in packets) <= 1400
    assert [m.address for m in decode(packets[-1].data)][-2:] == ["/VMC/Ext/OK", "/VMC/Ext/T"]


def test_loopback_destination_gets_one_bundle() -> None:
    assert len(VmcSink(Destination("127.0.0.1", 39539), rest_offsets_m()).packets) == 1


def test_no_receiver_is_counted_and_survived() -> None:
    with receiver() as gone:
        port = gone.port
    sink = VmcSink(Destination("127.0.0.1", port), rest_offsets_m())
    sink.open()
    for number in range(5):
        sink.send(make_frame(number))
    sink.close()
    sink.close()
    assert sink.counters.frames == 5
    assert sink.counters.datagrams + sink.counters.failures == 5


def test_receiver_that_comes_back_misses_nothing(inbox: Receiver) -> None:
    sink = VmcSink(Destination("127.0.0.1", inbox.port), rest_offsets_m())
    sink.open()
    for number in range(3):
        sink.send(make_frame(number))
    sink.close()
    assert [decode(data)[-1].params[0] for data in inbox.waiting()] == pytest.approx([0, 1 / 60, 2 / 60])


def test_sending_before_opening_says_so() -> None:
    with pytest.raises(OutputError, match="is not open"):
        VmcSink(Destination("127.0.0.1", 39539), rest_offsets_m()).send(make_frame())


def test_rest_offsets_of_another_body_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(22, 3\); expected \(24, 3\)"):
        VmcSink(Destination("127.0.0.1", 39539), rest_offsets_m()[:22])


def avatar_without(*missing: str, size: float = 1.0) -> VrmAvatar:
    skeleton = Skeleton.default()
    rest, _ = forward_kinematics(skeleton, np.tile((0.0, 0, 0, 1), (24, 1)), np.array((0, 0.965, 0)))
    places = {name: size * rest[joint] for joint, name in enumerate(JOINT_NAMES[:22])}
    return VrmAvatar(1, {name: (x, y, z) for name, (x, y, z) in places.items() if name not in missing})


def test_avatar_s_offsets_are_sent_and_the_hips_scaled(inbox: Receiver) -> None:
    avatar = avatar_without(size=0.5)
    sink = VmcSink(Destination("127.0.0.1", inbox.port), rest_offsets_m(), "auto", avatar, 0.5)
    sink.open()
    sink.send(make_frame(4))
    sink.close()
    found = bones(decode(inbox.datagram()))
    expected = convert_positions(0.5 * make_frame(4).root_position, "unity")
    np.testing.assert_allclose(found["Hips"][:3], expected, rtol=1e-6)
    offset = convert_positions((0.5 * Skeleton.default().offsets[18]).astype(np.float32), "unity")
    np.testing.assert_allclose(found["LeftLowerArm"][:3], offset, atol=1e-6)


def test_rotations_of_bones_that_the_avatar_lacks_are_handed_on(inbox: Receiver) -> None:
    missing = ("spine3", "left_collar", "neck", "left_foot")
    sink = VmcSink(Destination("127.0.0.1", inbox.port), rest_offsets_m(), avatar=avatar_without(*missing))
    frame = make_frame(8)
    sink.open()
    sink.send(frame)
    sink.close()
    found = bones(decode(inbox.datagram()))
    assert set(BONES) - set(found) == {"UpperChest", "LeftShoulder", "Neck", "LeftToes"}
    world = convert_rotations(global_rotations(Skeleton.default(), frame.rotations), "unity")
    for bone, chain in (
        ("LeftHand", "Hips Spine Chest LeftUpperArm LeftLowerArm LeftHand"),
        ("Head", "Hips Spine Chest Head"),
    ):
        turn = np.array([0.0, 0, 0, 1])
        for name in chain.split():
            turn = multiply(turn, found[name][3:].astype(float))
        assert abs(turn @ world[BONES.index(bone)]) == pytest.approx(1.0, abs=1e-5)
