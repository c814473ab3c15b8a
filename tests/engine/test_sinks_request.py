"""Destinations in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from vrm_factory import vrm_bytes

from bailando.engine.sinks import ChannelMap, OscSink, SinkRequest, SinkSettings, VmcSink
from bailando.engine.sinks.presets import PRESETS
from bailando.engine.sinks.resampled import ResampledSink
from bailando.engine.sinks.vrchat import VrchatSink
from bailando.errors import BailandoError, ConfigError
from bailando.motion.skeleton import Skeleton
from tests.engine.udp_receiver import decode

SKELETON = Skeleton.default()


def test_settings_of_one_destination_beat_the_defaults() -> None:
    defaults = SinkSettings(axes="unity", fps=30)
    request = SinkRequest.parse("osc", "127.0.0.1:9000,axes=unreal,units=m,flat,bundle=mtu", defaults)
    assert str(request.destination) == "127.0.0.1:9000"
    assert request.settings == SinkSettings("mtu", "unreal", "m", flat=True, fps=30)


def test_ipv6_and_multicast_destinations_are_read() -> None:
    assert SinkRequest.parse("osc", "[::1]:9000,flat").destination.host == "::1"
    assert SinkRequest.parse("vmc", "239.255.0.1:39539").destination.host == "239.255.0.1"


def test_fixed_ports_may_be_left_out() -> None:
    assert SinkRequest.parse("vrchat", "127.0.0.1").destination.port == 9000
    assert SinkRequest.parse("livelink", "10.0.0.2").destination.port == 54321


@pytest.mark.parametrize(
    ("protocol", "text", "words"),
    [
        ("vmc", "127.0.0.1:9,axes=unity", "axes"),
        ("osc", "127.0.0.1:9,axes=maya", "unknown axes 'maya'"),
        ("osc", "127.0.0.1:9,units=mm", "m or cm"),
        ("osc", "127.0.0.1:9,bundle=big", "single"),
        ("osc", "127.0.0.1:9,fps=fast", "number"),
        ("osc", "127.0.0.1:9,fps=0", "1 to 240"),
        ("osc", "127.0.0.1:9,flat=maybe", "flat=no"),
        ("osc", "127.0.0.1:9,only-maps", "--map"),
        ("osc", "127.0.0.1", "HOST:PORT"),
        ("livelink", "127.0.0.1:54321,axes=unity", "knows fps"),
    ],
)
def test_bad_destinations_say_what_is_wrong(protocol: str, text: str, words: str) -> None:
    with pytest.raises(BailandoError, match=words):
        SinkRequest.parse(protocol, text)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_makes_a_sink_on_its_port(name: str) -> None:
    request = SinkRequest.for_program(name)
    assert request.destination.port == PRESETS[name].port
    assert request.destination.host == "127.0.0.1"
    assert str(PRESETS[name].port) in request.build(SKELETON).name


def test_program_on_another_machine_and_port() -> None:
    request = SinkRequest.for_program("TouchDesigner@10.0.0.5:7001,fps=30")
    assert (request.destination.host, request.destination.port) == ("10.0.0.5", 7001)
    assert request.settings.axes == "touchdesigner"
    assert isinstance(request.build(SKELETON), ResampledSink)


def test_unknown_program_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown program 'notch'; choose one of vseeface, evmc4u"):
        SinkRequest.for_program("notch")


def test_resolume_gets_its_own_addresses_and_nothing_else() -> None:
    sink = SinkRequest.for_program("resolume").build(SKELETON)
    assert isinstance(sink, OscSink)
    sent = [message for packet in sink.packets for message in decode(packet.data)]
    assert [m.address for m in sent] == [f"/composition/layers/{n}/video/opacity" for n in (1, 2, 3)]
    assert all(len(m.params) == 1 for m in sent)


def test_own_maps_replace_those_of_a_preset() -> None:
    own = SinkSettings(maps=(ChannelMap.parse("beat=/composition/tempocontroller/resync"),))
    sink = SinkRequest.for_program("resolume", own).build(SKELETON)
    assert isinstance(sink, OscSink)
    assert [decode(packet.data)[0].address for packet in sink.packets] == [
        "/composition/tempocontroller/resync"
    ]


def test_sixty_frames_need_no_resampling() -> None:
    assert isinstance(SinkRequest.parse("vmc", "127.0.0.1:39539,fps=60").build(SKELETON), VmcSink)
    assert isinstance(SinkRequest.parse("vrchat", "127.0.0.1").build(SKELETON), VrchatSink)


def test_avatar_of_a_destination_is_read(tmp_path: Path) -> None:
    avatar = tmp_path / "her.vrm"
    avatar.write_bytes(vrm_bytes(1))
    sink = SinkRequest.parse("vmc", f"127.0.0.1:39539,vrm={avatar}").build(SKELETON)
    assert isinstance(sink, VmcSink)
    with pytest.raises(BailandoError, match=r"none\.vrm"):
        SinkRequest.parse("vmc", "127.0.0.1:39539,vrm=none.vrm").build(SKELETON)
