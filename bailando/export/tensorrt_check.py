"""Validation of built engines on the GPU at hand; where there is none, that is said."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bailando.engine.backends import Arrays
from bailando.engine.specs import GraphSpec
from bailando.export.graphs import StepGraph
from bailando.export.runners import TorchRunner
from bailando.export.tensorrt import BuiltEngine
from bailando.export.tensorrt_runner import TensorRTRunner
from bailando.export.validation import GPTRun, compare_gpt, compare_steps


def why_not_run(engine: BuiltEngine) -> str | None:
    """Return why an engine cannot run here, or None if it can."""
    if not torch.cuda.is_available():
        return "no GPU"
    major, minor = torch.cuda.get_device_capability()
    present, wanted = f"{major}.{minor}", engine.spec.compute_capabilities
    if wanted and present not in wanted:
        return f"this GPU has compute capability {present}, the engine is for {', '.join(wanted)}"
    return None


def run_engines(
    engines: Sequence[BuiltEngine],
    specs: Mapping[str, GraphSpec],
    references: Mapping[str, StepGraph],
    run: GPTRun,
    decoder_feed: list[Arrays],
) -> dict[str, dict[str, Any]]:
    """Compare each engine with torch step by step and time it.

    Float32 engines must agree as ONNX does; of float16 ones the figures are reported.

    Returns
    -------
    dict
        By graph: ``{"not_run": reason}``, or the figures of a `Comparison` and ``ms_per_step``.

    Raises
    ------
    ExportError
        If a float32 engine fails validation.
    """
    results: dict[str, dict[str, Any]] = {}
    for engine in engines:
        name = engine.spec.graph
        reason = why_not_run(engine)
        if reason is not None:
            results[name] = {"not_run": reason}
            continue
        runner = TensorRTRunner(importlib.import_module(engine.spec.library), engine.data, specs[name])
        reference = TorchRunner(references[name])
        if name == "gpt_step":
            comparison = compare_gpt(reference, runner, run)
        else:
            comparison = compare_steps(reference, runner, decoder_feed)
        if specs[name].precision != "fp16":
            comparison.require(f"the engine of {name}")
        results[name] = comparison.to_dict() | {"ms_per_step": runner.time_step_ms()}
    return results
