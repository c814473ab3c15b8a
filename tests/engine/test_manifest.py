from __future__ import annotations

import json
from typing import Any

import pytest

from bailando.engine.groove import GrooveSpec
from bailando.engine.manifest import Manifest
from bailando.errors import BundleError
from tests.engine.bundle_factory import decoder_step_model, gpt_step_model, manifest_dict


@pytest.fixture
def form() -> dict[str, Any]:
    return manifest_dict({"gpt_step.onnx": gpt_step_model(), "decoder_step.onnx": decoder_step_model()})


def put(form: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A deep copy of `form` with the value at the dotted path replaced."""
    copy = json.loads(json.dumps(form))
    *parents, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    place = copy
    for key in parents:
        place = place[key]
    place[last] = value
    return dict(copy)


def test_text_form_reads_back_equal(form: dict[str, Any]) -> None:
    manifest = Manifest.from_dict(form)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert json.loads(manifest.to_json()) == form


def test_a_groove_reads_back_equal_and_may_be_missing(form: dict[str, Any]) -> None:
    assert Manifest.from_dict(form).groove is None
    spec = {"strength": 9.0, "restraint": 0.25, "lead_frames": 2.0, "sure": 0.7}
    entry = {"groove.npz": {"sha256": "0" * 64, "bytes": 10}}
    grooving = form | {"groove": spec, "files": form["files"] | entry}
    manifest = Manifest.from_dict(grooving)
    assert manifest.groove == GrooveSpec(**spec)
    assert json.loads(manifest.to_json()) == grooving
    with pytest.raises(BundleError, match=r"groove\.npz"):
        Manifest.from_dict(form | {"groove": spec})
    for name, value in (("strength", -1.0), ("sure", 0.0), ("lead_frames", None), ("restraint", "much")):
        with pytest.raises(BundleError, match=name):
            Manifest.from_dict(grooving | {"groove": spec | {name: value}})


def test_fields_arrive_as_written(form: dict[str, Any]) -> None:
    manifest = Manifest.from_dict(form)
    assert manifest.token_rate_hz == 7.5
    assert manifest.batch == 1
    assert manifest.start_codes == ((0, 1),)
    assert manifest.graphs["gpt_step"].tensor("count").shape == (1,)


@pytest.mark.parametrize("key", sorted(manifest_dict({})))
def test_every_key_is_required(form: dict[str, Any], key: str) -> None:
    del form[key]
    with pytest.raises(BundleError, match=key):
        Manifest.from_dict(form)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("surprise", 1, "unknown keys .surprise"),
        ("graphs/gpt_step/surprise", 1, "unknown keys"),
        ("graphs/other", {}, "unknown keys .other"),
        ("frame_rate_hz", 60.0, "frame_rate_hz is 60.0, expected an integer"),
        ("frame_rate_hz", True, "frame_rate_hz is True"),
        ("frames_per_token", 0, r"an integer in \[1, 256\]"),
        ("name", "", "name is ''"),
        ("name", "n" * 200, "name is"),
        ("created", "yesterday", "ISO 8601"),
        ("pose/representation", "dance", "one of rotation6d-heading, positions"),
        ("sampling/temperature", -1, "temperature"),
        ("sampling/top_p", 0, "top_p"),
        ("styles", [], "1 to 1024"),
        ("styles", ["salsa"], "must start with 'open'"),
        ("styles", ["open", "open"], "no style twice"),
        ("style_shares", [1.0], "one for each style"),
        ("style_shares", [0.5, 0.4], "sum to 1"),
        ("style_shares", [1.5, -0.5], r"share is 1.5, expected a number in \[0.0, 1.0\]"),
        ("start_codes", [], "1 to 65536"),
        ("start_codes", [[0]], "2 to 2"),
        ("start_codes", [[4, 0]], "codebooks hold 4 and 4"),
        ("skeleton", [], "skeleton is a list"),
        ("data", [{"name": "x"}], "licence is missing"),
        ("licence", "", "licence"),
        ("graphs/gpt_step/file", "../gpt_step.onnx", "outside"),
        ("graphs/gpt_step/file", "/etc/passwd", "outside"),
        ("graphs/gpt_step/file", "C:\\x.onnx", "outside"),
        ("graphs/gpt_step/file", "other.onnx", "does not list other.onnx"),
        ("graphs/gpt_step/file", "decoder_step.onnx", "one file twice"),
        ("graphs/gpt_step/opset", 3, "opset"),
        ("graphs/gpt_step/state/0/shape", [4096, 4096, 4096], "elements"),
        ("graphs/gpt_step/state/0/dtype", "string", "dtype"),
        ("graphs/gpt_step/state/0/name", "music", "twice"),
        ("graphs/gpt_step/inputs/1/shape", [2], r"upper_code has shape \[2\], expected \[1\]"),
        ("graphs/gpt_step/inputs/1/name", "code", "must have inputs"),
        ("graphs/gpt_step/outputs/0/shape", [1, 5], "upper_logits has shape"),
        ("graphs/decoder_step/outputs/0/shape", [1, 7, 3], "upper_pose has shape"),
        ("graphs/decoder_step/outputs/0/name", "pose", "must have outputs"),
        ("files/gpt_step.onnx/sha256", "00", "64 lower-case hex"),
        ("files/gpt_step.onnx/bytes", -1, "bytes"),
        ("files", {}, "1 to 64 files"),
    ],
)
def test_wrong_value_is_refused(form: dict[str, Any], path: str, value: object, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        Manifest.from_dict(put(form, path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        (2, "upgrade with pip"),
        (0, "exporting its checkpoint again"),
        ("1", "no bailando bundle"),
        (True, "no b"),
    ],
)
def test_other_schema_version_says_what_to_do(form: dict[str, Any], version: object, advice: str) -> None:
    with pytest.raises(BundleError, match=advice):
        Manifest.from_dict(put(form, "schema_version", version))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"schema_version": 1',
        b'{"schema_version": 1, "schema_version": 1}',
        b'{"schema_version": NaN}',
        b'{"validation": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"validation": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    ],
    ids=["empty", "not-utf8", "list", "cut", "repeated-key", "nan", "deep", "very-deep"],
)
def test_text_that_is_no_plain_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(BundleError, match="manifest is not"):
        Manifest.from_json(text)
