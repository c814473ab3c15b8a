"""Physical figures and code figures on motions whose result is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.errors import InputError
from bailando.motion.skeleton import Skeleton
from bailando.training import metrics


def standing(frames: int = 120) -> np.ndarray:
    """A body that stands still on the floor, (T, 24, 3)."""
    skeleton = Skeleton.default()
    joints = np.zeros((24, 3))
    for joint in range(1, 24):
        joints[joint] = joints[skeleton.parents[joint]] + skeleton.offsets[joint]
    joints[:, 1] -= joints[:, 1].min()
    return np.tile(joints, (frames, 1, 1))


def test_standing_still_is_perfect() -> None:
    body = standing()
    assert metrics.foot_skate_ratio(body) == 0
    assert metrics.physical_foot_contact(body) == 0
    assert metrics.jitter(body) == pytest.approx(0)
    assert metrics.bone_length_error_mm(body, Skeleton.default()) == pytest.approx(0, abs=1e-9)


def test_a_sliding_body_skates_and_a_flying_one_does_not() -> None:
    slide = standing()
    slide[..., 0] += np.arange(120)[:, None] / 60  # 1 m/s
    assert metrics.foot_skate_ratio(slide) > 0.9
    assert metrics.foot_skate_ratio(slide + np.array([0, 0.2, 0])) == 0


def test_one_foot_that_slides_slowly_is_no_skating() -> None:
    body = standing()
    body[:, 10, 0] += np.arange(120) * 0.4 / 60
    assert metrics.foot_skate_ratio(body) == 0


def test_foot_contact_score_needs_both_feet_to_move_while_the_body_accelerates() -> None:
    time_s = np.arange(120) / 60
    sway = 0.1 * np.sin(2 * np.pi * time_s)[:, None]
    whole = standing()
    whole[..., 0] += sway
    planted = whole.copy()
    planted[:, [7, 10]] = standing()[:, [7, 10]]
    assert metrics.physical_foot_contact(planted) == 0
    assert metrics.physical_foot_contact(whole) > 0.5


def test_foot_contact_score_equals_its_formula_at_thirty_frames() -> None:
    positions = np.random.default_rng(0).normal(size=(40, 24, 3)) * 0.01
    acceleration = positions[2:, 0] - 2 * positions[1:-1, 0] + positions[:-2, 0]
    acceleration[:, 1] = acceleration[:, 1].clip(min=0)
    strength = np.sqrt((acceleration**2).sum(1))
    total = 0.0
    for frame in range(38):
        step = positions[frame + 2] - positions[frame + 1]
        speed = np.hypot(step[:, 0], step[:, 2])
        total += strength[frame] * min(speed[7], speed[10]) * min(speed[8], speed[11])
    expected = total / 38 / strength.max() * 1e4
    assert metrics.physical_foot_contact(positions, fps=30) == pytest.approx(expected)


def test_foot_contact_score_is_of_thirty_frames_a_second_at_sixty_too() -> None:
    positions = np.random.default_rng(0).normal(size=(80, 24, 3))
    assert metrics.physical_foot_contact(positions, 60) == metrics.physical_foot_contact(positions[::2], 30)


def test_jitter_of_a_cubic_movement_is_its_third_derivative() -> None:
    time_s = np.arange(60) / 60
    body = standing(60)
    body[..., 2] += 2.0 * time_s[:, None] ** 3
    assert metrics.jitter(body, 60) == pytest.approx(12.0)


def test_bones_five_percent_long_are_noticed() -> None:
    body = standing()
    lengths = np.linalg.norm(Skeleton.default().offsets[1:], axis=1)
    error = metrics.bone_length_error_mm(body * 1.05, Skeleton.default())
    assert error == pytest.approx(50 * lengths.mean())
    assert metrics.bone_length_error_mm(body * 1.05) == pytest.approx(0, abs=1e-9)


def test_floor_reach_is_measured_from_the_first_frame() -> None:
    body = standing() + np.array([5.0, 0.0, 5.0])
    body[60:, :, 2] -= 1.5
    assert metrics.floor_reach_m(body) == pytest.approx(1.5)


def test_position_error_is_in_millimetres() -> None:
    body = standing(10)
    assert metrics.position_error_mm(body + np.array([0.03, 0.0, 0.04]), body) == pytest.approx(50)
    with pytest.raises(InputError, match="expected the same"):
        metrics.position_error_mm(body, body[1:])


def test_perplexity_counts_codes_used_evenly() -> None:
    assert metrics.codebook_perplexity(np.array([0, 1, 2, 3] * 5), 16) == pytest.approx(4)
    assert metrics.codebook_perplexity(np.array([7] * 5), 16) == pytest.approx(1)
    assert metrics.codebook_usage(np.array([0, 1, 2, 3] * 5), 16) == 0.25


def test_codes_outside_the_codebook_are_refused() -> None:
    with pytest.raises(InputError, match="expected 0 to 15"):
        metrics.codebook_usage(np.array([16]), 16)


def test_longest_repeat_finds_a_phrase_and_a_loop() -> None:
    assert metrics.longest_repeat(np.arange(50)) == 0
    phrase = np.array([1, 2, 3, 4, 9, 1, 2, 3, 8, 7])
    assert metrics.longest_repeat(phrase) == 3
    assert metrics.longest_repeat(np.tile(np.arange(10), 6)) == 50


def test_longest_repeat_wants_all_streams_to_repeat_at_once() -> None:
    upper, lower = np.tile(np.arange(4), 5), np.arange(20)
    assert metrics.longest_repeat(upper) == 16
    assert metrics.longest_repeat(upper, lower) == 0


def test_token_accuracy_is_the_share_of_equal_codes() -> None:
    assert metrics.token_accuracy(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 4])) == 0.75
