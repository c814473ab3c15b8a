"""A tiny bundle that the engine can dance: every output depends on inputs, codes, style and state."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bailando.motion.skeleton import Skeleton
from bailando.music.features import FeatureSpec

CODES, FRAMES, UPPER, LOWER = 16, 8, 90, 62
STYLES = ("open", "salsa", "waltz")
STYLE_SHARES = (0.2, 0.3, 0.5)
START_CODES = ((3, 5), (7, 1), (2, 2))
WIDTH = FRAMES * FeatureSpec().frame_dim
GROOVE = {"strength": 3.0, "restraint": 0.2, "lead_frames": 2.0, "sure": 0.7}
_F, _I = TensorProto.FLOAT, TensorProto.INT64

Tensor = tuple[str, int, list[int]]


def _model(inputs: list[Tensor], outputs: list[Tensor], nodes: list[Any], constants: dict[str, Any]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "synthetic",
        [helper.make_tensor_value_info(*tensor) for tensor in inputs],
        [helper.make_tensor_value_info(*tensor) for tensor in outputs],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def gpt_constants() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "decay": np.array([0.9]),
        "music_weight": rng.normal(0, 0.05, (WIDTH, CODES)),
        "upper_table": rng.normal(0, 1, (CODES, CODES)),
        "lower_table": rng.normal(0, 1, (CODES, CODES)),
        "style_table": rng.normal(0, 1, (len(STYLES), CODES)),
    }


def gpt_step_model(poison: float = 0.0) -> bytes:
    """next_memory = 0.9 memory + music W; logits add the rows of the codes and of the style to it."""
    node = helper.make_node
    return _model(
        [("music", _F, [1, WIDTH])]
        + [(name, _I, [1]) for name in ("upper_code", "lower_code", "style")]
        + [("memory", _F, [1, CODES])],
        [(name, _F, [1, CODES]) for name in ("upper_logits", "lower_logits", "next_memory")],
        [
            node("Mul", ["memory", "decay"], ["faded"]),
            node("MatMul", ["music", "music_weight"], ["heard"]),
            node("Add", ["faded", "heard"], ["next_memory"]),
            node("Gather", ["style_table", "style"], ["style_row"]),
            node("Add", ["next_memory", "style_row"], ["base"]),
            node("Gather", ["upper_table", "upper_code"], ["upper_row"]),
            node("Gather", ["lower_table", "lower_code"], ["lower_row"]),
            node("Add", ["base", "upper_row"], ["upper_clean"]),
            node("Add", ["upper_clean", "poison"], ["upper_logits"]),
            node("Add", ["base", "lower_row"], ["lower_logits"]),
        ],
        gpt_constants() | {"poison": np.array([poison])},
    )


def decoder_constants() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    identity = np.array([1.0, 0, 0, 0, 1, 0])
    upper = np.tile(identity, 15) + rng.normal(0, 0.1, (CODES, 1, UPPER)).repeat(FRAMES, axis=1)
    lower = np.zeros((CODES, FRAMES, LOWER))
    lower[:, :, :54] = np.tile(identity, 9) + rng.normal(0, 0.1, (CODES, 1, 54))
    lower[:, :, 54] = 0.95
    lower[:, :, 55:58] = rng.normal(0, 0.005, (CODES, 1, 3))
    lower[:, :, 58:] = rng.uniform(0, 1, (CODES, 1, 4))
    return {"upper_table": upper, "lower_table": lower, "half": np.array([0.5])}


def decoder_step_model(poison: float = 0.0) -> bytes:
    """Poses are the mean of the codes' rows and of the state, which is the pose before."""
    node = helper.make_node
    shapes = {"upper": UPPER, "lower": LOWER}
    nodes = []
    for half in shapes:
        nodes += [
            node("Gather", [f"{half}_table", f"{half}_code"], [f"{half}_row"]),
            node("Add", [f"{half}_row", f"{half}_before"], [f"{half}_sum"]),
            node("Mul", [f"{half}_sum", "half"], [f"next_{half}_before"]),
            node("Add", [f"next_{half}_before", "poison"], [f"{half}_pose"]),
        ]
    return _model(
        [(f"{half}_code", _I, [1]) for half in shapes]
        + [(f"{half}_before", _F, [1, FRAMES, width]) for half, width in shapes.items()],
        [(f"{half}_pose", _F, [1, FRAMES, width]) for half, width in shapes.items()]
        + [(f"next_{half}_before", _F, [1, FRAMES, width]) for half, width in shapes.items()],
        nodes,
        decoder_constants() | {"poison": np.array([poison])},
    )


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def _graphs() -> dict[str, Any]:
    codes = [_tensor("upper_code", "int64", 1), _tensor("lower_code", "int64", 1)]
    common = {"opset": 20, "precision": "fp32"}
    return {
        "gpt_step": common
        | {
            "file": "gpt_step.onnx",
            "inputs": [_tensor("music", "float32", 1, WIDTH), *codes, _tensor("style", "int64", 1)],
            "outputs": [_tensor(name, "float32", 1, CODES) for name in ("upper_logits", "lower_logits")],
            "state": [_tensor("memory", "float32", 1, CODES)],
        },
        "decoder_step": common
        | {
            "file": "decoder_step.onnx",
            "inputs": codes,
            "outputs": [
                _tensor("upper_pose", "float32", 1, FRAMES, UPPER),
                _tensor("lower_pose", "float32", 1, FRAMES, LOWER),
            ],
            "state": [
                _tensor("upper_before", "float32", 1, FRAMES, UPPER),
                _tensor("lower_before", "float32", 1, FRAMES, LOWER),
            ],
        },
    }


def manifest_dict(graph_files: dict[str, bytes]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "synthetic",
        "description": "random tables for tests",
        "created": "2026-11-21T12:00:00Z",
        "bailando_version": "0.1.0",
        "frame_rate_hz": 60,
        "frames_per_token": FRAMES,
        "lookahead_tokens": 0,
        "music_lead_tokens": 0,
        "skeleton": Skeleton.default().to_dict(),
        "pose": {"representation": "rotation6d-heading", "upper_channels": UPPER, "lower_channels": LOWER},
        "features": FeatureSpec().to_dict(),
        "codebook_size": {"upper": CODES, "lower": CODES},
        "styles": list(STYLES),
        "style_shares": list(STYLE_SHARES),
        "start_codes": [list(pair) for pair in START_CODES],
        "sampling": {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
        "graphs": _graphs(),
        "engines": [],
        "validation": {},
        "data": [],
        "licence": "MIT",
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in graph_files.items()
        },
    }


def groove_arrays() -> dict[str, np.ndarray]:
    """A critic that knows what the body does, as random as the tables."""
    rng, features, hidden, factors = np.random.default_rng(3), 2 * (UPPER + LOWER), 6, 3
    return {
        "mean": rng.normal(0, 0.1, features),
        "deviation": np.ones(features),
        "hidden.0.weight": rng.normal(0, 0.3, (hidden, features)),
        "hidden.0.bias": rng.normal(0, 0.3, hidden),
        "hidden.2.weight": rng.normal(0, 0.3, (hidden, hidden)),
        "hidden.2.bias": rng.normal(0, 0.3, hidden),
        "factors.weight": rng.normal(0, 1, (2 * FRAMES * factors, hidden)),
        "factors.bias": rng.normal(0, 1, 2 * FRAMES * factors),
        "of_code": rng.normal(0, 1, (2, CODES, FRAMES)),
        "code_factors": rng.normal(0, 1, (2, CODES, factors)),
    }


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value.astype(np.float16) for name, value in arrays.items()})
    return buffer.getvalue()


def _with_free_batch(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return bytes(model.SerializeToString())


def _freed(graph: dict[str, Any]) -> dict[str, Any]:
    sides = {
        side: [tensor | {"shape": ["batch", *tensor["shape"][1:]]} for tensor in graph[side]]
        for side in ("inputs", "outputs", "state")
    }
    return graph | sides


def write_synthetic_bundle(
    folder: Path,
    gpt_step: bytes | None = None,
    decoder_step: bytes | None = None,
    free_batch: bool = False,
    groove: dict[str, np.ndarray] | None = None,
    groove_spec: dict[str, float] = GROOVE,
    **changes: Any,
) -> Path:
    """Write the bundle into a new folder; `changes` replace keys of its manifest.

    With the arrays of a `groove` it has a critic, too.
    """
    graph_files = {
        "gpt_step.onnx": gpt_step or gpt_step_model(),
        "decoder_step.onnx": decoder_step or decoder_step_model(),
    }
    if groove is not None:
        graph_files["groove.npz"] = _npz(groove)
        changes["groove"] = groove_spec
    if free_batch:
        graph_files |= {
            name: _with_free_batch(data) for name, data in graph_files.items() if name.endswith(".onnx")
        }
        changes["graphs"] = {name: _freed(graph) for name, graph in _graphs().items()}
    folder.mkdir(parents=True)
    for name, data in graph_files.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest_dict(graph_files) | changes))
    return folder
