"""The beat: what codes are worth is what the learned model says, and a dance draws its codes by it."""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click_tracks import steady_clicks

from bailando.engine.dancer import Dancer
from bailando.engine.generate import generate_samples
from bailando.engine.groove import (
    Groove,
    GrooveCritic,
    GrooveSpec,
    beat_weights,
    body_features,
)
from bailando.engine.session import Session
from bailando.errors import BundleError, ConfigError
from bailando.export.critic import critic_bytes
from bailando.models.code_movement import CodeMovement, CodeMovementConfig, body_state
from bailando.music.features import FeatureSpec
from bailando.training.metrics.beats import motion_beats
from bailando.training.metrics.phase import beat_phase
from tests.engine.synthetic_bundle import CODES, FRAMES, groove_arrays, write_synthetic_bundle

CONFIG = CodeMovementConfig(codes=5, pose_channels=6, hidden=7, factors=3)
SPEC = GrooveSpec(strength=8.0, restraint=0.0, lead_frames=0.0, sure=0.5)


def learned() -> CodeMovement:
    """A model whose weights are what float16 can hold."""
    torch.manual_seed(0)
    model = CodeMovement(CONFIG)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.copy_((0.5 * torch.randn_like(tensor)).half().float())
        model.deviation.copy_((model.deviation.abs() + 0.5).half().float())
    return model.eval().requires_grad_(False)


def read(model: CodeMovement, **changes: np.ndarray | None) -> GrooveCritic:
    with np.load(io.BytesIO(critic_bytes(model))) as arrays:
        kept = {name: arrays[name] for name in arrays.files} | changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value for name, value in kept.items() if value is not None})
    return GrooveCritic.read(buffer.getvalue(), (5, 5), 12, 8)


def test_codes_are_worth_what_the_learned_model_says() -> None:
    model = learned()
    body, weights = torch.randn(12), torch.randn(8)
    upper, lower = read(model).worth(body.numpy(), weights.numpy())
    assert upper.dtype == lower.dtype == np.float32
    pairs = torch.cartesian_prod(torch.arange(5), torch.arange(5)).T
    paces = model(body.expand(25, 12), pairs) @ weights
    worth = torch.from_numpy(upper[pairs[0]] + lower[pairs[1]])
    torch.testing.assert_close(worth - worth[0], paces - paces[0], rtol=1e-4, atol=1e-4)


def test_the_body_of_a_token_is_that_of_the_training() -> None:
    upper, lower = torch.randn(1, 16, 4), torch.randn(1, 16, 2)
    trained = body_state(upper, lower)
    live = body_features(upper[0, 8:].numpy(), lower[0, 8:].numpy())
    np.testing.assert_allclose(live, trained[0, 1].numpy(), rtol=1e-6)


def heard(phase: float, bpm: float, confidence: float = 1.0) -> np.ndarray:
    """Eight frames of music whose last lies at `phase` of a beat."""
    spec = FeatureSpec()
    features = np.zeros((8, spec.frame_dim), np.float32)
    phases = 2 * math.pi * (phase + bpm / 3600 * (np.arange(8) - 7))
    for name, values in (
        ("beat_sin", np.sin(phases)),
        ("beat_cos", np.cos(phases)),
        ("tempo_octave", np.log2(bpm / 120)),
        ("beat_confidence", confidence),
    ):
        features[:, spec.channel_names.index(name)] = values
    return features


def test_slowness_is_worth_most_where_the_beat_will_be() -> None:
    """120 beats a minute: a beat is 30 frames, so 26 frames after one the next is the fourth frame ahead."""
    weights = beat_weights(heard(26 / 30, 120.0), FeatureSpec(), SPEC)
    frames = 26 + np.arange(1, 9)
    np.testing.assert_allclose(weights, -np.cos(2 * np.pi * frames / 30), atol=1e-4)
    assert weights.argmin() == 3
    early = beat_weights(heard(26 / 30, 120.0), FeatureSpec(), dataclasses.replace(SPEC, lead_frames=2.0))
    assert early.argmin() == 1


def test_a_doubtful_beat_counts_less_and_none_nothing() -> None:
    sure, half, none = (
        beat_weights(heard(0.2, 100.0, confidence), FeatureSpec(), SPEC) for confidence in (0.9, 0.25, 0.0)
    )
    np.testing.assert_allclose(half, sure / 2, rtol=1e-6)
    assert not none.any()


def test_restraint_costs_speed_on_and_off_the_beat() -> None:
    free = beat_weights(heard(0.2, 100.0), FeatureSpec(), SPEC)
    held = beat_weights(heard(0.2, 100.0), FeatureSpec(), dataclasses.replace(SPEC, restraint=0.5))
    np.testing.assert_allclose(held - free, -8.0 * 0.5, rtol=1e-4)
    half = beat_weights(heard(0.2, 100.0), FeatureSpec(), dataclasses.replace(SPEC, restraint=0.5), share=0.5)
    np.testing.assert_allclose(half - free / 2, -4.0 * 0.5 / 2, rtol=1e-4)


def test_a_groove_adds_nothing_without_strength() -> None:
    groove = Groove(read(learned()), dataclasses.replace(SPEC, strength=0.0), FeatureSpec())
    worth = groove.worth(np.ones(12, np.float32), heard(0.3, 120.0))
    assert not any(half.any() for half in worth)


@pytest.mark.parametrize(
    "changes",
    [
        {"of_code": None},
        {"of_code": np.zeros((2, 4, 8), np.float16)},
        {"mean": np.full(12, np.nan, np.float16)},
        {"deviation": np.zeros(12, np.float16)},
        {"hidden.0.bias": np.float16(1.0)},
    ],
    ids=["missing", "other-codes", "not-finite", "no-deviation", "no-array"],
)
def test_a_critic_that_does_not_fit_is_refused(changes: dict[str, np.ndarray | None]) -> None:
    with pytest.raises(BundleError, match="export the bundle again"):
        read(learned(), **changes)


def test_something_else_is_refused() -> None:
    for data in (b"", b"PK\x03\x04 cut", b"hello" * 100):
        with pytest.raises(BundleError, match="cannot be read"):
            GrooveCritic.read(data, (5, 5), 12, 8)


@pytest.fixture(scope="module")
def dancers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dancer, Dancer]:
    """The same dancer with a critic and without."""
    folder = tmp_path_factory.mktemp("groove")
    with_critic = write_synthetic_bundle(folder / "with", groove=groove_arrays())
    return Dancer.open(with_critic), Dancer.open(write_synthetic_bundle(folder / "without"))


def codes(session: Session, tokens: int = 24, bpm: float = 120.0) -> list[tuple[int, int]]:
    """What is danced to clicks, from the session's next token on."""
    drawn = []
    for token in range(session.token, session.token + tokens):
        chunk = session.step(heard((8 * token - 1) * bpm / 3600 % 1, bpm) if token else None)
        drawn.append((chunk.upper_code, chunk.lower_code))
    return drawn


def test_without_its_groove_a_dancer_dances_as_one_that_has_none(dancers: tuple[Dancer, Dancer]) -> None:
    grooving, plain = dancers
    wanted = codes(plain.session(seed=1))
    assert codes(grooving.session(seed=1, groove=0.0)) == wanted
    assert codes(grooving.session(seed=1)) != wanted


def test_a_groove_can_be_changed_between_tokens(dancers: tuple[Dancer, Dancer]) -> None:
    session = dancers[0].session(seed=1)
    before = codes(session, 6)
    other = session.fork()
    other.configure(groove=0.0)
    assert before + codes(session, 18) == codes(dancers[0].session(seed=1))
    assert codes(other, 18) != codes(dancers[0].session(seed=1))[6:]
    with pytest.raises(ConfigError, match="from 0"):
        other.configure(groove=2.5)


def test_a_snapshot_knows_the_pose_that_the_next_token_is_worth_by(dancers: tuple[Dancer, Dancer]) -> None:
    session = dancers[0].session(seed=2)
    codes(session, 7)
    kept = session.snapshot()
    wanted = codes(session, 12)
    codes(session, 5)
    other = dancers[0].session(seed=9)
    for again in (session, other):
        again.restore(kept)
        assert codes(again, 12) == wanted


def test_a_reset_forgets_the_pose(dancers: tuple[Dancer, Dancer]) -> None:
    session = dancers[0].session(seed=2)
    codes(session, 7)
    session.reset()
    assert session.snapshot().pose is None


def test_slow_codes_are_danced_on_the_beat_and_fast_ones_between(tmp_path: Path) -> None:
    """Half of the codes are slow, whatever the body does; a token is a quarter of a beat."""
    arrays = {name: np.zeros_like(value) for name, value in groove_arrays().items()}
    arrays["deviation"] += 1
    arrays["of_code"][:, CODES // 2 :] = 1.0
    spec = {"strength": 12.0, "restraint": 0.0, "lead_frames": 0.0, "sure": 0.7}
    dancer = Dancer.open(write_synthetic_bundle(tmp_path / "b", groove=arrays, groove_spec=spec))
    bpm = 3600 / (4 * FRAMES)
    drawn = np.array(codes(dancer.session(seed=0), 400, bpm)[1:]) >= CODES // 2
    # Token t covers beats t / 4 to (t + 1) / 4: two of four touch a beat, its last quarter and its first.
    quarter = np.arange(1, 400) % 4
    near = np.isin(quarter, (0, 3))
    assert drawn[~near].mean() > 0.95
    assert drawn[near].mean() < 0.05


def test_a_critic_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    path = write_synthetic_bundle(tmp_path / "b", groove=groove_arrays())
    (path / "groove.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(BundleError, match=r"groove\.npz"):
        Dancer.open(path)
    (path / "groove.npz").unlink()
    with pytest.raises(BundleError, match=r"groove\.npz"):
        Dancer.open(path)


def test_a_groove_needs_music_that_is_heard_before_and_a_pose_that_is_seen(tmp_path: Path) -> None:
    path = write_synthetic_bundle(tmp_path / "b", groove=groove_arrays(), lookahead_tokens=1)
    with pytest.raises(BundleError, match="no look-ahead"):
        Dancer.open(path)


def test_a_groove_asked_of_a_bundle_without_one_is_refused(dancers: tuple[Dancer, Dancer]) -> None:
    with pytest.raises(ConfigError, match="has none to change"):
        dancers[1].session(groove=0.5)
    with pytest.raises(ConfigError, match="from 0"):
        dancers[0].session(groove=-1.0)


def test_the_shipped_dancer_pauses_on_the_beat_as_much_as_it_is_told_to() -> None:
    dancer = Dancer.open()
    samples, beats = steady_clicks(105.0, 40.0)

    def pauses(groove: float) -> float:
        """How far pauses are locked to the beat: cosine of their phases, once the beat is found."""
        motion = generate_samples(dancer, samples, dancer.session(seed=4, groove=groove))
        phases = beat_phase(motion_beats(motion.positions), 60 * beats[10:])
        return float(np.cos(2 * np.pi * phases).mean())

    none, bundled = pauses(0.0), pauses(1.0)
    assert abs(none) < 0.25
    assert bundled > 0.4
