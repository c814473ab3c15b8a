"""Distribution and beat metrics against the figures of the field's evaluation code, and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bailando.errors import InputError
from bailando.training import metrics

FIXTURE = Path(__file__).parents[1] / "data" / "official" / "metrics.npz"


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as archive:
        return dict(archive)


def test_kinetic_and_geometric_features_equal_the_published_code(published) -> None:
    features = [metrics.features_of(motion) for motion in published["motions"]]
    kinetic, geometric = (np.array(values) for values in zip(*features, strict=True))
    np.testing.assert_allclose(kinetic, published["kinetic"][:12], rtol=1e-4)
    np.testing.assert_allclose(geometric, published["manual"][:12], atol=1e-6)


@pytest.mark.parametrize(("features", "kind"), [("kinetic", "k"), ("manual", "g")])
def test_distance_and_diversity_equal_the_published_code(published, features, kind) -> None:
    predicted, truth = published[features][:12], published[features][12:]
    predicted, truth = (metrics.normalise_features(x, truth) for x in (predicted, truth))
    assert metrics.frechet_distance(predicted, truth) == pytest.approx(published[f"fid_{kind}"], rel=1e-6)
    assert metrics.diversity(predicted) == pytest.approx(published[f"div_{kind}"], rel=1e-6)
    assert metrics.diversity(truth) == pytest.approx(published[f"div_{kind}_gt"], rel=1e-6)


def test_beats_and_beat_align_score_equal_the_published_code(published) -> None:
    for motion, beats, score in zip(
        published["motions"], published["dance_beats_padded_minus1"], published["ba"], strict=True
    ):
        found = metrics.motion_beats(motion)
        assert found.tolist() == beats[beats >= 0].tolist()
        assert metrics.beat_align_by_music(published["music_beats"], found) == pytest.approx(score)


def test_distance_to_itself_is_zero_and_grows_with_a_shift() -> None:
    truth = np.random.default_rng(0).normal(size=(40, 5))
    assert metrics.frechet_distance(truth, truth) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(truth + np.array([2, 0, 0, 0, 0]), truth) == pytest.approx(4)


def test_distance_is_real_for_fewer_dances_than_features() -> None:
    generator = np.random.default_rng(1)
    few, many = generator.normal(size=(4, 72)), generator.normal(size=(60, 72))
    assert metrics.frechet_distance(few, many) > 0


def test_distance_refuses_a_single_dance() -> None:
    with pytest.raises(InputError, match="needs 2 of each"):
        metrics.frechet_distance(np.ones((1, 3)), np.ones((5, 3)))


def test_score_by_music_punishes_beats_that_are_not_danced_and_by_motion_does_not() -> None:
    music, dance = np.arange(0, 300, 30), np.arange(0, 300, 60)
    assert metrics.beat_align_by_music(music, dance) == pytest.approx(0.5, abs=1e-6)
    assert metrics.beat_align_by_motion(music, dance) == pytest.approx(1.0)


def test_three_frames_off_the_beat_score_exp_of_minus_a_half() -> None:
    music = np.arange(0, 300, 30)
    assert metrics.beat_align_by_music(music, music + 3) == pytest.approx(np.exp(-0.5))
    assert metrics.beat_align_by_motion(music, music[:-1] + 3) == pytest.approx(np.exp(-0.5))


def test_random_phase_score_does_not_depend_on_the_offset_of_the_dance() -> None:
    music = np.arange(0, 3000, 30)
    scores = [metrics.random_phase_score(music, music + offset) for offset in (0, 7, 15)]
    assert scores == pytest.approx([scores[0]] * 3, abs=0.01)
    # a Gaussian of deviation 3 within an interval of 30 frames
    assert scores[0] == pytest.approx(3 * np.sqrt(2 * np.pi) / 30, abs=0.01)


def test_a_frozen_body_has_no_beats_and_scores_zero() -> None:
    beats = metrics.motion_beats(np.ones((100, 24, 3)))
    assert len(beats) == 0
    assert metrics.beat_align_by_music([10, 40, 70], beats) == 0
    assert metrics.beat_align_by_motion([10, 40, 70], beats) == 0
    assert metrics.random_phase_score([10, 40, 70], beats) == 0


def test_score_without_music_beats_is_no_number() -> None:
    assert np.isnan(metrics.beat_align_by_music([], [3, 4]))


def test_descending_beats_are_refused() -> None:
    with pytest.raises(InputError, match="ascending"):
        metrics.beat_align_by_music([30, 10], [3])


def test_features_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(InputError, match="24 of SMPL"):
        metrics.geometric_features(np.zeros((10, 22, 3)))
    with pytest.raises(InputError, match="joints, 3"):
        metrics.kinetic_features(np.zeros((10, 24)))
