"""A trained dancer in, a validated bundle out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

import bailando
from bailando.engine.bundle import Bundle
from bailando.engine.manifest import (
    SCHEMA_VERSION,
    CodebookSize,
    DataSource,
    Manifest,
    PoseSpec,
    Sampling,
)
from bailando.errors import ExportError
from bailando.export.bundle_writer import write_bundle
from bailando.export.graphs import (
    StepGraph,
    decoder_step_graph,
    encoder_graph,
    gpt_step_graph,
    round_weights,
)
from bailando.export.music_feed import music_tokens
from bailando.export.onnx_export import DEFAULT_OPSET, export_onnx, graph_spec
from bailando.export.precision import PRECISIONS, Agreement, Converted, convert, record_dance
from bailando.export.runners import OnnxRunner, TorchRunner
from bailando.export.storage import store_as_float16
from bailando.export.tensorrt import BuiltEngine, build_engines
from bailando.export.validation import (
    STEPS_PAST_CAPACITY,
    TOLERANCE,
    Comparison,
    GPTRun,
    compare_gpt,
    compare_steps,
)
from bailando.models.checkpoint import DancerCheckpoint
from bailando.music.features import FeatureSpec

STORAGES = ("fp32", "fp16")


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Parameters
    ----------
    batch : int
        Dancers per step, fixed in the graphs.
    opset : int
        ONNX operator set.
    precision : str
        One of `bailando.export.precision.PRECISIONS`.
    storage : str
        ``fp32`` or ``fp16``: how float32 weights lie in the file. ``fp16`` rounds them first.
    encoder_frames : int
        Frames of the optional encoder graph; 0 for none.
    music : Path, optional
        Song for validation, calibration and comparison; without one a synthetic song.
    min_agreement : float
        Least fraction of greedy codes a reduced precision must share with fp32.
    tensorrt : bool
        Build TensorRT engines of the step graphs too.
    compute_capabilities : sequence of str
        For which GPUs, for example ``8.9``; empty for the library's default.
    """

    batch: int = 1
    opset: int = DEFAULT_OPSET
    precision: str = "fp32"
    storage: str = "fp32"
    encoder_frames: int = 0
    music: Path | None = None
    min_agreement: float = 0.8
    tensorrt: bool = False
    compute_capabilities: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= 64:
            raise ExportError(f"batch is {self.batch}, expected 1 to 64")
        if self.precision not in PRECISIONS:
            raise ExportError(f"precision is {self.precision!r}, expected one of {', '.join(PRECISIONS)}")
        if self.storage not in STORAGES:
            raise ExportError(f"storage is {self.storage!r}, expected fp32 or fp16")
        if not 0.0 <= self.min_agreement <= 1.0:
            raise ExportError(f"min_agreement is {self.min_agreement}, expected 0 to 1")


@dataclass(frozen=True)
class ExportResult:
    """What an export made: the bundle, the measured precisions and the engines."""

    bundle: Bundle
    agreements: tuple[Agreement, ...]
    engines: tuple[BuiltEngine, ...]


class DancerExport:
    """The step graphs of one checkpoint, exported and validated in float32.

    Parameters
    ----------
    checkpoint : DancerCheckpoint
        The trained dancer.
    options : ExportOptions
        How to export it.
    """

    def __init__(self, checkpoint: DancerCheckpoint, options: ExportOptions) -> None:
        self.options = options
        self.features = _feature_spec(checkpoint)
        if options.storage == "fp16":
            checkpoint = replace(
                checkpoint,
                upper_vqvae=round_weights(checkpoint.upper_vqvae),
                lower_vqvae=round_weights(checkpoint.lower_vqvae),
                gpt=round_weights(checkpoint.gpt),
            )
        self.checkpoint = checkpoint
        self.graphs = self.step_graphs()
        self.models = {name: export_onnx(graph, options.opset) for name, graph in self.graphs.items()}
        self.run = self._run()
        self.validation = self._validate()
        self.dance = record_dance(self.models, self.run, checkpoint.sampling["temperature"])

    def step_graphs(self, *, half: bool = False) -> dict[str, StepGraph]:
        """Return the two step graphs, in float16 throughout if `half`."""
        checkpoint, batch = self.checkpoint, self.options.batch
        return {
            "gpt_step": gpt_step_graph(checkpoint.gpt, batch, half=half),
            "decoder_step": decoder_step_graph(
                checkpoint.upper_vqvae, checkpoint.lower_vqvae, batch, half=half
            ),
        }

    def _run(self) -> GPTRun:
        """Music past the cache's capacity, a start code pair and a style for each dancer."""
        batch, config = self.options.batch, self.checkpoint.gpt.config
        starts = np.array(
            [self.checkpoint.start_codes[i % len(self.checkpoint.start_codes)] for i in range(batch)],
            np.int64,
        )
        steps = config.window + STEPS_PAST_CAPACITY
        return GPTRun(
            music=music_tokens(self.features, config.music_frames, steps, batch, self.options.music),
            upper_start=starts[:, 0],
            lower_start=starts[:, 1],
            style=np.arange(batch, dtype=np.int64) % max(config.styles, 1),
        )

    def code_feed(self, steps: int, seed: int = 0) -> list[dict[str, np.ndarray[Any, Any]]]:
        """Return `steps` random code pairs for the decoder."""
        random = np.random.default_rng(seed)
        size, batch = self.checkpoint.gpt.config.codebook_size, self.options.batch
        return [
            {"upper_code": random.integers(0, size, batch), "lower_code": random.integers(0, size, batch)}
            for _ in range(steps)
        ]

    def _validate(self) -> dict[str, Comparison]:
        runners = {n: OnnxRunner(m.SerializeToString()) for n, m in self.models.items()}
        references = {n: TorchRunner(g) for n, g in self.graphs.items()}
        feed = self.code_feed(len(self.run.music))
        comparisons = {
            "gpt_step": compare_gpt(references["gpt_step"], runners["gpt_step"], self.run),
            "decoder_step": compare_steps(references["decoder_step"], runners["decoder_step"], feed),
        }
        for name, comparison in comparisons.items():
            comparison.require(name)
        return comparisons

    def convert(self, precision: str) -> Converted:
        """Return the step graphs in another precision, with its agreement with float32."""
        halves = None
        if precision == "fp16":
            graphs = self.step_graphs(half=True)
            halves = {name: export_onnx(graph, self.options.opset) for name, graph in graphs.items()}
        return convert(precision, self.models, self.dance, halves)


def export_checkpoint(
    checkpoint: DancerCheckpoint, path: str | Path, options: ExportOptions | None = None
) -> ExportResult:
    """Export a checkpoint as a bundle.

    Parameters
    ----------
    checkpoint : DancerCheckpoint
        The trained dancer.
    path : str or Path
        Folder or ``.zip`` to write; see `bailando.export.bundle_writer.write_bundle`.
    options : ExportOptions, optional
        How.

    Raises
    ------
    ExportError
        If the checkpoint is inconsistent, a graph fails validation (nothing is written then), or a
        reduced precision agrees with fp32 less than asked for.
    """
    options = options or ExportOptions()
    export = DancerExport(checkpoint, options)
    agreements = [export.convert("fp32")]
    if options.precision != "fp32":
        agreements.append(export.convert(options.precision))
    chosen = agreements[-1]
    chosen.agreement.require(options.min_agreement)
    models = dict(chosen.models)
    if options.storage == "fp16":
        models = {name: store_as_float16(model) for name, model in models.items()}
    engines = build_engines(export.models, options.compute_capabilities) if options.tensorrt else []
    manifest = _manifest(export, models, chosen.agreement, engines)
    files = {f"{name}.onnx": model.SerializeToString() for name, model in models.items()}
    if options.encoder_frames:
        manifest, files = _add_encoder(export, manifest, files)
    files |= {engine.file: engine.data for engine in engines}
    bundle = write_bundle(path, manifest, files)
    return ExportResult(bundle, tuple(c.agreement for c in agreements), tuple(engines))


def _feature_spec(checkpoint: DancerCheckpoint) -> FeatureSpec:
    features = FeatureSpec.from_dict(dict(checkpoint.features))
    config = checkpoint.gpt.config
    if config.music_dim != config.music_frames * features.frame_dim:
        raise ExportError(
            f"the GPT takes {config.music_dim} music values per token, the features give "
            f"{config.music_frames} times {features.frame_dim}: the checkpoint mixes two feature definitions"
        )
    frames = checkpoint.upper_vqvae.config.frames_per_code
    if frames != config.music_frames or frames != checkpoint.lower_vqvae.config.frames_per_code:
        raise ExportError(
            f"a code is {frames} frames, a music token {config.music_frames}: train both at one token rate"
        )
    return features


def _add_encoder(
    export: DancerExport, manifest: Manifest, files: dict[str, bytes]
) -> tuple[Manifest, dict[str, bytes]]:
    checkpoint, options = export.checkpoint, export.options
    graph = encoder_graph(
        checkpoint.upper_vqvae, checkpoint.lower_vqvae, options.encoder_frames, options.batch
    )
    model = export_onnx(graph, options.opset)
    spec = graph_spec(model, "encoder.onnx", "fp32", ())
    return (
        replace(manifest, graphs={**manifest.graphs, "encoder": spec}),
        files | {spec.file: model.SerializeToString()},
    )


def _manifest(
    export: DancerExport,
    models: dict[str, onnx.ModelProto],
    agreement: Agreement,
    engines: Sequence[BuiltEngine],
) -> Manifest:
    """Describe the export; the files' hashes are filled in when the bundle is written."""
    checkpoint, features, options = export.checkpoint, export.features, export.options
    provenance, upper, lower = checkpoint.provenance, checkpoint.upper_vqvae, checkpoint.lower_vqvae
    sampling = checkpoint.sampling
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=provenance.name,
        description=provenance.description,
        created=_now(),
        bailando_version=bailando.__version__,
        frame_rate_hz=round(features.frame_rate_hz),
        frames_per_token=upper.config.frames_per_code,
        lookahead_tokens=0,
        music_lead_tokens=checkpoint.gpt.config.music_lead,
        skeleton=dict(checkpoint.skeleton),
        pose=PoseSpec("rotation6d-heading", upper.config.channels, lower.config.channels),
        features=features.to_dict(),
        codebook_size=CodebookSize(upper.config.codebook_size, lower.config.codebook_size),
        styles=checkpoint.styles,
        start_codes=checkpoint.start_codes,
        sampling=Sampling(float(sampling["temperature"]), int(sampling["top_k"]), float(sampling["top_p"])),
        graphs={
            name: graph_spec(
                model,
                f"{name}.onnx",
                agreement.graph_precisions[name],
                tuple(export.graphs[name].state),
            )
            for name, model in models.items()
        },
        engines=tuple(engine.spec for engine in engines),
        validation={
            "reference": f"torch {torch.__version__}",
            "runtime": f"onnxruntime {onnxruntime.__version__}",
            "tolerance": TOLERANCE,
            "storage": options.storage,
            "graphs": {name: comparison.to_dict() for name, comparison in export.validation.items()},
            "precision": agreement.to_dict(),
        },
        data=tuple(DataSource(**dict(source)) for source in provenance.data),
        licence=provenance.licence,
        files={},
    )


def _now() -> str:
    """Return the time in UTC; SOURCE_DATE_EPOCH fixes it for reproducible builds."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(epoch), timezone.utc) if epoch.isdigit() else datetime.now(timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
