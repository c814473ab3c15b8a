"""Other frame rates than 60."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from bailando.engine.frame import Frame
from bailando.engine.sinks import Destination, OscSink, SinkRequest
from bailando.engine.sinks.resampled import ResampledSink, Resampler
from bailando.errors import ConfigError
from bailando.motion.rotations import from_axis_angle
from bailando.motion.skeleton import Skeleton
from tests.engine.frame_factory import make_frame
from tests.engine.udp_receiver import decode, receiver


def turning(number: int) -> Frame:
    """A dancer who turns and walks at constant speed."""
    vectors = np.zeros((24, 3))
    vectors[:, 1] = 0.03 * number
    frame = make_frame(number)
    place = np.full((24, 3), 0.01 * number, np.float32)
    return replace(
        frame, rotations=from_axis_angle(vectors).astype(np.float32), positions=place, root_position=place[0]
    )


def resampled(fps: float, count: int = 121) -> list[Frame]:
    resampler = Resampler(fps)
    return [frame for number in range(count) for frame, _ in resampler.push(turning(number))]


@pytest.mark.parametrize(
    ("fps", "expected"), [(30, 61), (25, 51), (50, 101), (24, 49), (72, 145), (120, 241)]
)
def test_two_seconds_hold_twice_the_rate(fps: float, expected: int) -> None:
    frames = resampled(fps)
    assert [frame.number for frame in frames] == list(range(expected))


@pytest.mark.parametrize("fps", [25, 30, 72, 59.94])
def test_each_frame_is_the_dance_at_its_own_time(fps: float) -> None:
    for frame in resampled(fps):
        time_frames = frame.number * 60 / fps
        np.testing.assert_allclose(frame.positions, 0.01 * time_frames, atol=1e-5)
        half = 0.5 * 0.03 * time_frames
        np.testing.assert_allclose(frame.rotations[0], (0, np.sin(half), 0, np.cos(half)), atol=1e-5)


def test_no_beat_is_lost_or_told_twice() -> None:
    for fps in (13, 30, 100):
        resampler = Resampler(fps)
        frames = [make_frame(number, beat=number % 30 == 7) for number in range(301)]
        given = [frame for sent in frames for frame, _ in resampler.push(sent)]
        assert sum(frame.beat for frame in given) == 10


def test_lost_frames_are_bridged() -> None:
    resampler = Resampler(30)
    numbers = [0, 1, 2, 9, 10, 11, 12]
    given = [frame for number in numbers for frame, _ in resampler.push(turning(number))]
    assert [frame.number for frame in given] == [0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(given[3].positions, 0.06, atol=1e-5)


@pytest.mark.parametrize("fps", [0, -1, 241, float("nan"), float("inf")])
def test_impossible_rates_are_refused(fps: float) -> None:
    with pytest.raises(ConfigError, match="give 1 to 240"):
        Resampler(fps)


def test_sink_sends_at_the_rate_with_its_own_clock() -> None:
    with receiver() as inbox:
        sink = ResampledSink(OscSink(Destination("127.0.0.1", inbox.port)), 25)
        sink.open()
        for number in range(61):
            sink.send(turning(number))
            time.sleep(0.002)
        sink.close()
        messages = [decode(datagram) for datagram in inbox.waiting()]
    times = [m.params[0] for bundle in messages for m in bundle if m.address == "/bailando/time"]
    assert times == pytest.approx([number / 25 for number in range(26)], abs=1e-6)
    assert sink.counters.datagrams == 26


def test_live_link_has_the_rate_that_is_asked_for() -> None:
    with receiver() as inbox:
        sink = SinkRequest.parse("livelink", f"127.0.0.1:{inbox.port},fps=24").build(Skeleton.default())
        sink.open()
        for number in range(61):
            sink.send(turning(number))
            time.sleep(0.002)
        sink.close()
        poses = [json.loads(datagram)["bailando"] for datagram in inbox.waiting()]
    heights_cm = [pose[0]["Location"][2] for pose in poses]
    assert heights_cm == pytest.approx([number * 60 / 24 for number in range(25)], abs=1e-3)
