"""What an export or a bundle says of itself, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bailando.engine.bundle import Bundle
from bailando.engine.specs import GraphSpec, TensorSpec
from bailando.export.validation import TOLERANCE

if TYPE_CHECKING:
    from bailando.export.exporter import ExportResult
    from bailando.export.features_check import FeatureComparison
    from bailando.export.official_bundle import OfficialResult
    from bailando.export.precision import Agreement
    from bailando.export.retarget import Retargeted
    from bailando.export.tensorrt import BuiltEngine
    from bailando.export.validation import Comparison

_COLUMNS = (
    ("precision", "{:<13}"),
    ("gpt", "{:>14}"),
    ("decoder", "{:>14}"),
    ("MB", "{:>7}"),
    ("gpt ms", "{:>7}"),
    ("decoder ms", "{:>11}"),
    ("codes", "{:>7}"),
    ("KL nats", "{:>9}"),
    ("pose rms", "{:>9}"),
    ("joints mm", "{:>10}"),
    ("speed", "{:>6}"),
    ("jerk", "{:>6}"),
)


def precision_table(
    agreements: Sequence[Agreement], times_ms: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Return a table of the precisions: size, time per step, agreement of codes, effect on the motion."""
    lines = ["  ".join(form.format(title) for title, form in _COLUMNS)]
    for row in agreements:
        cells = (
            row.precision,
            row.graph_precisions["gpt_step"],
            row.graph_precisions["decoder_step"],
            f"{sum(row.bytes.values()) / 1e6:.2f}",
            f"{times_ms[row.precision]['gpt_step']:.2f}",
            f"{times_ms[row.precision]['decoder_step']:.2f}",
            f"{row.code_agreement:.1%}",
            f"{row.kl_nats:.2e}",
            f"{row.pose_rms_fraction:.2%}",
            f"{row.joint_mm:.3f}",
            f"{row.speed_ratio:.3f}",
            f"{row.jerk_ratio:.3f}",
        )
        lines.append("  ".join(form.format(cell) for (_, form), cell in zip(_COLUMNS, cells, strict=True)))
    return [
        *lines,
        "times: median, one CPU thread; codes: greedy codes equal to fp32's given the same past; pose rms: "
        "change of rotation channels over their deviation",
        "joints mm: mean distance of the joints for the same codes; speed, jerk: of the joints over fp32's, "
        "in a dance of its own codes",
    ]


def engine_lines(engines: Sequence[BuiltEngine], runs: Mapping[str, Any]) -> list[str]:
    """Return one line per engine: library, GPUs, size, and how it ran."""
    return [
        f"{e.spec.graph}: {e.spec.library} {e.spec.library_version}, compute capabilities "
        f"{', '.join(e.spec.compute_capabilities) or 'default'}, {len(e.data) / 1e6:.2f} MB, "
        f"built in {e.build_s:.1f} s; {_engine_run(runs[e.spec.graph])}"
        for e in engines
    ]


def _engine_run(run: Mapping[str, Any]) -> str:
    if "not_run" in run:
        return f"not run: {run['not_run']}"
    return (
        f"{run['steps']} steps against torch, outputs within {run['max_abs_output']:.1e}, state within "
        f"{run['max_abs_state']:.1e}, {run['ms_per_step']:.3f} ms per step as CUDA graphs"
    )


def validation_lines(validation: Mapping[str, Comparison]) -> list[str]:
    """Return one line per graph: how it compares with torch."""
    codes = {True: ", greedy codes identical", False: ", greedy codes differ", None: ""}
    return [
        f"{name}: {comparison.steps} steps against torch, outputs within "
        f"{comparison.max_abs_output:.1e}, state within {comparison.max_abs_state:.1e}"
        f"{codes[comparison.greedy_codes_identical]}"
        for name, comparison in validation.items()
    ]


def features_line(comparison: FeatureComparison) -> str:
    """Return how the exported music front end compares with the engine's."""
    return (
        f"features_step: {comparison.frames} frames against the engine, features within "
        f"{comparison.max_abs_output:.1e}, state within {comparison.max_abs_state:.1e}, "
        f"{comparison.frames_within:.2%} of frames within {TOLERANCE:.0e}"
    )


def official_lines(result: OfficialResult) -> list[str]:
    """Return the summary that the command prints after an export of published checkpoints."""
    manifest = result.bundle.manifest
    measured = manifest.validation
    lines = validation_lines(result.validation)
    lines.append("greedy codes as the published sampling's, window " + str(measured["window"]))
    errors = ", ".join(f"{n}: {error:.2%}" for n, error in result.truncation.items())
    lines.append(f"error of the joints (of their deviation) by tokens of look-ahead: {errors}")
    delay = (result.lookahead + manifest.music_lead_tokens) / manifest.token_rate_hz
    lines.append(
        f"look-ahead {result.lookahead} tokens and music lead {manifest.music_lead_tokens}: motion comes "
        f"{delay:.2f} s after its music"
    )
    for name, value in measured["ms_per_step"].items():
        lines.append(
            f"{name}: {value:.2f} ms per step on one CPU thread, {1000 / manifest.token_rate_hz:.0f} at most"
        )
    features = measured["approximations"]["features"]
    for name, figures in features.get("groups", {}).items():
        lines.append(
            f"feature {name}: error {figures['rms_over_deviation']:.2f} of the deviation, correlation "
            f"{figures['correlation']:.2f} with the published ones"
        )
    if "not_measured" in features:
        lines.append(f"features not compared with the published ones: {features['not_measured']}")
    lines.append(f"rhythm features: {measured['approximations']['rhythm']}")
    return [*lines, _written(result.bundle)]


def _written(bundle: Bundle) -> str:
    total = sum(entry.bytes for entry in bundle.manifest.files.values())
    return f"wrote {bundle.path} ({total / 1e6:.2f} MB)"


def export_lines(result: ExportResult) -> list[str]:
    """Return the summary that the command prints after an export."""
    # Imported here because `inspect` needs no onnx.
    from bailando.export.precision import PRECISIONS, choose_default

    lines = [*validation_lines(result.validation), features_line(result.features)]
    lines += precision_table(result.agreements, result.times_ms)
    if len(result.agreements) == len(PRECISIONS):
        lines.append(f"by this table: {choose_default(result.agreements, result.times_ms)} for the CPU")
    lines += engine_lines(result.engines, result.engine_runs)
    return [*lines, *_target_lines(result.bundle), _written(result.bundle)]


def retarget_lines(result: Retargeted) -> list[str]:
    """Return the summary that the command prints after a bundle was made fit for a game engine."""
    lines = [line.replace("torch", "the bundle's graph") for line in validation_lines(result.validation)]
    return [*lines, *_target_lines(result.bundle), _written(result.bundle)]


def _target_lines(bundle: Bundle) -> list[str]:
    target = bundle.manifest.validation.get("target")
    if target is None:
        return []
    return [
        f"{target['runtime']}: all operators supported at opset {target['opset']}, see {target['notes']}",
        *(f"{name} runs on {', '.join(those)}" for name, those in target["backends"].items()),
    ]


def bundle_lines(bundle: Bundle) -> list[str]:
    """Return what `inspect` prints of a bundle."""
    m = bundle.manifest
    styles = ", ".join(f"{name} {share:.0%}" for name, share in zip(m.styles, m.style_shares, strict=True))
    lines = [
        f"{m.name}: {m.description}",
        f"  schema {m.schema_version}, made {m.created} by bailando {m.bailando_version}",
        f"  licence {m.licence}",
        f"  {m.frame_rate_hz} frames/s, {m.frames_per_token} frames per token, look-ahead "
        f"{m.lookahead_tokens} tokens, music lead {m.music_lead_tokens}",
        f"  pose {m.pose.representation}: {m.pose.upper_channels} upper + {m.pose.lower_channels} lower "
        f"channels; codebooks {m.codebook_size.upper} + {m.codebook_size.lower}",
        f"  styles, and how often each is its own choice: {styles}",
        f"  {len(m.start_codes)} start code pairs; sampling temperature "
        f"{m.sampling.temperature}, top_k {m.sampling.top_k}, top_p {m.sampling.top_p}",
    ]
    if (g := m.groove) is not None:
        lines.append(
            f"  groove: strength {g.strength:g}, restraint {g.restraint:g}, {g.lead_frames:g} frames early, "
            f"whole from a confidence of {g.sure:g}"
        )
    for name, graph in m.graphs.items():
        lines += _graph_lines(name, graph)
    lines += [
        f"engine of {e.graph}: {e.file}, {e.library} {e.library_version}, compute capabilities "
        f"{', '.join(e.compute_capabilities) or 'default'}"
        for e in m.engines
    ]
    lines += [f"data: {d.name} ({d.licence}) {d.credit}".rstrip() for d in m.data]
    lines += [f"file: {name}, {f.bytes} bytes, sha256 {f.sha256}" for name, f in m.files.items()]
    return lines


def _graph_lines(name: str, graph: GraphSpec) -> list[str]:
    elements = sum(_elements(t) for t in graph.state)
    lines = [f"graph {name}: {graph.file}, opset {graph.opset}, {graph.precision}"]
    lines += [f"  in   {_tensor(t)}" for t in graph.inputs]
    lines += [f"  out  {_tensor(t)}" for t in graph.outputs]
    return [*lines, f"  state: {len(graph.state)} tensors, {elements} elements"]


def _elements(tensor: TensorSpec) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def _tensor(tensor: TensorSpec) -> str:
    shape = ", ".join(map(str, tensor.declared_shape))
    return f"{tensor.name} {tensor.dtype} [{shape}]"
