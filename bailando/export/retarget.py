"""A bundle made for the engine becomes one that a game engine's own runtime reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bailando.engine.backends import Arrays
from bailando.engine.bundle import Bundle
from bailando.engine.manifest import Manifest
from bailando.engine.specs import GraphSpec
from bailando.export.bundle_writer import check_replaceable, write_bundle
from bailando.export.critic import critic_of
from bailando.export.describe import timestamp
from bailando.export.onnx_export import fix_batch, graph_spec
from bailando.export.runners import OnnxRunner
from bailando.export.target import Target
from bailando.export.target_notes import target_notes
from bailando.export.validation import STEPS_PAST_CAPACITY, Comparison, GPTRun, compare_gpt, compare_steps
from bailando.export.verify import record_run


@dataclass(frozen=True)
class Retargeted:
    """The written bundle and how its graphs compare with those they came from."""

    bundle: Bundle
    validation: dict[str, Comparison]


def add_target(
    target: Target, manifest: Manifest, models: Mapping[str, onnx.ModelProto]
) -> tuple[Manifest, dict[str, bytes]]:
    """Check a bundle's graphs for `target`; return the manifest that says so and the notes as a file.

    Raises
    ------
    ExportError
        If the target does not support a graph; it names the node.
    """
    backends = {name: target.check(model, name) for name, model in models.items()}
    file = f"{target.name}.md"
    record: dict[str, Any] = {
        "name": target.name,
        "runtime": target.runtime,
        "sources": list(target.sources),
        "opset": target.opset,
        "backends": {name: list(those) for name, those in backends.items()},
        "notes": file,
    }
    described = replace(manifest, validation={**manifest.validation, "target": record})
    return described, {file: target_notes(target, described, backends).encode()}


def retarget_bundle(bundle: Bundle, path: str | Path, target: Target) -> Retargeted:
    """Write a copy of `bundle` whose graphs `target` reads.

    Parameters
    ----------
    bundle : Bundle
        Any bundle; its TensorRT engines are left out.
    path : str or Path
        Folder or ``.zip`` to write.
    target : Target
        For which runtime.

    Raises
    ------
    ExportError
        If a graph has no form that the target supports, or gives other values in it.
    """
    check_replaceable(path)
    old = bundle.manifest
    originals = {name: fix_batch(onnx.load_from_string(bundle.graph_bytes(name))) for name in old.graphs}
    models = {name: target.prepare(model, name) for name, model in originals.items()}
    specs = {
        name: graph_spec(model, old.graphs[name].file, old.graphs[name].precision, _state(old.graphs[name]))
        for name, model in models.items()
    }
    manifest = replace(old, graphs=specs, engines=(), created=timestamp())
    manifest, notes = add_target(target, manifest, models)
    files = critic_of(bundle)
    files |= {specs[name].file: model.SerializeToString() for name, model in models.items()}
    validation = {
        name: _compare(bundle, name, files[specs[name].file]) for name in models if name != "encoder"
    }
    for name, comparison in validation.items():
        comparison.require(name)
    run = record_run(Bundle(Path(path), manifest, files))
    manifest = replace(manifest, validation={**manifest.validation, "run": run.to_dict()})
    return Retargeted(write_bundle(path, manifest, files | notes), validation)


def _state(graph: GraphSpec) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in graph.state)


def _compare(bundle: Bundle, name: str, changed: bytes) -> Comparison:
    """Run a graph and its other form side by side, past any window it has."""
    reference, candidate = OnnxRunner(bundle.graph_bytes(name)), OnnxRunner(changed)
    manifest = bundle.manifest
    random, steps = np.random.default_rng(0), _window(manifest) + STEPS_PAST_CAPACITY
    if name == "gpt_step":
        batch, pair = manifest.batch, manifest.start_codes[0]
        music = random.random((steps, *manifest.graphs[name].tensor("music").shape), np.float32)
        upper, lower = (np.full(batch, code, np.int64) for code in pair)
        return compare_gpt(reference, candidate, GPTRun(music, upper, lower, np.zeros(batch, np.int64)))
    return compare_steps(reference, candidate, [_inputs(manifest, name, random) for _ in range(steps)])


def _window(manifest: Manifest) -> int:
    """Steps that the GPT remembers: the time axis of its cache or of its window of codes."""
    shapes = {tensor.name: tensor.shape for tensor in manifest.graphs["gpt_step"].state}
    lengths: Sequence[int] = [
        shapes[n][axis]
        for n, axis in (("key_cache_0", 3), ("key_cache", 4), ("upper_window", 1))
        if n in shapes
    ]
    return max(lengths, default=0)


def _inputs(manifest: Manifest, name: str, random: np.random.Generator) -> Arrays:
    """Random codes and sound."""
    sizes = {"upper_code": manifest.codebook_size.upper, "lower_code": manifest.codebook_size.lower}
    return {
        tensor.name: random.integers(0, sizes[tensor.name], tensor.shape)
        if tensor.name in sizes
        else 0.3 * random.standard_normal(tensor.shape, np.float32)
        for tensor in manifest.graphs[name].inputs
    }
