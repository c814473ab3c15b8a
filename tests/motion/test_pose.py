import numpy as np
import pytest

from bailando.errors import InputError
from bailando.motion import pose
from bailando.motion.motion import Motion
from bailando.motion.pose import (
    FloorSteering,
    RootState,
    decode_motion,
    decode_pose,
    decode_poses,
    encode_pose,
)
from bailando.motion.rotations import about_axis, identity, normalize


def wandering_motion(frame_count: int = 240, seed: int = 0, stride_m: float = 0.01) -> Motion:
    rng = np.random.default_rng(seed)
    rotations = np.cumsum(rng.normal(size=(frame_count, 24, 4)) * 0.03, axis=0) + np.array([0, 0, 0, 1])
    root = np.cumsum(rng.normal(size=(frame_count, 3)) * stride_m, axis=0) + np.array([0, 0.95, 0])
    return Motion(normalize(rotations), root, rng.uniform(size=(frame_count, 4)))


def walk(frame_count: int, speed_m: float, turn_rad: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Channels of a stiff body that walks forward."""
    lower = np.zeros((frame_count, 62), np.float32)
    lower[:, pose.VELOCITY] = 0, speed_m
    lower[:, pose.TURN] = turn_rad
    return np.zeros((frame_count, 90), np.float32), lower


def test_decoding_gives_back_what_was_encoded() -> None:
    motion = wandering_motion(1000)
    decoded = decode_motion(*encode_pose(motion), RootState.at_start_of(motion))
    np.testing.assert_allclose(decoded.positions, motion.positions, atol=1e-5)
    np.testing.assert_allclose(decoded.contacts, motion.contacts, atol=1e-7)


def test_channels_lie_where_the_table_says() -> None:
    rotations = identity((3, 24))
    rotations[:, 0] = about_axis("Y", np.array([0.0, 0.5, 1.25]) + np.pi / 2)
    root = np.array([[0, 0.9, 0], [0.2, 0.8, 0], [0.2, 0.9, 0.1]])
    upper, lower = encode_pose(Motion(rotations, root, np.tile([1, 0, 0.5, 0], (3, 1))))
    np.testing.assert_allclose(upper[1, :6], [1, 0, 0, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(lower[0, :6], [1, 0, 0, 0, 1, 0], atol=1e-6)  # pelvis without its heading
    np.testing.assert_allclose(lower[:, 54], [0.9, 0.8, 0.9], atol=1e-6)
    np.testing.assert_allclose(lower[0, 55:57], [0, 0.2], atol=1e-6)  # facing +X, +X is forward
    np.testing.assert_allclose(lower[:, 57], [0.5, 0.75, 0.75], atol=1e-6)
    np.testing.assert_allclose(lower[:, 58:], np.tile([1, 0, 0.5, 0], (3, 1)))


@pytest.mark.parametrize("steering", [None, FloorSteering(radius_m=0.3)])
def test_chunks_of_any_size_give_identical_frames(steering: FloorSteering | None) -> None:
    upper, lower = encode_pose(wandering_motion(200))
    whole = decode_pose(upper, lower, RootState(), steering)
    state, start, chunks = RootState(), 0, []
    for size in (1, 8, 3, 0, 60, 128):
        *arrays, state = decode_pose(
            upper[start : start + size], lower[start : start + size], state, steering
        )
        chunks.append(arrays)
        start += size
    assert start == 200
    for joined, expected in zip(zip(*chunks, strict=True), whole[:3], strict=True):
        np.testing.assert_array_equal(np.concatenate(joined), expected)
    assert state == whole[3]


def test_bodies_side_by_side_are_decoded_as_each_alone() -> None:
    channels = [encode_pose(wandering_motion(24, seed)) for seed in range(3)]
    states = [RootState(x_m=x) for x in (0.0, 0.2, -0.1)]
    steering = [None, FloorSteering(radius_m=0.3), FloorSteering()]
    upper, lower = (np.stack(half) for half in zip(*channels, strict=True))
    *together, after = decode_poses(upper, lower, states, steering)
    for number, one in enumerate(channels):
        *alone, end = decode_pose(*one, states[number], steering[number])
        assert end == after[number]
        for arrays, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(arrays[number], expected)


def test_first_frame_stands_where_the_state_says() -> None:
    _, root, _, _ = decode_pose(*walk(2, 0.1), RootState(x_m=1, z_m=2, heading_rad=np.pi / 2))
    np.testing.assert_allclose(root[:, [0, 2]], [[1, 2], [1.1, 2]], atol=1e-6)


def test_rotations_are_unit_even_for_wild_channels() -> None:
    rng = np.random.default_rng(0)
    rotations, _, contacts, _ = decode_pose(
        rng.normal(size=(20, 90)) * 9, rng.normal(size=(20, 62)), RootState()
    )
    np.testing.assert_allclose(np.linalg.norm(rotations, axis=-1), 1, atol=1e-5)
    assert contacts.min() >= 0
    assert contacts.max() <= 1


def test_steering_keeps_a_straight_walker_on_the_floor_without_slowing_it() -> None:
    steering = FloorSteering(radius_m=3.0)
    _, root, _, _ = decode_pose(*walk(6000, 0.015), RootState(), steering)
    steps = np.linalg.norm(np.diff(root[:, [0, 2]], axis=0), axis=1)
    assert np.linalg.norm(root[:, [0, 2]], axis=1).max() < 3.0
    np.testing.assert_allclose(steps, 0.015, rtol=0.02)


def test_steering_holds_the_edge_against_any_movement() -> None:
    rng = np.random.default_rng(5)
    upper, lower = walk(2000, 0.0)
    lower[:, pose.VELOCITY] = rng.normal(size=(2000, 2)) * 0.3
    _, root, _, _ = decode_pose(upper, lower, RootState(x_m=2.9), FloorSteering(radius_m=3.0))
    assert np.linalg.norm(root[:, [0, 2]], axis=1).max() <= 3.0 + 1e-6


def test_steering_never_turns_a_standing_dancer() -> None:
    rotations, _, _, _ = decode_pose(*walk(100, 0.0), RootState(x_m=2.8), FloorSteering())
    np.testing.assert_array_equal(rotations, rotations[:1].repeat(100, axis=0))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(InputError, match=r"\(T, 90\)"):
        decode_pose(np.zeros((8, 89)), np.zeros((8, 62)), RootState())
    with pytest.raises(InputError, match="radius_m"):
        FloorSteering(radius_m=-1)
