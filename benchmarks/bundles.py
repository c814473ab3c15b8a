"""Bundles to measure: one of the published size with random weights, and any in other precisions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import torch
from agreement import with_float_weights
from paper_gpt import PUBLISHED_WINDOW, SIZES

from bailando.engine.bundle import Bundle
from bailando.engine.dancer import default_bundle_path
from bailando.engine.manifest import CodebookSize
from bailando.engine.specs import REQUIRED_GRAPHS
from bailando.export.bundle_writer import write_bundle
from bailando.export.critic import critic_of
from bailando.export.graphs import decoder_step_graph, gpt_step_graph
from bailando.export.onnx_export import export_onnx, graph_spec
from bailando.export.quantise import dynamic_int8, weight_only
from bailando.models.gpt import CrossConditionalGPT, GPTConfig
from bailando.models.presets import LOWER_CHANNELS, UPPER_CHANNELS
from bailando.models.vqvae import PoseVQVAE, PoseVQVAEConfig

CODES = 512
CONTEXT_DILATIONS = (1, 3, 9)  # as in the live preset
PRECISIONS = ("fp32", "int8-dynamic", "weight-int8")


def published_size(folder: Path, seed: int = 0) -> Bundle:
    """Return a bundle of the published sizes in our streaming form, made in `folder` if it is not there.

    GPT of 12 layers of width 768, VQ-VAEs of width 512 with causal decoders, 512 codes; random weights; body
    and music features are the shipped model's.
    """
    path = folder / f"published-size-{seed}"
    if path.exists():
        return Bundle.open(path)
    shipped = Bundle.open(default_bundle_path()).manifest
    torch.manual_seed(seed)
    width, heads, half = SIZES["paper"]
    music_dim = shipped.graphs["gpt_step"].tensor("music").shape[1]
    config = GPTConfig(
        codebook_size=CODES,
        music_dim=music_dim,
        width=width,
        heads=heads,
        base_layers=half,
        head_layers=half,
        window=PUBLISHED_WINDOW,
        styles=len(shipped.styles),
    )
    decoders = [
        PoseVQVAE(
            PoseVQVAEConfig(channels=channels, codebook_size=CODES, context_dilations=CONTEXT_DILATIONS)
        )
        for channels in (UPPER_CHANNELS, LOWER_CHANNELS)
    ]
    graphs = [gpt_step_graph(CrossConditionalGPT(config)), decoder_step_graph(decoders[0], decoders[1])]
    models = {graph.name: export_onnx(graph) for graph in graphs}
    manifest = replace(
        shipped,
        name="published-size",
        description="random weights, to be timed",
        codebook_size=CodebookSize(CODES, CODES),
        start_codes=((0, 0),),
        engines=(),
        graphs={
            graph.name: graph_spec(models[graph.name], f"{graph.name}.onnx", "fp32", tuple(graph.state))
            for graph in graphs
        },
    )
    return write_bundle(
        path, manifest, {f"{name}.onnx": model.SerializeToString() for name, model in models.items()}
    )


def in_precision(bundle: Bundle, precision: str, folder: Path) -> Bundle:
    """Return the bundle with its step graphs in one of `PRECISIONS`, made in `folder`."""
    files, graphs = {}, {}
    for name in REQUIRED_GRAPHS:
        spec = bundle.manifest.graphs[name]
        model = with_float_weights(onnx.load_from_string(bundle.graph_bytes(name)))
        small = {"int8-dynamic": dynamic_int8, "weight-int8": lambda model: weight_only(model, 8)}
        changed = small[precision](model) if precision in small else None
        files[spec.file] = (changed or model).SerializeToString()
        graphs[name] = replace(spec, precision=precision if changed else "fp32")
    path = folder / f"{bundle.manifest.name}-{precision}"
    manifest = replace(bundle.manifest, graphs=graphs, engines=())
    return write_bundle(path, manifest, files | critic_of(bundle))
