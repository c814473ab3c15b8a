"""Torch as a backend: the reference dances what the exported bundle dances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bailando.engine.dancer import Dancer
from bailando.engine.generate import generate_samples
from bailando.errors import InputError
from bailando.export.exporter import ExportOptions, export_checkpoint
from bailando.export.torch_backend import TorchBackend, open_checkpoint, step_graphs
from bailando.models.checkpoint import DancerCheckpoint, save_checkpoint


@pytest.fixture(scope="module")
def checkpoint_path(checkpoint: DancerCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "dancer.pt"
    save_checkpoint(path, checkpoint)
    return path


@pytest.fixture(scope="module")
def reference(checkpoint_path: Path) -> Dancer:
    return open_checkpoint(checkpoint_path)


def noise(seconds: float, dancer: Dancer) -> np.ndarray:
    count = round(seconds * dancer.feature_spec.sample_rate_hz)
    return np.random.default_rng(3).uniform(-0.5, 0.5, count).astype(np.float32)


def test_torch_dances_the_codes_of_the_exported_bundle(
    checkpoint: DancerCheckpoint, reference: Dancer, tmp_path: Path
) -> None:
    export_checkpoint(checkpoint, tmp_path / "bundle", ExportOptions())
    exported = Dancer.open(tmp_path / "bundle", "cpu")
    samples = noise(4.0, reference)
    torch_dance, dance = (
        generate_samples(d, samples, d.session(seed=5, temperature=8.0)) for d in (reference, exported)
    )
    assert min(len(set(map(int, codes))) for codes in (dance.upper_codes, dance.lower_codes)) > 4
    np.testing.assert_array_equal(torch_dance.upper_codes, dance.upper_codes)
    np.testing.assert_array_equal(torch_dance.lower_codes, dance.lower_codes)
    np.testing.assert_allclose(torch_dance.root_position, dance.root_position, atol=1e-4)


def test_reference_says_what_it_is(reference: Dancer) -> None:
    assert (reference.backend.name, reference.backend.reason) == ("torch", "asked for torch, the reference")


def test_snapshot_of_a_dance_in_torch_goes_on_alike(reference: Dancer) -> None:
    session = reference.session(seed=2)
    music = np.random.default_rng(0).normal(size=(8, reference.feature_spec.frame_dim)).astype(np.float32)
    session.step(None)
    session.step(music)
    other = session.fork()
    np.testing.assert_array_equal(session.step(music).rotations, other.step(music).rotations)


def test_step_leaves_the_passed_state_alone(checkpoint: DancerCheckpoint) -> None:
    backend = TorchBackend(step_graphs(checkpoint))
    codes = {"upper_code": np.array([1]), "lower_code": np.array([2])}
    state = backend.initial_state("decoder_step")
    first, after = backend.step("decoder_step", codes, state)
    again, _ = backend.step("decoder_step", codes, state)
    np.testing.assert_array_equal(first["upper_pose"], again["upper_pose"])
    assert any(value.any() for value in backend.read_state("decoder_step", after).values())


def test_several_sessions_step_as_each_alone(checkpoint: DancerCheckpoint) -> None:
    backend = TorchBackend(step_graphs(checkpoint))
    codes = {"upper_code": np.array([1, 5]), "lower_code": np.array([2, 7])}
    states = [backend.initial_state("decoder_step") for _ in range(2)]
    together, _ = backend.step_many("decoder_step", codes, states)
    for row in range(2):
        alone, _ = backend.step("decoder_step", {k: v[row : row + 1] for k, v in codes.items()}, states[row])
        np.testing.assert_array_equal(together["upper_pose"][row], alone["upper_pose"][0])


def test_watched_reference_dances_too(checkpoint_path: Path) -> None:
    dancer = open_checkpoint(checkpoint_path, watch=True)
    assert dancer.watchdog is not None
    assert dancer.session().step(None).rotations.shape == (8, 24, 4)


def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint"):
        open_checkpoint(tmp_path / "missing.pt")
