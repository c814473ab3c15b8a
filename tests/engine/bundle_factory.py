"""A tiny valid bundle made by hand, for tests to damage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FEATURES, CODES, FRAMES = 2, 4, 8


def _model(
    inputs: list[tuple[str, int, list[int]]],
    outputs: list[tuple[str, int, list[int]]],
    nodes: list[Any],
    constants: dict[str, Any],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def gpt_step_model() -> bytes:
    """Logits are the codes' one-hot rows plus the count of steps so far; the state is that count."""
    f, i = TensorProto.FLOAT, TensorProto.INT64
    return _model(
        [("music", f, [1, FRAMES * FEATURES])]
        + [(name, i, [1]) for name in ("upper_code", "lower_code", "style")]
        + [("count", f, [1])],
        [("upper_logits", f, [1, CODES]), ("lower_logits", f, [1, CODES]), ("next_count", f, [1])],
        [
            helper.make_node("Add", ["count", "one"], ["next_count"]),
            helper.make_node("Gather", ["table", "upper_code"], ["upper_row"]),
            helper.make_node("Gather", ["table", "lower_code"], ["lower_row"]),
            helper.make_node("Add", ["upper_row", "next_count"], ["upper_logits"]),
            helper.make_node("Add", ["lower_row", "next_count"], ["lower_logits"]),
        ],
        {"one": np.ones(1, np.float32), "table": np.roll(np.eye(CODES, dtype=np.float32), 1, axis=1)},
    )


def decoder_step_model() -> bytes:
    """Poses are rows of a table; the state is the last upper code's row."""
    f, i = TensorProto.FLOAT, TensorProto.INT64
    table = np.arange(CODES * FRAMES * 3, dtype=np.float32).reshape(CODES, FRAMES, 3)
    return _model(
        [("upper_code", i, [1]), ("lower_code", i, [1]), ("last", f, [1, FRAMES, 3])],
        [
            ("upper_pose", f, [1, FRAMES, 3]),
            ("lower_pose", f, [1, FRAMES, 3]),
            ("next_last", f, [1, FRAMES, 3]),
        ],
        [
            helper.make_node("Gather", ["table", "upper_code"], ["row"]),
            helper.make_node("Add", ["row", "last"], ["upper_pose"]),
            helper.make_node("Identity", ["row"], ["next_last"]),
            helper.make_node("Gather", ["table", "lower_code"], ["lower_pose"]),
        ],
        {"table": table},
    )


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def manifest_dict(files: dict[str, bytes]) -> dict[str, Any]:
    """The JSON form of the manifest of these files."""
    codes = [_tensor("upper_code", "int64", 1), _tensor("lower_code", "int64", 1)]
    music = _tensor("music", "float32", 1, FRAMES * FEATURES)
    gpt = {
        "file": "gpt_step.onnx",
        "opset": 20,
        "precision": "fp32",
        "inputs": [music, *codes, _tensor("style", "int64", 1)],
        "outputs": [_tensor(f"{half}_logits", "float32", 1, CODES) for half in ("upper", "lower")],
        "state": [_tensor("count", "float32", 1)],
    }
    decoder = {
        "file": "decoder_step.onnx",
        "opset": 20,
        "precision": "fp32",
        "inputs": codes,
        "outputs": [_tensor(f"{half}_pose", "float32", 1, FRAMES, 3) for half in ("upper", "lower")],
        "state": [_tensor("last", "float32", 1, FRAMES, 3)],
    }
    return {
        "schema_version": 1,
        "name": "tiny",
        "description": "made by hand",
        "created": "2026-11-21T12:00:00Z",
        "bailando_version": "0.1.0",
        "frame_rate_hz": 60,
        "frames_per_token": FRAMES,
        "lookahead_tokens": 0,
        "music_lead_tokens": 0,
        "skeleton": {"joint_names": [], "parents": [], "offsets_m": []},
        "pose": {"representation": "positions", "upper_channels": 3, "lower_channels": 3},
        "features": {},
        "codebook_size": {"upper": CODES, "lower": CODES},
        "styles": ["open", "salsa"],
        "style_shares": [1.0, 0.0],
        "start_codes": [[0, 1]],
        "sampling": {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
        "graphs": {"gpt_step": gpt, "decoder_step": decoder},
        "engines": [],
        "validation": {},
        "data": [{"name": "none", "licence": "MIT", "credit": ""}],
        "licence": "MIT",
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in files.items()
        },
    }


def make_folder(folder: Path, files: dict[str, bytes] | None = None, **changes: Any) -> Path:
    """Write the tiny bundle (with `changes` to the manifest's top level) into `folder`."""
    models = {"gpt_step.onnx": gpt_step_model(), "decoder_step.onnx": decoder_step_model()} | (files or {})
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in models.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest_dict(models) | changes))
    return folder
