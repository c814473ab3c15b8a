from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from bailando.errors import InputError
from bailando.motion.bvh import read_bvh
from bailando.motion.grounding import BodyConfig, BodyState, refine, refine_motion, refine_together
from bailando.motion.motion import Motion
from bailando.motion.retarget import retarget
from bailando.motion.rotations import about_axis, identity, inverse, multiply, to_axis_angle
from bailando.motion.skeleton import CONTACT_JOINTS, Skeleton

DATA = Path(__file__).parents[1] / "data" / "motion"
FPS = 60
STAND_M = 0.97


@lru_cache(maxsize=2)
def drifting_dance(name: str = "g1_jazz_walk.bvh") -> Motion:
    """A real dance whose root drifts, bobs below the floor and whose contacts stay right."""
    clean = retarget(read_bvh(DATA / name))
    time_s = np.arange(clean.frame_count) / FPS
    drift = np.stack([0.15 * time_s, 0.015 * np.sin(5 * time_s) - 0.01, 0.04 * np.sin(3 * time_s)], axis=-1)
    return replace(clean, root_position=clean.root_position + drift)


def standing(frame_count: int, height_m: float = STAND_M) -> Motion:
    """Knees bent a little, feet flat, nothing moves."""
    bend = np.full(frame_count, 0.3)
    rotations = identity((frame_count, 24))
    for side in (0, 1):
        rotations[:, 1 + side] = about_axis("X", -bend)
        rotations[:, 4 + side] = about_axis("X", 2 * bend)
        rotations[:, 7 + side] = about_axis("X", -bend)
    root = np.tile([0.0, 0, 0], (frame_count, 1))
    motion = Motion(rotations, root, np.ones((frame_count, 4)))
    root[:, 1] = height_m - STAND_M - motion.positions[0, 10, 1]
    return replace(motion, root_position=root)


def skate_m_s(motion: Motion) -> float:
    feet = motion.positions[:, CONTACT_JOINTS][..., [0, 2]]
    planted = (motion.contacts[1:] > 0.5) & (motion.contacts[:-1] > 0.5)
    return float(np.linalg.norm(np.diff(feet, axis=0), axis=-1)[planted].mean() * FPS)


def leg_speed_rad_s(motion: Motion) -> float:
    legs = motion.rotations[:, [1, 2, 4, 5]].astype(np.float64)
    return float(np.linalg.norm(to_axis_angle(multiply(inverse(legs[:-1]), legs[1:])), axis=-1).max() * FPS)


@pytest.mark.parametrize("name", ["g1_jazz_walk.bvh", "rokoko_dance.bvh"])
def test_feet_in_contact_hardly_slide(name: str) -> None:
    before = drifting_dance(name)
    assert skate_m_s(before) > 0.14
    assert skate_m_s(refine_motion(before)) < 0.4 * skate_m_s(before)


def test_feet_stay_above_the_floor() -> None:
    before = drifting_dance()
    assert before.positions[:, 10:12, 1].min() < -0.01
    after = refine_motion(before).positions
    assert after[:, CONTACT_JOINTS, 1].min() > -1e-4


def test_both_feet_far_below_the_floor_lift_the_root() -> None:
    sunk = standing(120, STAND_M - 0.06)
    after = refine_motion(replace(sunk, contacts=np.zeros((120, 4))))
    assert after.positions[:, CONTACT_JOINTS, 1].min() > -1e-4
    rise = after.root_position[:, 1] - sunk.root_position[:, 1]
    assert rise[-1] > 0.02
    assert np.abs(np.diff(rise)).max() < 0.005


def test_legs_do_not_turn_much_faster_than_before() -> None:
    before = drifting_dance()
    assert leg_speed_rad_s(refine_motion(before)) < 1.4 * leg_speed_rad_s(before) + 1.0


def test_no_joint_jumps() -> None:
    before = drifting_dance()
    speed = [
        np.linalg.norm(np.diff(m.positions, axis=0), axis=-1).max() for m in (before, refine_motion(before))
    ]
    assert speed[1] < 1.25 * speed[0]


def test_a_foot_is_released_softly() -> None:
    motion = standing(90)
    root = motion.root_position + np.linspace(0, 0.05, 90)[:, None] * np.array([1.0, 0, 0])
    contacts = motion.contacts.copy()
    contacts[60:] = 0
    config = BodyConfig(root_follow=False)
    after = refine_motion(replace(motion, root_position=root, contacts=contacts), config)
    toes = after.positions[:, 10, 0].astype(np.float64)
    assert np.ptp(toes[20:60]) < 1e-4
    animated = replace(motion, root_position=root).positions[:, 10, 0]
    assert np.abs(np.diff(toes)).max() < 0.3 * abs(toes[59] - animated[59])
    assert abs(toes[66] - animated[66]) < 0.25 * abs(toes[59] - animated[59])
    assert abs(toes[80] - animated[80]) < 1e-3


def test_a_foot_torn_too_far_is_let_go() -> None:
    motion = standing(120)
    root = motion.root_position + np.linspace(0, 0.6, 120)[:, None] * np.array([1.0, 0, 0])
    moving = replace(motion, root_position=root)
    after = refine_motion(moving, BodyConfig(root_follow=False))
    farthest = BodyConfig().max_drift_m + 0.005
    assert np.abs(after.positions[:, 10] - moving.positions[:, 10]).max() < farthest


def shuffling(contact: float) -> Motion:
    """Flat feet that move 1.2 m/s back and forth along the floor without leaving it."""
    motion = standing(180)
    way = 0.2 * np.sin(np.arange(180) / FPS * 6.0)
    root = motion.root_position + way[:, None] * np.array([0.0, 0, 1])
    return replace(motion, root_position=root, contacts=np.full((180, 4), contact))


def test_a_foot_that_moves_without_contact_is_lifted() -> None:
    before = shuffling(0.0)
    after = refine_motion(before)
    speed = np.abs(np.diff(before.positions[:, 10, 2])) * FPS
    swings = np.flatnonzero(speed > 1.0)
    assert before.positions[:, 10, 1].max() < 0.005
    assert after.positions[1:][swings[10:], 10, 1].mean() > 0.045
    assert after.positions[:, 10, 1].max() < BodyConfig().swing_height_m
    turn = after.positions[1:][speed < 0.1, 10, 1]
    assert turn.mean() < after.positions[1:][swings[10:], 10, 1].mean() - 0.005


def test_a_lifted_foot_neither_jumps_nor_tilts() -> None:
    before = shuffling(0.0)
    after = refine_motion(before).positions.astype(np.float64)
    height = after[:, 10, 1]
    assert np.abs(np.diff(height, 2)).max() < 0.1 * BodyConfig().swing_height_m
    np.testing.assert_allclose(height - height[0], after[:, 7, 1] - after[0, 7, 1], atol=2e-3)


def test_a_foot_in_contact_or_at_rest_is_not_lifted() -> None:
    for motion in (shuffling(0.9), replace(standing(60), contacts=np.zeros((60, 4)))):
        after = refine_motion(motion, BodyConfig(root_follow=False))
        assert after.positions[:, 10, 1].max() < 0.005


def test_a_dance_that_swings_high_enough_is_not_lifted() -> None:
    high = standing(120, STAND_M + 0.08)
    road = 0.02 * np.arange(120)[:, None] * np.array([0.0, 0, 1])
    motion = replace(high, root_position=high.root_position + road, contacts=np.zeros((120, 4)))
    np.testing.assert_allclose(refine_motion(motion).rotations, motion.rotations, atol=1e-6)


def test_the_root_follows_held_feet() -> None:
    motion = standing(240)
    root = motion.root_position + np.linspace(0, 0.2, 240)[:, None] * np.array([1.0, 0, 0])
    after = refine_motion(replace(motion, root_position=root))
    assert np.ptp(after.positions[30:, 10, 0]) < 1e-3
    assert after.root_position[-1, 0] < 0.12


def test_bones_keep_their_lengths_and_rotations_their_unit() -> None:
    after = refine_motion(drifting_dance())
    np.testing.assert_allclose(np.linalg.norm(after.rotations, axis=-1), 1, atol=1e-5)


def test_the_upper_body_is_left_alone() -> None:
    before = drifting_dance()
    after = refine_motion(before)
    joints = [0, 3, 6, 9, *range(12, 24)]
    np.testing.assert_allclose(after.rotations[:, joints], before.rotations[:, joints], atol=1e-6)


def test_a_body_without_faults_is_left_alone() -> None:
    motion = standing(60, STAND_M + 0.1)
    after = refine_motion(replace(motion, contacts=np.zeros((60, 4))))
    np.testing.assert_allclose(after.rotations, motion.rotations, atol=1e-6)
    np.testing.assert_array_equal(after.root_position, motion.root_position)


def test_all_switched_off_changes_nothing() -> None:
    before = drifting_dance()
    after = refine_motion(before, BodyConfig(foot_lock=False, floor=False))
    np.testing.assert_allclose(after.rotations, before.rotations, atol=1e-6)
    np.testing.assert_array_equal(after.root_position, before.root_position)


@pytest.mark.parametrize("smoothing", [False, True])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_cutting_into_chunks_changes_nothing(size: int, smoothing: bool) -> None:
    motion, config = drifting_dance(), BodyConfig(smoothing=smoothing)
    whole = refine_motion(motion, config)
    state, parts = BodyState(), []
    for start in range(0, motion.frame_count, size):
        part = motion[start : start + size]
        *result, state = refine(
            part.rotations, part.root_position, part.contacts, state, config, motion.skeleton
        )
        parts.append(result)
    rotations, root = (np.concatenate(column) for column in zip(*parts, strict=True))
    np.testing.assert_array_equal(rotations, whole.rotations)
    np.testing.assert_array_equal(root, whole.root_position)


@pytest.mark.parametrize("frames", [1, 8])
def test_bodies_side_by_side_become_what_each_becomes_alone(frames: int) -> None:
    dance, config, skeleton = drifting_dance(), BodyConfig(smoothing=True), Skeleton.default()
    bodies = [dance[start : start + 64] for start in (0, 20, 40)]
    states, alone = [BodyState()] * 3, [BodyState()] * 3
    for start in range(0, 64, frames):
        parts = [body[start : start + frames] for body in bodies]
        stacked = (
            np.stack([getattr(part, name) for part in parts])
            for name in ("rotations", "root_position", "contacts")
        )
        rotations, roots, states = refine_together(*stacked, states, config, skeleton)
        for number, part in enumerate(parts):
            one, root, alone[number] = refine(
                part.rotations, part.root_position, part.contacts, alone[number], config, skeleton
            )
            np.testing.assert_array_equal(rotations[number], one)
            np.testing.assert_array_equal(roots[number], root)


def test_a_kept_state_continues_the_same_way_twice() -> None:
    motion, config, skeleton = drifting_dance(), BodyConfig(smoothing=True), Skeleton.default()
    first, second = motion[:50], motion[50:]
    *_, state = refine(first.rotations, first.root_position, first.contacts, BodyState(), config, skeleton)
    arguments = (second.rotations, second.root_position, second.contacts, state, config, skeleton)
    once, again = refine(*arguments), refine(*arguments)
    np.testing.assert_array_equal(once[0], again[0])
    np.testing.assert_array_equal(once[1], again[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_frames_that_are_not_finite_repeat_the_one_before(bad: float) -> None:
    motion = standing(24)
    rotations, root, contacts = (
        array.copy() for array in (motion.rotations, motion.root_position, motion.contacts)
    )
    rotations[8, 3, 0], root[12, 1], contacts[15, 2] = bad, bad, bad
    *out, state = refine(rotations, root, contacts, BodyState(), BodyConfig(), motion.skeleton)
    assert all(np.isfinite(array).all() for array in out)
    np.testing.assert_allclose(out[1], motion.root_position, atol=0.01)
    assert state.root_position is not None
    assert np.isfinite(state.root_position).all()


def test_smoothing_calms_a_trembling_body() -> None:
    motion = standing(120)
    noise = np.random.default_rng(0).normal(size=(120, 24, 4)) * 0.004
    trembling = replace(motion, rotations=motion.rotations + noise)
    calm = refine_motion(trembling, BodyConfig(foot_lock=False, floor=False, smoothing=True))
    jerk = [np.abs(np.diff(m.rotations[10:], 3, axis=0)).mean() for m in (trembling, calm)]
    assert jerk[1] < 0.5 * jerk[0]


def test_wrong_shapes_and_settings_are_refused() -> None:
    motion = standing(4)
    with pytest.raises(InputError, match="expected \\(n, 24, 4\\)"):
        refine(
            motion.rotations[:, :20],
            motion.root_position,
            motion.contacts,
            BodyState(),
            BodyConfig(),
            motion.skeleton,
        )
    with pytest.raises(InputError, match="contact_off"):
        BodyConfig(contact_on=0.3, contact_off=0.5)
    with pytest.raises(InputError, match="release_s"):
        BodyConfig(release_s=0.0)
    with pytest.raises(InputError, match="swing_height_m"):
        BodyConfig(swing_height_m=-0.01)
