from dataclasses import replace

import numpy as np
import pytest
from swings import swinging

from bailando.errors import InputError
from bailando.motion.chaining import BLEND_FRAMES, chain
from bailando.motion.motion import Motion
from bailando.motion.rotations import about_axis, multiply


def walking(frames: int, phase: float, turn: float, speed: float) -> Motion:
    """A swinging body that walks straight on, in a direction of its own."""
    motion = swinging(frames, phase=phase)
    rotations = motion.rotations.copy()
    rotations[:, 0] = multiply(about_axis("Y", np.full(frames, turn)), rotations[:, 0])
    root = motion.root_position.copy()
    root[:, 0] += 3 + speed * np.sin(turn) * np.arange(frames)
    root[:, 2] += speed * np.cos(turn) * np.arange(frames)
    return replace(motion, rotations=rotations, root_position=root)


def parts() -> list[Motion]:
    return [walking(90, 0.0, 0.3, 0.01), walking(80, 2.0, -2.0, 0.02), walking(100, 4.0, 1.0, 0.0)]


def steps(motion: Motion, order: int) -> np.ndarray:
    """Largest difference of that order of any joint, by frame."""
    differences = np.diff(motion.positions.astype(np.float64), n=order, axis=0)
    return np.linalg.norm(differences, axis=-1).max(axis=-1)


def test_seams_are_continuous_in_position_and_velocity() -> None:
    chained = chain(parts())
    assert chained.frame_count == 90 + 79 + 99
    own_step = max(steps(part, 1).max() for part in parts())
    own_change = max(steps(part, 2).max() for part in parts())
    cut = np.concatenate([part.positions for part in parts()])
    assert np.linalg.norm(np.diff(cut, axis=0), axis=-1).max() > 20 * own_step
    assert steps(chained, 1).max() < 2.5 * own_step
    for seam in (89, 168):
        assert steps(chained, 2)[seam - 2 : seam + 2].max() < 1.5 * own_change


def test_before_and_after_a_blend_the_dances_are_as_they_were() -> None:
    first, second, _ = parts()
    chained = chain([first, second])
    np.testing.assert_array_equal(chained.positions[:90], first.positions)
    rest = chained[89 + BLEND_FRAMES :]
    np.testing.assert_allclose(
        rest.positions - rest.root_position[:, None],
        _turned(second, 2.3).positions[BLEND_FRAMES:]
        - _turned(second, 2.3).root_position[BLEND_FRAMES:, None],
        atol=1e-5,
    )


def _turned(motion: Motion, angle: float) -> Motion:
    rotations = motion.rotations.copy()
    rotations[:, 0] = multiply(about_axis("Y", np.full(motion.frame_count, angle)), rotations[:, 0])
    return replace(motion, rotations=rotations)


def test_the_next_dance_goes_on_where_and_facing_as_the_last_ended() -> None:
    chained = chain(parts()[:2])
    path = chained.root_position[89:, [0, 2]] - chained.root_position[89, [0, 2]]
    direction = path[-1] / np.linalg.norm(path[-1])
    np.testing.assert_allclose(direction, [np.sin(0.3), np.cos(0.3)], atol=0.02)


def test_one_dance_is_itself_and_others_must_fit() -> None:
    one, two, _ = parts()
    assert chain([one]) is one
    with pytest.raises(InputError, match="resample"):
        chain([one, replace(two, fps=30.0)])
    with pytest.raises(InputError, match="one frame"):
        chain([one, two[:1]])
    with pytest.raises(InputError, match="got 0 dances"):
        chain([])
