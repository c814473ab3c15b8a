from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from bailando.engine.bundle import Bundle
from bailando.engine.groove import CRITIC_FILE, GrooveCritic, GrooveSpec
from bailando.errors import ExportError, OutputError
from bailando.export.bundle_writer import write_bundle
from bailando.export.exporter import DancerExport, ExportOptions, ExportResult
from bailando.export.report import bundle_lines, export_lines
from bailando.export.runners import OnnxRunner
from bailando.export.storage import store_as_float16
from bailando.models.checkpoint import DancerCheckpoint
from bailando.music.features import FeatureSpec
from tests.export.factory import CODES, small_checkpoint


def test_manifest_carries_the_checkpoints_contract(exported: ExportResult) -> None:
    manifest = exported.bundle.manifest
    assert (manifest.name, manifest.licence, manifest.styles) == ("small", "MIT", ("open", "salsa"))
    assert manifest.start_codes == ((1, 2), (3, 4))
    assert (manifest.frame_rate_hz, manifest.frames_per_token) == (60, 8)
    assert (manifest.lookahead_tokens, manifest.music_lead_tokens) == (0, 0)
    assert FeatureSpec.from_dict(dict(manifest.features)) == FeatureSpec()
    assert (manifest.pose.upper_channels, manifest.pose.lower_channels) == (90, 62)
    assert manifest.data[0].name == "noise"
    assert set(manifest.graphs) == {"gpt_step", "decoder_step", "features_step", "encoder"}


def test_the_bundle_brings_the_critic_and_how_much_it_counts(exported: ExportResult) -> None:
    bundle, checkpoint = exported.bundle, small_checkpoint()
    assert checkpoint.movement is not None
    assert bundle.manifest.groove == GrooveSpec(strength=5.0, restraint=0.25, lead_frames=2.0, sure=0.5)
    critic = GrooveCritic.read(bundle.file_bytes(CRITIC_FILE), (CODES, CODES), 2 * (90 + 62), 8)
    body, weights = torch.randn(2 * (90 + 62)), torch.randn(8)
    codes = torch.arange(CODES).repeat(2, 1)
    with torch.no_grad():
        paces = checkpoint.movement(body.expand(CODES, -1), codes) @ weights
    worth = sum(critic.worth(body.numpy(), weights.numpy()))
    np.testing.assert_allclose(worth - worth[0], paces - paces[0], rtol=1e-2, atol=0.1)


def test_step_graphs_take_any_number_of_dancers_unless_told_how_many(
    exported: ExportResult, dancer: DancerExport
) -> None:
    graphs = exported.bundle.manifest.graphs
    assert {name: graph.free_batch for name, graph in graphs.items()} == {
        "gpt_step": True,
        "decoder_step": True,
        "features_step": False,
        "encoder": False,
    }
    assert graphs["decoder_step"].tensor("upper_pose").declared_shape == ("batch", 8, 90)
    for graph in dancer.graphs.values():
        assert {tensor.declared_shape[0] for side in graph.specs() for tensor in side} == {2}


def test_each_row_of_a_batch_is_what_it_would_be_alone(exported: ExportResult) -> None:
    random, graph = np.random.default_rng(0), exported.bundle.manifest.graphs["gpt_step"]
    data = exported.bundle.graph_bytes("gpt_step")
    together, alone = OnnxRunner(data, batch=3), [OnnxRunner(data) for _ in range(3)]
    state, states = together.initial_state(), [runner.initial_state() for runner in alone]
    for _ in range(4):
        inputs = {
            tensor.name: random.normal(size=tensor.shape_of(3)).astype(np.float32)
            if tensor.name == "music"
            else random.integers(0, 2, 3)
            for tensor in graph.inputs
        }
        outputs, state = together.step(inputs, state)
        for row, runner in enumerate(alone):
            given = {name: value[row : row + 1] for name, value in inputs.items()}
            expected, states[row] = runner.step(given, states[row])
            for name, value in expected.items():
                np.testing.assert_allclose(outputs[name][row : row + 1], value, atol=1e-5)


def test_manifest_records_the_validation(exported: ExportResult) -> None:
    figures = exported.bundle.manifest.validation
    assert figures["graphs"]["gpt_step"]["greedy_codes_identical"] is True
    assert figures["graphs"]["gpt_step"]["steps"] == 70
    assert figures["graphs"]["decoder_step"]["max_abs_state"] < 1e-4
    assert figures["precision"]["code_agreement"] > 0.95
    assert len(figures["run"]["codes"]) == 16


def test_float16_storage_halves_large_weights_and_changes_no_value(dancer: DancerExport) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(dancer.models["gpt_step"])
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            rounded = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    stored = store_as_float16(model)
    onnx.checker.check_model(stored, full_check=True)
    assert stored.ByteSize() < 0.62 * model.ByteSize()
    first, second = (OnnxRunner(m.SerializeToString()) for m in (model, stored))
    inputs = {"music": dancer.run.music[0], "style": dancer.run.style} | dancer.code_feed(1)[0]
    expected, got = first.step(inputs, first.initial_state()), second.step(inputs, second.initial_state())
    for one, other in zip(expected, got, strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])


def test_weights_that_float16_cannot_hold_stay_float32(dancer: DancerExport) -> None:
    stored = {t.name for t in store_as_float16(dancer.models["gpt_step"]).graph.initializer}
    weights = {name for name in stored if name.startswith("gpt.")}
    assert weights
    assert not {name for name in weights if name.endswith("_float16")}


def test_music_of_another_definition_is_refused(checkpoint: DancerCheckpoint) -> None:
    mixed = dataclasses.replace(checkpoint, features=FeatureSpec(n_mels=8).to_dict())
    with pytest.raises(ExportError, match="mixes two feature definitions"):
        DancerExport(mixed, ExportOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"precision": "fp8"}, "expected one of fp32, fp16"),
        ({"storage": "int8"}, "expected fp32 or fp16"),
        ({"min_agreement": 2.0}, "expected 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        ExportOptions(**options)  # type: ignore[arg-type]


def test_bundle_replaces_a_bundle_but_nothing_else(exported: ExportResult, tmp_path: Path) -> None:
    bundle = exported.bundle
    files = {name: bundle.file_bytes(name) for name in bundle.manifest.files}
    target = tmp_path / "out"
    for name in ("first", "second"):
        renamed = dataclasses.replace(bundle.manifest, name=name)
        assert write_bundle(target, renamed, files).manifest.name == name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="is no bundle"):
        write_bundle(tmp_path / "notes", bundle.manifest, files)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"


def test_equal_bundles_are_equal_zips(exported: ExportResult, tmp_path: Path) -> None:
    bundle = exported.bundle
    files = {name: bundle.file_bytes(name) for name in bundle.manifest.files}
    for name in ("a.zip", "b.zip"):
        write_bundle(tmp_path / name, bundle.manifest, files)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert Bundle.open(tmp_path / "a.zip").manifest == bundle.manifest


def test_reports_name_the_figures_and_files(exported: ExportResult) -> None:
    assert 0 < exported.times_ms["fp32"]["gpt_step"] < 1000
    text = "\n".join(export_lines(exported))
    assert "gpt_step: 70 steps against torch" in text
    assert "greedy codes identical" in text
    shown = "\n".join(bundle_lines(exported.bundle))
    assert "groove: strength 5, restraint 0.25, 2 frames early" in shown
    assert "graph decoder_step: decoder_step.onnx, opset 20, fp32" in shown
    assert exported.bundle.manifest.files["gpt_step.onnx"].sha256 in shown
    assert "data: noise (CC0-1.0) a generator" in shown
