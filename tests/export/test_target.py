from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer
from bailando.errors import ExportError
from bailando.export.exporter import DancerExport, ExportResult
from bailando.export.lowering import lower_opset
from bailando.export.quantise import dynamic_int8
from bailando.export.report import retarget_lines
from bailando.export.retarget import Retargeted, retarget_bundle
from bailando.export.target import TARGETS, load_target
from bailando.export.verify import verify_bundle

UNITY = load_target("unity")


@pytest.fixture(scope="module")
def for_unity(exported: ExportResult, tmp_path_factory: pytest.TempPathFactory) -> Retargeted:
    return retarget_bundle(exported.bundle, tmp_path_factory.mktemp("unity") / "unity.zip", UNITY)


def one_node(
    node: onnx.NodeProto, element: int = TensorProto.FLOAT, rank: int = 2, opset: int = 15
) -> onnx.ModelProto:
    shape = [2] * rank
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info("y", element, None)],
        [numpy_helper.from_array(np.ones((2, 2, 3), np.float32), "w")],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_names_its_sources_and_needs(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert all(source.startswith("https://") for source in target.sources)
    assert target.notes
    assert target.opset == 15


def test_every_graph_of_a_bundle_becomes_one_that_unity_supports(for_unity: Retargeted) -> None:
    bundle = for_unity.bundle
    assert set(bundle.manifest.graphs) == {"gpt_step", "decoder_step", "features_step", "encoder"}
    for name, graph in bundle.manifest.graphs.items():
        assert graph.opset == 15
        assert UNITY.check(onnx.load_from_string(bundle.graph_bytes(name)), name) == UNITY.backends
    assert for_unity.validation["gpt_step"].greedy_codes_identical
    assert all(found.max_abs_output < 1e-4 for found in for_unity.validation.values())
    assert verify_bundle(Bundle.open(bundle.path)).equal_codes == 16


def test_needs_are_written_beside_the_graphs(for_unity: Retargeted) -> None:
    manifest = for_unity.bundle.manifest
    record = manifest.validation["target"]
    assert (record["name"], record["opset"], record["notes"]) == ("unity", 15, "unity.md")
    assert "com.unity.ai.inference 2.5.0" in record["runtime"]
    assert "unity.md" in manifest.files
    notes = for_unity.bundle.file_bytes("unity.md").decode()
    assert "`features_step` on each 400 mono samples at 24000 Hz" in notes
    assert "| `key_cache_0` | state | float32 | 1 x 2 x 3 x 7 x 16 |" in notes
    assert "supported-operators.html" in notes
    assert "strength\n`s = 5 x min(1, [49] / 0.5)`" in notes
    assert manifest.groove is not None
    assert Dancer.open(for_unity.bundle.path).groove is not None
    printed = "\n".join(retarget_lines(for_unity))
    assert "all operators supported at opset 15, see unity.md" in printed
    assert "features_step runs on CPU, GPUCompute, GPUPixel" in printed


def test_unsupported_operator_is_named_with_its_node() -> None:
    node = helper.make_node("Det", ["x"], ["y"], name="volume")
    with pytest.raises(
        ExportError, match=r"graph one: Unity.* does not support the operator Det of node volume"
    ):
        UNITY.check(one_node(node), "one")


def test_quantised_graph_is_refused_for_unity_and_taken_for_unreal(dancer: DancerExport) -> None:
    quantised = dynamic_int8(lower_opset(dancer.models["gpt_step"], "gpt_step"))
    assert quantised is not None
    with pytest.raises(ExportError, match=r"does not support the operator .* of node"):
        UNITY.check(quantised, "gpt_step")
    assert "NNERuntimeORTCpu" in load_target("unreal").check(quantised, "gpt_step")


@pytest.mark.parametrize("name", TARGETS)
def test_operators_outside_onnx_are_refused(name: str) -> None:
    node = helper.make_node("FastGelu", ["x"], ["y"], name="own", domain="com.microsoft")
    with pytest.raises(ExportError, match=r"com\.microsoft::FastGelu of node own"):
        load_target(name).check(one_node(node), "one")


def test_attribute_that_is_not_supported_is_named() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", output_shape=[4])
    with pytest.raises(ExportError, match="output_shape of the operator ConvTranspose of node up"):
        UNITY.check(one_node(node, rank=3), "one")


@pytest.mark.parametrize(
    ("element", "rank", "message"),
    [(TensorProto.DOUBLE, 2, "float64 with 2"), (TensorProto.FLOAT16, 2, "float16"), (1, 9, "with 9 dim")],
)
def test_tensors_that_unity_cannot_hold_are_refused(element: int, rank: int, message: str) -> None:
    with pytest.raises(ExportError, match=f"tensor x, .*{message}"):
        UNITY.check(one_node(helper.make_node("Neg", ["x"], ["y"]), element, rank), "one")


def test_newer_opset_is_refused() -> None:
    with pytest.raises(ExportError, match="graph one has opset 17"):
        UNITY.check(one_node(helper.make_node("Neg", ["x"], ["y"]), opset=17), "one")


def test_operator_that_some_backends_lack_leaves_the_others() -> None:
    node = helper.make_node("LRN", ["x"], ["y"], size=1)
    assert UNITY.check(one_node(node, rank=4), "one") == ("CPU",)


def test_unknown_target_is_refused() -> None:
    with pytest.raises(ExportError, match="target is 'godot', expected one of unity, unreal"):
        load_target("godot")


def test_bundle_is_left_as_it_was(exported: ExportResult, for_unity: Retargeted, tmp_path: Path) -> None:
    assert for_unity.bundle.path != exported.bundle.path
    assert Bundle.open(exported.bundle.path).manifest.graphs["gpt_step"].opset == 20
