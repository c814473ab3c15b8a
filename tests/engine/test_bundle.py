from __future__ import annotations

import contextlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bailando.engine.bundle import Bundle, Limits
from bailando.engine.onnx_scan import check_graph
from bailando.errors import BundleError
from tests.engine.bundle_factory import decoder_step_model, gpt_step_model, make_folder


def make_zip(folder: Path, path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "bundle")


def refuse(path: Path, message: str, limits: Limits | None = None) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        Bundle.open(path, limits)
    assert "\n" not in str(caught.value)


def test_folder_gives_manifest_and_graphs(folder: Path) -> None:
    bundle = Bundle.open(folder)
    assert bundle.manifest.name == "tiny"
    assert bundle.graph_bytes("gpt_step") == gpt_step_model()
    assert bundle.file_bytes("decoder_step.onnx") == decoder_step_model()


def test_zip_gives_the_same_as_the_folder(folder: Path, tmp_path: Path) -> None:
    packed = Bundle.open(make_zip(folder, tmp_path / "bundle.zip"))
    assert packed.manifest == Bundle.open(folder).manifest
    assert packed.graph_bytes("decoder_step") == decoder_step_model()


def test_bundle_is_held_in_memory(folder: Path) -> None:
    bundle = Bundle.open(folder)
    (folder / "gpt_step.onnx").write_bytes(b"changed after the check")
    assert bundle.graph_bytes("gpt_step") == gpt_step_model()


def test_unknown_graph_names_those_present(folder: Path) -> None:
    with pytest.raises(BundleError, match="gpt_step, decoder_step"):
        Bundle.open(folder).graph_bytes("encoder")
    with pytest.raises(BundleError, match="no file"):
        Bundle.open(folder).file_bytes("encoder.onnx")


def test_missing_path_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere", "no bundle at")


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, "has no manifest.json")


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x02}q.", gpt_step_model()])
def test_file_that_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bundle.zip").write_bytes(data)
    refuse(tmp_path / "bundle.zip", "no whole .zip bundle")


@pytest.mark.parametrize("kept", [0.3, 0.8, 0.99])
def test_truncated_zip_is_refused(folder: Path, tmp_path: Path, kept: float) -> None:
    path = make_zip(folder, tmp_path / "bundle.zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    refuse(path, "no whole .zip bundle")


def test_every_flipped_byte_of_a_zip_is_refused_or_harmless(folder: Path, tmp_path: Path) -> None:
    path = make_zip(folder, tmp_path / "bundle.zip", zipfile.ZIP_STORED)
    data = path.read_bytes()
    expected = Bundle.open(path)
    for position in range(0, len(data), 23):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            bundle = Bundle.open(path)
        except BundleError:
            continue
        assert bundle.manifest == expected.manifest
        assert bundle.graph_bytes("gpt_step") == expected.graph_bytes("gpt_step")


def test_changed_model_is_refused_by_its_hash(folder: Path) -> None:
    data = bytearray((folder / "gpt_step.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "gpt_step.onnx").write_bytes(data)
    refuse(folder, "gpt_step.onnx does not match its sha256")


def test_truncated_model_is_refused_by_its_size(folder: Path) -> None:
    (folder / "gpt_step.onnx").write_bytes(gpt_step_model()[:-5])
    refuse(folder, "bytes, the manifest says")


def test_missing_model_is_refused(folder: Path) -> None:
    (folder / "decoder_step.onnx").unlink()
    refuse(folder, "lacks decoder_step.onnx")


def test_unlisted_model_is_refused(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"x")
    refuse(folder, "does not list .weights.bin")


def test_litter_of_file_browsers_is_ignored(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    assert Bundle.open(folder).manifest.name == "tiny"


def test_folder_inside_is_refused(folder: Path) -> None:
    (folder / "more").mkdir()
    refuse(folder, "more in .* is no plain file")


def test_pipe_inside_is_refused_without_waiting(folder: Path) -> None:
    os.mkfifo(folder / "pipe.onnx")
    refuse(folder, "no plain file")


def test_link_leading_outside_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(gpt_step_model())
    (folder / "gpt_step.onnx").unlink()
    (folder / "gpt_step.onnx").symlink_to(outside)
    refuse(folder, "links outside")


def test_dangling_link_is_refused(folder: Path) -> None:
    (folder / "gone.onnx").symlink_to(folder / "nothing")
    refuse(folder, "cannot read")


@pytest.mark.parametrize("name", ["../evil.onnx", "/evil.onnx", "a/b.onnx", ".hidden", "a\\b.onnx", "sub/"])
def test_zip_entry_with_a_path_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    path = make_zip(folder, tmp_path / "bundle.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    refuse(path, "outside the bundle's flat folder")


def test_zip_entry_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    path = make_zip(folder, tmp_path / "bundle.zip")
    link = zipfile.ZipInfo("link.onnx")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, b"/etc/passwd")
    refuse(path, "link.onnx in .* is a link")


def test_zip_with_one_name_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    path = make_zip(folder, tmp_path / "bundle.zip")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("gpt_step.onnx", b"x")
    refuse(path, "one name twice")


def test_compression_bomb_is_refused_before_unpacking(folder: Path, tmp_path: Path) -> None:
    path = make_zip(folder, tmp_path / "bundle.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.onnx", bytes(10_000_000))
    refuse(path, "a compression bomb")


def test_entry_larger_than_it_declares_is_refused(folder: Path, tmp_path: Path) -> None:
    path = make_zip(folder, tmp_path / "bundle.zip")
    data = path.read_bytes()
    size = (folder / "manifest.json").stat().st_size
    assert data.count(size.to_bytes(4, "little")) >= 2
    path.write_bytes(data.replace(size.to_bytes(4, "little"), (size - 100).to_bytes(4, "little")))
    refuse(path, "no whole .zip bundle")


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_manifest_bytes=100),
        Limits(max_file_bytes=100),
        Limits(max_total_bytes=700),
        Limits(max_files=2),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_limits_are_kept(folder: Path, tmp_path: Path, limits: Limits, packed: bool) -> None:
    path = make_zip(folder, tmp_path / "bundle.zip") if packed else folder
    refuse(path, "do not use this bundle", limits)


def altered_gpt(change: str) -> bytes:
    """The tiny GPT graph with one thing that no bundle may hold."""
    from onnx import load_from_string

    model = load_from_string(gpt_step_model())
    graph = model.graph
    if change == "external":
        tensor = graph.initializer[1]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../../etc/passwd"
    elif change == "custom-op":
        graph.node.append(helper.make_node("Run", ["one"], ["x"], domain="evil.ops"))
    elif change == "control-flow":
        body = helper.make_graph([], "body", [], [])
        graph.node.append(helper.make_node("Loop", ["", "", "one"], ["x"], body=body))
    elif change == "function":
        opsets = [helper.make_opsetid("", 20)]
        model.functions.append(helper.make_function("", "F", ["x"], ["x"], [], opset_imports=opsets))
    elif change == "huge":
        graph.initializer.append(numpy_helper.from_array(np.array([1 << 20, 1 << 20]), "shape"))
        graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["x"]))
    elif change == "huge-constant":
        shape = helper.make_tensor("v", TensorProto.INT64, [2], [1 << 20, 1 << 20])
        graph.node.append(helper.make_node("Constant", [], ["shape"], value=shape))
        graph.node.append(helper.make_node("Expand", ["one", "shape"], ["x"]))
    elif change == "huge-weight":
        graph.initializer[0].dims[:] = [1 << 20, 1 << 20]
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("external", "external data"),
        ("custom-op", "'Run' of domain 'evil.ops'"),
        ("control-flow", "control flow"),
        ("function", "functions of its own"),
        ("huge", "asks for a tensor of 1099511627776 elements"),
        ("huge-constant", "asks for a tensor"),
        ("huge-weight", "declares a weight of 1099511627776 elements"),
    ],
)
def test_hostile_graph_is_refused_although_its_hash_is_right(
    tmp_path: Path, change: str, message: str
) -> None:
    refuse(make_folder(tmp_path / "bundle", {"gpt_step.onnx": altered_gpt(change)}), message)


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x3a\xff\xff\xff\xff\x0f", gpt_step_model()[:100]])
def test_graph_that_is_no_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    refuse(make_folder(tmp_path / "bundle", {"gpt_step.onnx": data}), "is no ONNX model")


@given(
    position=st.integers(0, len(gpt_step_model()) - 1), value=st.integers(0, 255), kept=st.integers(0, 600)
)
@settings(max_examples=300, deadline=None)
def test_no_damage_to_a_graph_breaks_the_judge(position: int, value: int, kept: int) -> None:
    data = bytearray(gpt_step_model())
    data[position] = value
    with contextlib.suppress(BundleError):
        check_graph(bytes(data[:kept]), "gpt_step.onnx")


def test_graph_of_endless_parts_is_refused_soon() -> None:
    part = b"\x12\x00"  # an empty field 2 of a graph
    body = part * 1_100_000
    size = len(body)
    head = bytearray(b"\x3a")
    while size:
        head.append((size & 0x7F) | (0x80 if size > 0x7F else 0))
        size >>= 7
    with pytest.raises(BundleError, match="more than 1000000 parts"):
        check_graph(bytes(head) + body, "gpt_step.onnx")
