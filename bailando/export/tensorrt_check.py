"""Validation of built engines on the GPU at hand; where there is none, that is said."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from bailando.engine.backends import Arrays
from bailando.engine.cuda_driver import CudaDriver, CudaError
from bailando.engine.specs import GraphSpec
from bailando.export.graphs import StepGraph
from bailando.export.runners import TorchRunner
from bailando.export.tensorrt import BuiltEngine
from bailando.export.tensorrt_runner import TensorRTRunner
from bailando.export.validation import GPTRun, compare_gpt, compare_steps


def why_not_run(engine: BuiltEngine, driver: CudaDriver | None) -> str | None:
    """Return why an engine cannot run here, or None if it can."""
    if driver is None:
        return "no GPU"
    present, wanted = driver.gpu.compute_capability, engine.spec.compute_capabilities
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
    driver = _driver()
    for engine in engines:
        name = engine.spec.graph
        reason = why_not_run(engine, driver)
        if reason is not None or driver is None:
            results[name] = {"not_run": reason}
            continue
        library = importlib.import_module(engine.spec.library)
        runner = TensorRTRunner(library, engine.data, specs[name], driver)
        reference = TorchRunner(references[name])
        if name == "gpt_step":
            comparison = compare_gpt(reference, runner, run)
        else:
            comparison = compare_steps(reference, runner, decoder_feed)
        if specs[name].precision != "fp16":
            comparison.require(f"the engine of {name}")
        results[name] = comparison.to_dict() | {"ms_per_step": runner.time_step_ms()}
    return results


def _driver() -> CudaDriver | None:
    """Return the driver of the GPU at hand, or None where there is none."""
    try:
        return CudaDriver()
    except CudaError:
        return None
