"""Sessions: explicit state, independence, snapshots, and outputs that are always finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bailando.engine.dancer import Dancer
from bailando.engine.session import MotionChunk, Session
from bailando.errors import BundleError, ConfigError
from bailando.motion.grounding import BodyState
from bailando.motion.kinematics import forward_kinematics
from tests.engine.synthetic_bundle import (
    START_CODES,
    STYLE_SHARES,
    WIDTH,
    decoder_step_model,
    gpt_step_model,
    write_synthetic_bundle,
)

TOKENS = 12


def music(token: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, token]).normal(0, 1, (8, WIDTH // 8)).astype(np.float32)


def dance(session: Session, tokens: int = TOKENS, seed: int = 0) -> list[MotionChunk]:
    first = session.token
    return [session.step(music(token, seed) if token else None) for token in range(first, first + tokens)]


def assert_same(first: list[MotionChunk], second: list[MotionChunk]) -> None:
    assert [(c.upper_code, c.lower_code) for c in first] == [(c.upper_code, c.lower_code) for c in second]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.rotations, other.rotations)
        np.testing.assert_array_equal(one.positions, other.positions)


def test_chunk_has_the_documented_shapes_and_types(dancer: Dancer) -> None:
    chunk = dance(dancer.session(), 3)[2]
    assert chunk.first_frame == 16
    shapes = [
        (chunk.rotations, (8, 24, 4)),
        (chunk.positions, (8, 24, 3)),
        (chunk.root_position, (8, 3)),
        (chunk.contacts, (8, 4)),
    ]
    for array, shape in shapes:
        assert array.shape == shape
        assert array.dtype == np.float32


def test_positions_are_the_kinematics_of_the_rotations(dancer: Dancer) -> None:
    chunk = dance(dancer.session(), 3)[2]
    positions, _ = forward_kinematics(dancer.skeleton, chunk.rotations, chunk.root_position)
    np.testing.assert_array_equal(chunk.positions, positions)
    np.testing.assert_allclose(np.linalg.norm(chunk.rotations, axis=-1), 1.0, atol=1e-5)


def test_first_token_is_one_of_the_start_codes_and_all_are_drawn(dancer: Dancer) -> None:
    drawn = set()
    for seed in range(40):
        chunk = dancer.session(seed=seed).step(None)
        drawn.add((chunk.upper_code, chunk.lower_code))
    assert drawn == set(START_CODES)


def test_same_seed_and_music_give_the_same_dance(dancer: Dancer) -> None:
    assert_same(dance(dancer.session(seed=4)), dance(dancer.session(seed=4)))


def test_other_seed_gives_another_dance(dancer: Dancer) -> None:
    codes = [[c.upper_code for c in dance(dancer.session(seed=seed))] for seed in (1, 2)]
    assert codes[0] != codes[1]


def test_other_music_gives_another_dance(dancer: Dancer) -> None:
    codes = [[c.upper_code for c in dance(dancer.session(temperature=0.0), seed=seed)] for seed in (1, 2)]
    assert codes[0] != codes[1]


def test_style_changes_the_dance(dancer: Dancer) -> None:
    codes = [
        [c.upper_code for c in dance(dancer.session(style=style, temperature=0.0))]
        for style in ("waltz", "salsa")
    ]
    assert codes[0] != codes[1]


def own_styles(session: Session, tokens: int) -> list[int | None]:
    dance(session, 1)
    styles = []
    for token in range(1, 1 + tokens):
        session.step(music(token % TOKENS))
        styles.append(session.snapshot().own_style)
    return styles


def test_a_style_of_its_own_is_drawn_as_often_as_the_manifest_says(dancer: Dancer) -> None:
    drawn = [own_styles(dancer.session(seed=seed), 1)[0] for seed in range(400)]
    counts = [drawn.count(style) for style in range(len(STYLE_SHARES))]
    assert sum(counts) == 400
    np.testing.assert_allclose(np.array(counts) / 400, STYLE_SHARES, atol=0.1)  # four deviations


def test_the_likeliest_dance_has_the_most_frequent_style(dancer: Dancer) -> None:
    drawn = [own_styles(dancer.session(seed=seed, temperature=0.0), 2) for seed in range(5)]
    assert drawn == [[int(np.argmax(STYLE_SHARES))] * 2] * 5


def test_a_style_of_its_own_lasts_half_a_minute_on_average(dancer: Dancer) -> None:
    styles = np.array(own_styles(dancer.session(seed=5), 4500))  # ten minutes: 20 draws, most of another
    assert 5 <= np.count_nonzero(np.diff(styles)) <= 25


def test_a_style_asked_for_is_kept_and_one_left_open_again_is_drawn_anew(dancer: Dancer) -> None:
    session = dancer.session(seed=5, style="salsa")
    assert set(own_styles(session, 3)) == {None}
    session.configure(style="open")
    session.step(music(4))
    assert session.snapshot().own_style is not None
    session.configure(style="salsa")
    session.step(music(5))
    assert session.snapshot().own_style is None


def test_the_style_of_its_own_is_what_the_network_is_told(tmp_path: Path) -> None:
    dances = []
    for style, shares in (("open", [0.0, 0.0, 1.0]), ("waltz", [1.0, 0.0, 0.0]), ("open", [1.0, 0.0, 0.0])):
        folder = write_synthetic_bundle(tmp_path / f"{style}{shares[0]}", style_shares=shares)
        dances.append(dance(Dancer.open(folder).session(style=style, temperature=0.0)))
    codes = [[chunk.upper_code for chunk in chunks] for chunks in dances]
    assert codes[0] == codes[1]
    assert codes[2] != codes[1]


def test_second_session_does_not_disturb_the_first(dancer: Dancer) -> None:
    alone = dance(dancer.session(seed=1))
    first, second = dancer.session(seed=1), dancer.session(seed=2)
    together = []
    for token in range(TOKENS):
        together.append(first.step(music(token) if token else None))
        second.step(music(token, 9) if token else None)
    assert_same(alone, together)


@pytest.mark.parametrize("at", [0, 1, 7])
def test_restored_snapshot_repeats_the_dance(dancer: Dancer, at: int) -> None:
    session = dancer.session(seed=3, energy=0.7)
    dance(session, at)
    snapshot = session.snapshot()
    expected = dance(session)
    session.restore(snapshot)
    assert_same(expected, dance(session))
    other = dancer.session(seed=99)
    dance(other, 2)
    other.restore(snapshot)
    assert_same(expected, dance(other))


def test_options_change_at_the_next_token(dancer: Dancer) -> None:
    session = dancer.session(seed=3, style="waltz", temperature=0.0)
    dance(session, 4)
    snapshot = session.snapshot()
    plain = [c.upper_code for c in dance(session)]
    session.restore(snapshot)
    session.configure(style="salsa")
    assert session.options.style == "salsa"
    assert [c.upper_code for c in dance(session)] != plain


@pytest.mark.parametrize("changes", [{"style": "polka"}, {"energy": 9.0}, {"tempo": 1.0}])
def test_impossible_changes_are_refused_and_change_nothing(dancer: Dancer, changes: dict[str, Any]) -> None:
    session = dancer.session()
    before = session.options
    with pytest.raises(ConfigError):
        session.configure(**changes)
    assert session.options == before


def test_unknown_style_lists_those_there_are(dancer: Dancer) -> None:
    with pytest.raises(ConfigError, match="open, salsa, waltz"):
        dancer.session(style="polka")


def test_music_for_the_first_token_and_none_for_later_ones_are_errors(dancer: Dancer) -> None:
    session = dancer.session()
    with pytest.raises(ValueError, match="token 0"):
        session.step(music(0))
    session.step(None)
    with pytest.raises(ValueError, match="music token"):
        session.step(None)


def test_nan_logits_keep_the_code_and_are_counted(tmp_path: Path) -> None:
    path = write_synthetic_bundle(tmp_path / "b", gpt_step=gpt_step_model(poison=float("nan")))
    session = Dancer.open(path).session()
    chunks = dance(session, 5)
    assert len({chunk.upper_code for chunk in chunks}) == 1
    assert len({chunk.lower_code for chunk in chunks}) > 1
    assert session.rejected_logits == 4


def test_nan_poses_never_leave_and_are_counted(tmp_path: Path) -> None:
    path = write_synthetic_bundle(tmp_path / "b", decoder_step=decoder_step_model(poison=float("nan")))
    session = Dancer.open(path).session()
    for chunk in dance(session, 3):
        assert np.isfinite(chunk.positions).all()
        # The floor stage yields softly, within 3 mm.
        np.testing.assert_allclose(chunk.positions[:, :, 1].min(axis=1), 0.0, atol=3e-3)
    assert session.rejected_poses == 3


def test_energy_zero_stands_and_energy_two_moves_more(dancer: Dancer) -> None:
    def movement(energy: float) -> float:
        chunks = dance(dancer.session(seed=1, energy=energy), 30)
        rotations = np.concatenate([chunk.rotations for chunk in chunks])
        return float(np.abs(np.diff(rotations, axis=0)).mean())

    still, plain, large = movement(0.0), movement(1.0), movement(2.0)
    assert still < 0.25 * plain
    assert large > 1.5 * plain


def test_root_travels_but_stays_on_the_floor(dancer: Dancer) -> None:
    session = dancer.session(seed=2)
    farthest = 0.0
    for chunk in dance(session, 300):
        farthest = max(farthest, float(np.linalg.norm(chunk.root_position[:, 0::2], axis=1).max()))
    assert 0.1 < farthest <= 3.0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"frame_rate_hz": 50}, "60 Hz"),
        (
            {"pose": {"representation": "positions", "upper_channels": 90, "lower_channels": 62}},
            "rotation6d-heading",
        ),
    ],
)
def test_bundle_that_this_engine_cannot_play_is_refused(
    changes: dict[str, Any], word: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=word):
        Dancer.open(write_synthetic_bundle(tmp_path / "b", **changes))


def test_bundle_whose_features_do_not_fit_its_graph_is_refused(tmp_path: Path) -> None:
    from bailando.music.features import FeatureSpec

    features = FeatureSpec(n_mels=20).to_dict()
    with pytest.raises(BundleError, match="music channels"):
        Dancer.open(write_synthetic_bundle(tmp_path / "b", features=features))


def test_feet_are_held_and_kept_above_the_floor_and_a_snapshot_knows_of_it(dancer: Dancer) -> None:
    session = dancer.session(seed=3)
    chunks = dance(session, 12)
    assert min(float(chunk.positions[..., [7, 8, 10, 11], 1].min()) for chunk in chunks) > -1e-3
    kept = session.snapshot()
    assert not np.array_equal(kept.body.refinement.holds, BodyState().holds)
    again = [session.step(music(token)) for token in range(12, 16)]
    assert not np.array_equal(session.snapshot().body.refinement.holds, kept.body.refinement.holds)
    session.restore(kept)
    assert np.array_equal(session.snapshot().body.refinement.holds, kept.body.refinement.holds)
    for chunk, token in zip(again, range(12, 16), strict=True):
        np.testing.assert_array_equal(session.step(music(token)).positions, chunk.positions)
