"""Synthetic bundles with engines, for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bailando.engine.bundle import Bundle
from bailando.engine.specs import REQUIRED_GRAPHS, EngineSpec
from tests.engine.synthetic_bundle import decoder_step_model, gpt_step_model, write_synthetic_bundle


def with_engines(
    folder: Path,
    *capabilities: str,
    graphs: tuple[str, ...] = REQUIRED_GRAPHS,
    data: dict[str, bytes] | None = None,
) -> Bundle:
    """Return a synthetic bundle with engines for these GPUs: the ONNX models, or `data`."""
    plain = Bundle.open(write_synthetic_bundle(folder / "plain"))
    models = {"gpt_step": gpt_step_model(), "decoder_step": decoder_step_model()}
    contents = {plain.manifest.graphs[graph].file: model for graph, model in models.items()}
    contents |= {f"{graph}.engine": model for graph, model in (models | (data or {})).items()}
    engines = tuple(
        EngineSpec(graph, f"{graph}.engine", "tensorrt_rtx", "1.7.1", capabilities) for graph in graphs
    )
    return Bundle(plain.path, replace(plain.manifest, engines=engines), contents)
