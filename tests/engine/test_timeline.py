"""Frames by number, whatever the dance does: on time, late, or never."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest

from bailando.engine.session import MotionChunk
from bailando.engine.timeline import BLEND_FRAMES, CUT_BLEND_FRAMES, Pose, Timeline
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.rotations import from_axis_angle
from bailando.motion.skeleton import Skeleton

SKELETON = Skeleton.default()


def swing(first_frame: int, frames: int = 8) -> MotionChunk:
    """One arm turns at a constant rate and the root walks on."""
    numbers = np.arange(first_frame, first_frame + frames)
    turns = np.zeros((frames, 24, 3), np.float32)
    turns[:, 16, 2] = 0.02 * numbers
    root = np.stack([0.01 * numbers, np.full(frames, 0.9), np.zeros(frames)], axis=1).astype(np.float32)
    rotations = from_axis_angle(turns)
    positions, _ = forward_kinematics(SKELETON, rotations, root)
    return MotionChunk(first_frame, rotations, positions, root, np.ones((frames, 4), np.float32), 1, 2)


def take(timeline: Timeline, count: int) -> list[Pose]:
    return [timeline.take() for _ in range(count)]


def test_frames_leave_as_they_came_when_the_dance_is_on_time() -> None:
    timeline = Timeline(SKELETON)
    timeline.put(swing(0))
    timeline.put(swing(8))
    poses = take(timeline, 16)
    whole = swing(0, 16)
    np.testing.assert_array_equal([pose.rotations for pose in poses], whole.rotations)
    np.testing.assert_array_equal([pose.positions for pose in poses], whole.positions)
    assert all(pose.danced for pose in poses)
    assert timeline.late_tokens == 0


def test_late_dance_goes_on_and_dies_away() -> None:
    timeline = Timeline(SKELETON)
    timeline.put(swing(0))
    poses = take(timeline, 60)
    steps = np.diff([pose.root_position[0] for pose in poses])
    assert not any(pose.danced for pose in poses[8:])
    assert 0.005 < steps[7] < 0.01
    assert np.all(np.diff(steps[7:]) <= 1e-6)
    assert abs(steps[-1]) < 1e-4
    np.testing.assert_allclose(np.linalg.norm(poses[-1].rotations, axis=-1), 1.0, atol=1e-5)


def test_dance_that_is_back_blends_in_without_a_jump_and_ends_exact() -> None:
    timeline = Timeline(SKELETON)
    timeline.put(swing(0))
    poses = take(timeline, 20)
    for first in (8, 16, 24, 32, 40):
        timeline.put(swing(first))
    poses += take(timeline, 28)
    largest = max(
        float(np.abs(after.positions - before.positions).max()) for before, after in itertools.pairwise(poses)
    )
    assert largest < 0.045
    exact = swing(20, 28)
    assert not np.allclose(poses[21].root_position, exact.root_position[1], atol=1e-3)
    np.testing.assert_array_equal(poses[20 + BLEND_FRAMES].rotations, exact.rotations[BLEND_FRAMES])
    assert timeline.late_tokens == 2
    assert all(pose.danced for pose in poses[20:])


def test_chunk_that_is_half_late_gives_its_other_half() -> None:
    timeline = Timeline(SKELETON)
    timeline.put(swing(0))
    take(timeline, 12)
    timeline.put(swing(8))
    assert timeline.next_number == 12
    take(timeline, 4)
    assert timeline.next_number == 16
    assert timeline.take().danced is False


def test_before_any_dance_the_body_stands_on_the_floor() -> None:
    pose = Timeline(SKELETON).take()
    assert pose.danced is False
    assert pose.positions[:, 1].min() == pytest.approx(0.0, abs=1e-6)


def test_end_cuts_the_last_chunk() -> None:
    timeline = Timeline(SKELETON)
    timeline.put(swing(0))
    timeline.finish(5)
    taken = 0
    while not timeline.ended:
        timeline.take()
        taken += 1
    assert taken == 5


def test_waiting_ends_when_a_frame_comes() -> None:
    timeline = Timeline(SKELETON)
    assert timeline.wait(0.0) is False
    timer = threading.Timer(0.02, timeline.put, [swing(0)])
    timer.start()
    assert timeline.wait(5.0) is True
    timer.join()


def test_dancer_put_elsewhere_walks_over_instead_of_jumping() -> None:
    timeline = Timeline(SKELETON)
    timeline.put(swing(0))
    moved = swing(8, 80)
    root = moved.root_position + np.array([2.0, 0.0, 1.0], np.float32)
    positions, _ = forward_kinematics(SKELETON, moved.rotations, root)
    timeline.put(replace(moved, root_position=root, positions=positions, cut=True))
    poses = take(timeline, 88)
    steps = np.linalg.norm(np.diff([pose.root_position for pose in poses], axis=0), axis=1)
    assert steps.max() < 0.1
    np.testing.assert_array_equal(poses[8 + CUT_BLEND_FRAMES].positions, positions[CUT_BLEND_FRAMES])
    assert all(pose.danced for pose in poses)
