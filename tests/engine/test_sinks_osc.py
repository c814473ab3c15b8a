"""The plain OSC namespace: numbers only."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.axes import convert_positions, convert_rotations
from bailando.engine.sinks import ChannelMap, Destination, OscSink
from bailando.engine.sinks.osc_packets import MTU_BYTES
from bailando.errors import ConfigError
from bailando.motion.skeleton import JOINT_NAMES
from tests.engine.frame_factory import make_frame
from tests.engine.udp_receiver import decode

HERE = Destination("127.0.0.1", 9000)
MUSIC = {"beat": True, "bpm": 128.0, "phase": 0.25, "confidence": 0.5, "level": 0.75, "onset": 0.125}


def sent(sink: OscSink, number: int = 6) -> dict[str, list[object]]:
    frame = make_frame(number, **MUSIC)
    values = sink.values(frame)
    messages = [m for p in sink.packets for m in decode(p.template().patch(values, number))]
    assert len({m.address for m in messages}) == len(messages)
    return dict(messages)


def test_all_arguments_are_numbers() -> None:
    for flat in (False, True):
        for params in sent(OscSink(HERE, flat=flat)).values():
            assert all(type(value) in (int, float) for value in params)


def test_namespace_is_complete() -> None:
    joints = {f"/bailando/joint/{name}/{part}" for name in JOINT_NAMES for part in ("pos", "rot")}
    single = {"root/pos", "root/rot", "pose", "frame", "time", *MUSIC}
    assert set(sent(OscSink(HERE))) == joints | {f"/bailando/{name}" for name in single}


@pytest.mark.parametrize("axes", ["smpl", "unity", "unreal", "godot", "blender", "touchdesigner"])
def test_joints_are_converted(axes: str) -> None:
    found, frame = sent(OscSink(HERE, axes=axes)), make_frame(6)
    wrist = JOINT_NAMES.index("left_wrist")
    np.testing.assert_allclose(
        np.array(found["/bailando/joint/left_wrist/pos"]),
        convert_positions(frame.positions[wrist], axes),
        rtol=1e-5,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        np.array(found["/bailando/joint/left_wrist/rot"]),
        convert_rotations(frame.rotations[wrist], axes),
        atol=1e-6,
    )


def test_units_override_the_axes_own() -> None:
    metres = sent(OscSink(HERE, axes="unreal", unit="m"))["/bailando/root/pos"]
    centimetres = sent(OscSink(HERE, axes="unreal"))["/bailando/root/pos"]
    np.testing.assert_allclose(np.array(centimetres), 100 * np.array(metres), rtol=1e-5)


def test_pose_is_frame_time_positions_rotations() -> None:
    found, frame = sent(OscSink(HERE)), make_frame(6)
    pose = found["/bailando/pose"]
    assert pose[:2] == [6, pytest.approx(0.1)]
    np.testing.assert_allclose(np.array(pose[2:74]), frame.positions.ravel(), rtol=1e-6)
    np.testing.assert_allclose(np.array(pose[74:]), frame.rotations.ravel(), rtol=1e-6)


def test_music_is_single_numbers() -> None:
    found = sent(OscSink(HERE))
    assert {name: found[f"/bailando/{name}"] for name in MUSIC} == {
        "beat": [1],
        "bpm": [128.0],
        "phase": [0.25],
        "confidence": [0.5],
        "level": [0.75],
        "onset": [0.125],
    }
    assert found["/bailando/frame"] == [6]


def test_flat_sends_one_number_per_address() -> None:
    nested, flat = sent(OscSink(HERE)), sent(OscSink(HERE, flat=True))
    assert all(len(params) == 1 for params in flat.values())
    rotation = [flat[f"/bailando/joint/head/rot/{axis}"][0] for axis in "xyzw"]
    assert rotation == nested["/bailando/joint/head/rot"]
    assert [flat[f"/bailando/root/pos/{axis}"][0] for axis in "xyz"] == nested["/bailando/root/pos"]


@pytest.mark.parametrize("flat", [False, True])
def test_datagrams_on_a_network_fit_an_ethernet_frame(flat: bool) -> None:
    packets = OscSink(Destination("192.0.2.1", 9000), flat=flat).packets
    assert len(packets) > 1
    assert max(len(packet.data) for packet in packets) <= MTU_BYTES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("level=/layer/opacity", 0.75),
        ("beat=/layer/flash:0:1", 1.0),
        ("bpm=/tempo:20:500", (128 - 20) / 480),
        ("level=/layer/opacity:1:0", 0.25),
        ("level=/layer/opacity:0:0.5", 1.0),
    ],
)
def test_map_scales_a_number_to_the_unit_interval(text: str, expected: float) -> None:
    entry = ChannelMap.parse(text)
    assert sent(OscSink(HERE, maps=[entry]))[entry.address] == [pytest.approx(expected)]


def test_map_reaches_single_joint_coordinates() -> None:
    entry = ChannelMap.parse("joint/left_wrist/pos/y=/height:-1:2")
    height = make_frame(6).positions[JOINT_NAMES.index("left_wrist"), 1]
    assert sent(OscSink(HERE, maps=[entry]))["/height"] == [pytest.approx((height + 1) / 3, rel=1e-5)]


@pytest.mark.parametrize(
    "text",
    ["", "level", "volume=/x", "level=x", "level=/x:1", "level=/x:a:b", "level=/x:1:1", "level=/x y:0:1"],
)
def test_bad_map_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ChannelMap.parse(text)
    assert "\n" not in str(caught.value)


def test_unknown_axes_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown axes"):
        OscSink(HERE, axes="maya")
