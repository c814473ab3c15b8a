"""The exported music front end against the engine's, on a real song."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bailando.engine.backends import Arrays
from bailando.engine.bundle import Bundle
from bailando.engine.manifest import Manifest
from bailando.errors import BundleError, ExportError
from bailando.export.bundle_writer import write_bundle
from bailando.export.exporter import ExportResult
from bailando.export.features_check import FeatureComparison, compare_features
from bailando.export.features_graph import features_step_graph
from bailando.export.runners import OnnxRunner, TorchRunner
from bailando.export.verify import verify_bundle
from bailando.music.audio import load_mono
from bailando.music.features import FeatureExtractor, FeatureSpec

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"
SPEC = FeatureSpec()


@pytest.fixture(scope="module")
def song() -> NDArray[np.float32]:
    """Twelve seconds of music, the third second silent, with samples that no sound card gives."""
    samples = load_mono(SONG, SPEC.sample_rate_hz)[: 12 * SPEC.sample_rate_hz].copy()
    samples[2 * SPEC.sample_rate_hz : 3 * SPEC.sample_rate_hz] = 0.0
    samples[[90_000, 90_007, 90_100]] = [np.nan, np.inf, 3.0]
    return samples


@pytest.fixture(scope="module")
def front_end(exported: ExportResult) -> OnnxRunner:
    return OnnxRunner(exported.bundle.graph_bytes("features_step"))


def heard(runner: OnnxRunner, song: NDArray[np.float32]) -> tuple[NDArray[np.float32], Arrays]:
    """Features (frames, F) that the graph gives hop by hop, and its last state."""
    state, rows = runner.initial_state(), []
    for hop in song[: len(song) // SPEC.hop_length * SPEC.hop_length].reshape(-1, 1, SPEC.hop_length):
        outputs, state = runner.step({"audio": hop}, state)
        rows.append(outputs["features"][0])
    return np.array(rows), state


def test_graph_hears_what_the_engine_hears_in_chunks_of_any_size(
    front_end: OnnxRunner, song: NDArray[np.float32]
) -> None:
    extractor, random = FeatureExtractor(SPEC), np.random.default_rng(5)
    hops = song[: len(song) // SPEC.hop_length * SPEC.hop_length].reshape(-1, SPEC.hop_length)
    state, chunks, start = extractor.initial_state(), [], 0
    while start < len(hops):
        count = int(random.integers(1, 40))
        features, state = extractor.step(hops[start : start + count], state)
        chunks.append(features)
        start += count
    expected = np.concatenate(chunks)
    got, last = heard(front_end, song)
    assert got.shape == (720, 51)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    assert np.ptp(expected[:, SPEC.channel_names.index("beat_sin")]) > 1.9
    assert last["tempo_index"][0] == state.beat.tempo_index
    assert last["phase"][0] == pytest.approx(state.beat.phase, abs=1e-4)


def test_state_follows_the_engines_and_every_decision_is_the_same(
    front_end: OnnxRunner, song: NDArray[np.float32]
) -> None:
    found = compare_features(SPEC, front_end, song)
    assert found.frames == 720
    assert found.max_abs_output < 1e-4
    assert found.max_abs_state < 1e-4
    assert found.frames_within == 1.0
    assert found.decisions_identical


def test_tempo_jumps_are_followed(front_end: OnnxRunner) -> None:
    rate, clicks = SPEC.sample_rate_hz, []
    for bpm, seconds in ((90.0, 8.0), (150.0, 6.0)):
        time_s = np.arange(int(seconds * rate)) / rate
        since_beat_s = (time_s % (60 / bpm)).astype(np.float32)
        clicks.append(np.sin(2 * np.pi * 900 * since_beat_s) * np.exp(-since_beat_s / 0.02))
    song = np.concatenate(clicks).astype(np.float32)
    got, _ = heard(front_end, song)
    expected = FeatureExtractor(SPEC).extract(song)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    octave = got[:, SPEC.channel_names.index("tempo_octave")]
    assert abs(octave[-1] - octave[440]) > 0.25


def test_listeners_of_one_graph_do_not_disturb_each_other(song: NDArray[np.float32]) -> None:
    both = np.stack([song[:48_000], song[-48_000:]])
    found = compare_features(SPEC, TorchRunner(features_step_graph(SPEC, batch=2)), both)
    assert found.max_abs_output < 1e-4
    assert found.decisions_identical


def test_other_features_fail_validation(front_end: OnnxRunner, song: NDArray[np.float32]) -> None:
    found = compare_features(dataclasses.replace(SPEC, max_bpm=190.0), front_end, song[:48_000])
    assert found.frames_within < 0.9
    with pytest.raises(ExportError, match="features_step failed validation"):
        found.require()


@pytest.mark.parametrize(
    ("within", "identical", "passes"), [(1.0, True, True), (0.999, True, False), (0.995, False, True)]
)
def test_late_decision_is_forgiven_and_other_features_are_not(
    within: float, identical: bool, passes: bool
) -> None:
    found = FeatureComparison(1000, 0.3, 0.3, within, identical)
    if passes:
        found.require()
    else:
        with pytest.raises(ExportError, match="of 1000 frames"):
            found.require()


def test_graph_is_plain_small_and_listed(exported: ExportResult) -> None:
    manifest = exported.bundle.manifest
    graph = manifest.graphs["features_step"]
    assert [(t.name, t.shape) for t in graph.inputs] == [("audio", (1, 400))]
    assert [(t.name, t.shape) for t in graph.outputs] == [("features", (1, 51))]
    assert manifest.files["features_step.onnx"].bytes < 400_000
    assert manifest.validation["features"]["frames_within"] == 1.0


def test_verify_listens_with_the_bundles_own_front_end(exported: ExportResult, tmp_path: Path) -> None:
    found = verify_bundle(exported.bundle)
    assert found.features is not None
    assert found.features.max_abs_output < 1e-4
    other = {**exported.bundle.manifest.features, "min_bpm": 70.0}
    files = {name: exported.bundle.file_bytes(name) for name in exported.bundle.manifest.files}
    bundle = write_bundle(
        tmp_path / "b", dataclasses.replace(exported.bundle.manifest, features=other), files
    )
    with pytest.raises(BundleError, match="features_step failed validation"):
        verify_bundle(bundle)


def test_bundle_without_a_front_end_still_loads_and_verifies(exported: ExportResult, tmp_path: Path) -> None:
    manifest = exported.bundle.manifest
    files = {n: exported.bundle.file_bytes(n) for n in manifest.files if n != "features_step.onnx"}
    graphs = {name: graph for name, graph in manifest.graphs.items() if name != "features_step"}
    bundle = write_bundle(tmp_path / "older", dataclasses.replace(manifest, graphs=graphs), files)
    assert verify_bundle(Bundle.open(bundle.path)).features is None


def test_front_end_of_another_shape_is_refused(exported: ExportResult) -> None:
    form = exported.bundle.manifest.to_dict()
    form["graphs"]["features_step"]["outputs"][0]["shape"] = [1, 50]
    with pytest.raises(BundleError, match=r"features_step\.features has shape \[1, 50\], expected \[1, 51\]"):
        Manifest.from_dict(form)
