"""A trained dancer in, a validated bundle out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from bailando.engine.bundle import Bundle
from bailando.engine.specs import GraphSpec
from bailando.errors import ExportError
from bailando.export.bundle_writer import check_replaceable, write_bundle
from bailando.export.critic import critic_files
from bailando.export.describe import describe, feature_spec
from bailando.export.features_check import FeatureComparison, compare_features
from bailando.export.features_graph import features_step_graph
from bailando.export.graphs import (
    StepGraph,
    decoder_step_graph,
    encoder_graph,
    gpt_step_graph,
    round_weights,
)
from bailando.export.music_feed import music_tokens, song_samples
from bailando.export.onnx_export import DEFAULT_OPSET, OPSETS, export_onnx, graph_spec
from bailando.export.precision import PRECISIONS, Agreement, Converted, Dance, convert, record_dance
from bailando.export.retarget import add_target
from bailando.export.runners import OnnxRunner, TorchRunner
from bailando.export.storage import copy_model, store_as_float16
from bailando.export.target import load_target
from bailando.export.tensorrt import BuiltEngine, build_engines
from bailando.export.tensorrt_check import run_engines
from bailando.export.timing import time_steps_ms
from bailando.export.validation import (
    STEPS_PAST_CAPACITY,
    TOLERANCE,
    Comparison,
    GPTRun,
    compare_gpt,
    compare_steps,
)
from bailando.export.verify import record_run
from bailando.models.checkpoint import DancerCheckpoint

STORAGES = ("fp32", "fp16")
_DANCERS_TOGETHER = 3

ExportedGraph = tuple[StepGraph, onnx.ModelProto]


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Parameters
    ----------
    batch : int or None
        Dancers per step; None leaves it free, but for a `target`, for which it is 1.
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
    compare : bool
        Measure all precisions, not only the one exported.
    tensorrt : bool
        Build TensorRT engines of the step graphs too.
    compute_capabilities : sequence of str
        For which GPUs, for example ``8.9``; empty for the library's default.
    target : str, optional
        One of `bailando.export.target.TARGETS`: a game engine whose own runtime shall read the graphs.
    """

    batch: int | None = None
    opset: int = DEFAULT_OPSET
    precision: str = "fp32"
    storage: str = "fp32"
    encoder_frames: int = 0
    music: Path | None = None
    min_agreement: float = 0.8
    compare: bool = False
    tensorrt: bool = False
    compute_capabilities: Sequence[str] = ()
    target: str | None = None

    def __post_init__(self) -> None:
        if self.batch is not None and not 1 <= self.batch <= 64:
            raise ExportError(f"batch is {self.batch}, expected 1 to 64")
        if self.opset not in OPSETS:
            raise ExportError(f"opset is {self.opset}, expected {OPSETS[0]} to {OPSETS[-1]}")
        if self.precision not in PRECISIONS:
            raise ExportError(f"precision is {self.precision!r}, expected one of {', '.join(PRECISIONS)}")
        if self.storage not in STORAGES:
            raise ExportError(f"storage is {self.storage!r}, expected fp32 or fp16")
        if not 0.0 <= self.min_agreement <= 1.0:
            raise ExportError(f"min_agreement is {self.min_agreement}, expected 0 to 1")

    @property
    def graph_batch(self) -> int | None:
        """Dancers per step of the step graphs; None if any number."""
        return 1 if self.batch is None and self.target is not None else self.batch


@dataclass(frozen=True)
class ExportResult:
    """What an export made: the bundle, its figures against torch and between precisions, the engines.

    `features` compares the exported music front end with the engine's.
    """

    bundle: Bundle
    validation: dict[str, Comparison]
    features: FeatureComparison
    agreements: tuple[Agreement, ...]
    times_ms: dict[str, dict[str, float]]
    engines: tuple[BuiltEngine, ...]
    engine_runs: dict[str, Any]


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
        self.target = None if options.target is None else load_target(options.target)
        if options.encoder_frames:
            # Refuses a number that is no multiple of a code before the long work begins.
            encoder_graph(checkpoint.upper_vqvae, checkpoint.lower_vqvae, options.encoder_frames)
        self.run = _music_run(checkpoint, options, options.batch or 1)
        self.dance = self._record(checkpoint)
        if options.storage == "fp16":
            checkpoint = replace(
                checkpoint,
                upper_vqvae=round_weights(checkpoint.upper_vqvae),
                lower_vqvae=round_weights(checkpoint.lower_vqvae),
                gpt=round_weights(checkpoint.gpt),
                residual=None if checkpoint.residual is None else round_weights(checkpoint.residual),
            )
        self.checkpoint = checkpoint
        self.graphs = self.step_graphs()
        self.models = {name: self.to_onnx(graph) for name, graph in self.graphs.items()}
        self.validation = self._validate()

    def to_onnx(self, graph: StepGraph) -> onnx.ModelProto:
        """Export a graph, at an opset that the target takes if there is one."""
        model = export_onnx(graph, self.options.opset)
        return model if self.target is None else self.target.prepare(model, graph.name)

    def step_graphs(self, *, half: bool = False) -> dict[str, StepGraph]:
        """Return the two step graphs, in float16 throughout if `half`."""
        return _step_graphs(self.checkpoint, self.options.graph_batch, half)

    def _record(self, trained: DancerCheckpoint) -> Dance:
        """Let torch dance with the weights as trained: what every precision is compared with."""
        graphs = _step_graphs(trained, self.options.graph_batch, False)
        gpt, decoder = (TorchRunner(graphs[name]) for name in ("gpt_step", "decoder_step"))
        return record_dance(gpt, decoder, self.run, trained.sampling["temperature"])

    def code_feed(self, steps: int, batch: int | None = None) -> list[dict[str, np.ndarray[Any, Any]]]:
        """Return `steps` random code pairs for the decoder, of the options' dancers or of `batch`."""
        batch = batch or self.options.batch or 1
        random = np.random.default_rng(0)
        size = self.checkpoint.gpt.config.codebook_size
        return [
            {"upper_code": random.integers(0, size, batch), "lower_code": random.integers(0, size, batch)}
            for _ in range(steps)
        ]

    def _validate(self) -> dict[str, Comparison]:
        """Compare with torch; graphs with a free batch for several dancers, as one is compared afterwards."""
        dancers = self.options.graph_batch or _DANCERS_TOGETHER
        run = _music_run(self.checkpoint, self.options, dancers)
        runners = {n: OnnxRunner(m.SerializeToString(), batch=dancers) for n, m in self.models.items()}
        references = {n: TorchRunner(g) for n, g in _step_graphs(self.checkpoint, dancers, False).items()}
        feed = self.code_feed(len(run.music), dancers)
        comparisons = {
            "gpt_step": compare_gpt(references["gpt_step"], runners["gpt_step"], run),
            "decoder_step": compare_steps(references["decoder_step"], runners["decoder_step"], feed),
        }
        for name, comparison in comparisons.items():
            comparison.require(name)
        return comparisons

    def features(self) -> tuple[ExportedGraph, FeatureComparison]:
        """Return the music front end, compared with torch and with the engine's own features."""
        spec, options = feature_spec(self.checkpoint), self.options
        seconds = len(self.run.music) * self.checkpoint.gpt.config.music_frames / spec.frame_rate_hz
        graph = features_step_graph(spec, options.batch or 1)
        model = self.to_onnx(graph)
        samples = song_samples(spec, seconds, options.music)
        runner = OnnxRunner(model.SerializeToString())
        found = compare_features(spec, runner, samples)
        found.require()
        return (graph, model), found

    def encoder(self) -> ExportedGraph:
        """Return the encoder graph, compared with torch on random poses."""
        checkpoint, options = self.checkpoint, self.options
        graph = encoder_graph(
            checkpoint.upper_vqvae, checkpoint.lower_vqvae, options.encoder_frames, options.batch or 1
        )
        model = self.to_onnx(graph)
        random = np.random.default_rng(0)
        feed = [
            {name: random.standard_normal(value.shape, np.float32) for name, value in graph.inputs.items()}
        ]
        comparison = compare_steps(TorchRunner(graph), OnnxRunner(model.SerializeToString()), feed)
        comparison.require("encoder")
        self.validation["encoder"] = comparison
        return graph, model

    def convert(self, precision: str) -> Converted:
        """Return the step graphs in another precision, with its agreement with float32."""
        halves = None
        if precision == "fp16":
            graphs = self.step_graphs(half=True)
            halves = {name: self.to_onnx(graph) for name, graph in graphs.items()}
        finish = store_as_float16 if self.options.storage == "fp16" else copy_model
        return convert(precision, self.models, self.dance, halves, finish)


def _step_graphs(checkpoint: DancerCheckpoint, batch: int | None, half: bool) -> dict[str, StepGraph]:
    return {
        "gpt_step": gpt_step_graph(checkpoint.gpt, batch, half=half),
        "decoder_step": decoder_step_graph(
            checkpoint.upper_vqvae, checkpoint.lower_vqvae, batch, residual=checkpoint.residual, half=half
        ),
    }


def _music_run(checkpoint: DancerCheckpoint, options: ExportOptions, batch: int) -> GPTRun:
    """Music past the cache's capacity, a start code pair and a style for each dancer."""
    config = checkpoint.gpt.config
    starts = np.array(
        [checkpoint.start_codes[i % len(checkpoint.start_codes)] for i in range(batch)], np.int64
    )
    steps = config.window + STEPS_PAST_CAPACITY
    features = feature_spec(checkpoint)
    return GPTRun(
        music=music_tokens(features, config.music_frames, steps, batch, options.music),
        upper_start=starts[:, 0],
        lower_start=starts[:, 1],
        style=np.arange(batch, dtype=np.int64) % max(config.styles, 1),
    )


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
    check_replaceable(path)
    export = DancerExport(checkpoint, options)
    wanted = PRECISIONS if options.compare else ("fp32", options.precision)
    converted = [export.convert(precision) for precision in dict.fromkeys(wanted)]
    chosen = next(c for c in converted if c.agreement.precision == options.precision)
    chosen.agreement.require(options.min_agreement)
    front_end, features = export.features()
    others = {"features_step": front_end}
    if options.encoder_frames:
        others["encoder"] = export.encoder()
    graphs = export.graphs | {name: graph for name, (graph, _) in others.items()}
    models = chosen.models | {name: model for name, (_, model) in others.items()}
    files = {f"{name}.onnx": model.SerializeToString() for name, model in models.items()}
    files |= critic_files(checkpoint)
    specs = _specs(graphs, models, chosen.agreement)
    engines = _engines(export, chosen)
    engine_runs = run_engines(
        engines, specs, export.graphs, export.run, export.code_feed(64, options.batch or 1)
    )
    measured = {"engines": engine_runs, "features": features.to_dict()}
    validation = _validation(export, chosen.agreement) | measured
    manifest = describe(export.checkpoint, specs, [e.spec for e in engines], validation)
    notes: dict[str, bytes] = {}
    if export.target is not None:
        manifest, notes = add_target(export.target, manifest, models)
    run = record_run(Bundle(Path(path), manifest, files))
    manifest = replace(manifest, validation={**manifest.validation, "run": run.to_dict()})
    bundle = write_bundle(path, manifest, files | notes | {engine.file: engine.data for engine in engines})
    agreements = tuple(c.agreement for c in converted)
    times_ms = _times_ms(export, converted)
    return ExportResult(
        bundle, export.validation, features, agreements, times_ms, tuple(engines), engine_runs
    )


def _specs(
    graphs: dict[str, StepGraph], models: dict[str, onnx.ModelProto], agreement: Agreement
) -> dict[str, GraphSpec]:
    """Describe the graphs for the manifest."""
    return {
        name: graph_spec(
            model,
            f"{name}.onnx",
            agreement.graph_precisions.get(name, "fp32"),
            tuple(graphs[name].state),
        )
        for name, model in models.items()
    }


def _times_ms(export: DancerExport, converted: Sequence[Converted]) -> dict[str, dict[str, float]]:
    feeds = {"gpt_step": export.dance.gpt_feed, "decoder_step": export.dance.decoder_feed}
    return time_steps_ms({c.agreement.precision: c.models for c in converted}, feeds)


def _engines(export: DancerExport, chosen: Converted) -> list[BuiltEngine]:
    """Build engines of the chosen graphs where TensorRT computes so, else of the float32 ones."""
    if not export.options.tensorrt:
        return []
    models = chosen.models if chosen.agreement.precision == "fp16" else export.models
    return build_engines(models, export.options.compute_capabilities)


def _validation(export: DancerExport, agreement: Agreement) -> dict[str, Any]:
    """What was measured, for the manifest."""
    return {
        "reference": f"torch {torch.__version__}",
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "tolerance": TOLERANCE,
        "storage": export.options.storage,
        "graphs": {name: comparison.to_dict() for name, comparison in export.validation.items()},
        "precision": agreement.to_dict(),
    }
