import numpy as np
import pytest

from bailando.motion import rotations as R


def random_quaternions(count: int = 500, seed: int = 0) -> R.FloatArray:
    return R.normalize(np.random.default_rng(seed).normal(size=(count, 4)))


def difference(a: R.FloatArray, b: R.FloatArray) -> float:
    """Largest distance between rotations, whatever their signs."""
    return float(np.minimum(np.abs(a - b).max(-1), np.abs(a + b).max(-1)).max())


def test_product_matches_the_product_of_matrices() -> None:
    a, b = random_quaternions(seed=1), random_quaternions(seed=2)
    np.testing.assert_allclose(R.to_matrix(R.multiply(a, b)), R.to_matrix(a) @ R.to_matrix(b), atol=1e-12)
    np.testing.assert_allclose((a[:, None] @ R.product_matrix(b))[:, 0], R.multiply(a, b), atol=1e-12)


def test_rotating_vectors_matches_the_matrix() -> None:
    q, v = random_quaternions(), np.random.default_rng(3).normal(size=(500, 3))
    np.testing.assert_allclose(R.rotate(q, v), (R.to_matrix(q) @ v[..., None])[..., 0], atol=1e-12)


def test_quarter_turn_about_up_takes_forward_to_left() -> None:
    q = R.about_axis("Y", np.array(np.pi / 2))
    np.testing.assert_allclose(R.rotate(q, np.array([0.0, 0.0, 1.0])), [1, 0, 0], atol=1e-12)


@pytest.mark.parametrize(
    "there_and_back",
    [
        lambda q: R.from_matrix(R.to_matrix(q)),
        lambda q: R.from_6d(R.to_6d(q)),
        lambda q: R.from_axis_angle(R.to_axis_angle(q)),
        *(
            lambda q, o=o: R.from_euler(R.to_euler(q, o), o)
            for o in ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
        ),
    ],
)
def test_conversions_lead_back(there_and_back) -> None:
    q = random_quaternions()
    half_turns = np.concatenate([np.eye(4), R.from_axis_angle(np.pi * np.eye(3))])
    for rotations in (q, half_turns):
        assert difference(there_and_back(rotations), rotations) < 1e-7


@pytest.mark.parametrize("order", ["ZYX", "ZXY", "XYZ"])
@pytest.mark.parametrize("middle", [np.pi / 2, -np.pi / 2])
def test_euler_angles_survive_gimbal_lock(order: str, middle: float) -> None:
    q = R.from_euler(np.array([[0.3, middle, -1.1]]), order)
    assert difference(R.from_euler(R.to_euler(q, order), order), q) < 1e-6


def test_six_numbers_are_the_first_two_columns() -> None:
    q = random_quaternions(3)
    matrix = R.to_matrix(q)
    np.testing.assert_array_equal(R.to_6d(q), np.concatenate([matrix[..., 0], matrix[..., 1]], axis=-1))


@pytest.mark.parametrize(
    "six", [[0.0] * 6, [1, 2, 3, 2, 4, 6], [0, 0, 0, 0, 1, 0], [1e-9] * 6, [0, 5, 0, 0, -2, 0]]
)
def test_any_six_numbers_give_a_rotation(six: list[float]) -> None:
    matrix = R.matrix_from_6d(np.array(six, np.float32))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-5)


def test_slerp_goes_half_way_along_the_shorter_arc() -> None:
    a, b = R.identity((1,)), -R.about_axis("Z", np.array([1.0]))
    assert difference(R.slerp(a, b, 0.5), R.about_axis("Z", np.array([0.5]))) < 1e-12


def test_slerp_between_equal_rotations_stays_there() -> None:
    q = random_quaternions(5)
    assert difference(R.slerp(q, q, 0.3), q) < 1e-12


def test_shortest_arc_takes_start_to_end_even_when_opposite() -> None:
    rng = np.random.default_rng(4)
    start = rng.normal(size=(50, 3))
    end = np.concatenate([rng.normal(size=(25, 3)), -start[25:]])
    turned = R.rotate(R.shortest_arc(start, end), start)
    unit = end / np.linalg.norm(end, axis=1, keepdims=True) * np.linalg.norm(start, axis=1, keepdims=True)
    np.testing.assert_allclose(turned, unit, atol=1e-6)


def test_heading_and_the_rest_make_the_whole() -> None:
    q = random_quaternions()
    rest = R.remove_heading(q)
    assert difference(R.multiply(R.about_axis("Y", R.heading(q)), rest), q) < 1e-12
    np.testing.assert_allclose(R.heading(rest), 0, atol=1e-6)


def test_continuous_quaternions_never_jump_to_the_other_half() -> None:
    q = R.about_axis("X", np.linspace(0, 12, 200))
    q[::3] *= -1
    fixed = R.make_continuous(q)
    assert (np.sum(fixed[1:] * fixed[:-1], axis=-1) > 0).all()
    assert difference(fixed, q) == 0


def test_single_precision_stays_single() -> None:
    q = random_quaternions(4).astype(np.float32)
    for result in (
        R.multiply(q, q),
        R.from_matrix(R.to_matrix(q)),
        R.to_6d(q),
        R.from_6d(R.to_6d(q)),
        R.slerp(q, q, 0.5),
    ):
        assert result.dtype == np.float32
