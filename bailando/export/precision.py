"""The step graphs in every precision, and what each costs and changes against float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from bailando.engine.backends import Arrays
from bailando.errors import ExportError
from bailando.export.motion_effect import joint_difference_mm, movement
from bailando.export.quantise import dynamic_int8, static_int8, weight_only
from bailando.export.runners import OnnxRunner, StepRunner
from bailando.export.validation import GPTRun

PRECISIONS = ("fp32", "fp16", "int8-dynamic", "int8-static", "weight-int8", "weight-int4")
_CALIBRATION_STEPS = 32
_FRAME_COLUMNS = 6


@dataclass(frozen=True)
class Dance:
    """A dance that the float32 reference sampled: what every step was given and what it answered.

    `gpt_feed` and `decoder_feed` hold the inputs by name, `gpt_states` and `decoder_states` the state
    before some of the steps, `logits` and `poses` the outputs. `run`, `temperature` and `seed` are what it
    was sampled with.
    """

    gpt_feed: list[Arrays]
    gpt_states: dict[int, Arrays]
    logits: list[Arrays]
    decoder_feed: list[Arrays]
    decoder_states: dict[int, Arrays]
    poses: list[Arrays]
    run: GPTRun
    temperature: float
    seed: int


@dataclass(frozen=True)
class Agreement:
    """One precision against the float32 reference (torch, weights as trained), over one dance.

    Parameters
    ----------
    precision
        Its name.
    graph_precisions
        Of each graph; a graph with nothing to quantise stays fp32.
    bytes
        Of each graph.
    steps
        Steps of the dance.
    code_agreement
        Fraction of greedy codes equal to float32's, given float32's past.
    kl_nats
        Mean Kullback-Leibler divergence of the code distributions from float32's, nats.
    pose_rms, pose_rms_fraction
        Root-mean-square difference of the decoder's rotation channels given the same codes (their unit
        is that of a rotation matrix), and as a fraction of their deviation over the dance.
    joint_mm
        Mean distance of the joints given the same codes, mm.
    speed_ratio, jerk_ratio
        Mean speed and jerk of the joints over float32's, each in a dance of its own codes, sampled with the
        same noise to the same music.
    """

    precision: str
    graph_precisions: Mapping[str, str]
    bytes: Mapping[str, int]
    steps: int
    code_agreement: float
    kl_nats: float
    pose_rms: float
    pose_rms_fraction: float
    joint_mm: float
    speed_ratio: float
    jerk_ratio: float

    def require(self, least: float) -> None:
        """Raise ExportError if fewer than `least` of the codes agree or a figure is not finite."""
        finite = np.isfinite([self.kl_nats, self.pose_rms, self.joint_mm, self.speed_ratio]).all()
        if not finite or self.code_agreement < least:
            raise ExportError(
                f"{self.precision} agrees with fp32 in {self.code_agreement:.1%} of the codes "
                f"(divergence {self.kl_nats:.3g} nats), at least {least:.1%} is asked for: "
                "choose another --precision or lower --min-agreement"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for the manifest, to four digits."""
        form = asdict(self)
        for key, value in form.items():
            if isinstance(value, float):
                form[key] = float(f"{value:.4g}")
        return form


# What a precision may change and must gain before it is taken instead of float32.
_MIN_AGREEMENT = 0.995
_MAX_MOTION_CHANGE = 0.05
_MIN_GAIN = 0.1


def choose_default(agreements: Sequence[Agreement], times_ms: Mapping[str, Mapping[str, float]]) -> str:
    """Return the precision that a model for the CPU should have, by the measured table.

    The fastest one (both steps together) that keeps 99.5 % of the codes and the dance's speed and jerk
    within 5 %, if it saves a tenth of float32's time; else float32.
    """
    total_ms = {row.precision: sum(times_ms[row.precision].values()) for row in agreements}
    faithful = [
        row.precision
        for row in agreements
        if row.code_agreement >= _MIN_AGREEMENT
        and abs(row.speed_ratio - 1) <= _MAX_MOTION_CHANGE
        and abs(row.jerk_ratio - 1) <= _MAX_MOTION_CHANGE
    ]
    fastest = min(faithful, key=total_ms.__getitem__, default="fp32")
    return fastest if total_ms[fastest] <= (1 - _MIN_GAIN) * total_ms["fp32"] else "fp32"


@dataclass(frozen=True)
class Converted:
    """The graphs in one precision and their agreement with float32."""

    models: dict[str, onnx.ModelProto]
    agreement: Agreement


def record_dance(
    gpt: StepRunner, decoder: StepRunner, run: GPTRun, temperature: float, seed: int = 0
) -> Dance:
    """Let the reference dance to `run`'s music, sampling at `temperature`."""
    random = np.random.default_rng(seed)
    gpt_state, decoder_state = gpt.initial_state(), decoder.initial_state()
    kept = set(range(0, len(run.music), max(1, len(run.music) // _CALIBRATION_STEPS)))
    dance = Dance([], {}, [], [], {}, [], run, temperature, seed)
    codes: Arrays = {"upper_code": run.upper_start, "lower_code": run.lower_start}
    for index, music in enumerate(run.music):
        if index in kept:
            dance.gpt_states[index], dance.decoder_states[index] = gpt_state, decoder_state
        dance.gpt_feed.append({"music": music, "style": run.style} | codes)
        dance.decoder_feed.append(codes)
        logits, gpt_state = gpt.step(dance.gpt_feed[-1], gpt_state)
        poses, decoder_state = decoder.step(codes, decoder_state)
        dance.logits.append(logits)
        dance.poses.append(poses)
        codes = {
            f"{half}_code": _sample(logits[f"{half}_logits"], temperature, random)
            for half in ("upper", "lower")
        }
    return dance


def convert(
    precision: str,
    models: Mapping[str, onnx.ModelProto],
    dance: Dance,
    halves: Mapping[str, onnx.ModelProto] | None = None,
    finish: Callable[[onnx.ModelProto], onnx.ModelProto] = lambda model: model,
) -> Converted:
    """Return the step graphs in `precision`, measured against float32.

    Parameters
    ----------
    precision : str
        One of `PRECISIONS`.
    models : mapping of str to onnx.ModelProto
        The float32 graphs.
    dance : Dance
        What `record_dance` recorded of them; it also calibrates ``int8-static``.
    halves : mapping, optional
        The float16 graphs, needed by ``fp16``.
    finish : callable, optional
        Applied to each graph last, before it is measured.
    """
    changed: dict[str, onnx.ModelProto | None] = {}
    for name, model in models.items():
        if precision == "fp16":
            changed[name] = (halves or {})[name]
        elif precision == "int8-dynamic":
            changed[name] = dynamic_int8(model)
        elif precision == "int8-static":
            changed[name] = static_int8(model, calibration_steps(dance, name))
        elif precision in ("weight-int8", "weight-int4"):
            changed[name] = weight_only(model, int(precision[-1]))
    result = {name: finish(changed.get(name) or model) for name, model in models.items()}
    precisions = {name: precision if changed.get(name) else "fp32" for name in models}
    return Converted(result, measure(precision, result, precisions, dance))


def calibration_steps(dance: Dance, graph: str) -> list[Arrays]:
    """Return the recorded inputs with their states of one graph, for calibration."""
    if graph == "gpt_step":
        return [dance.gpt_feed[index] | state for index, state in dance.gpt_states.items()]
    return [dance.decoder_feed[index] | state for index, state in dance.decoder_states.items()]


def measure(
    precision: str,
    models: Mapping[str, onnx.ModelProto],
    graph_precisions: Mapping[str, str],
    dance: Dance,
) -> Agreement:
    """Replay the dance on `models` and compare every answer with float32's."""
    data = {name: model.SerializeToString() for name, model in models.items()}
    gpt, decoder = OnnxRunner(data["gpt_step"]), OnnxRunner(data["decoder_step"])
    logits = _replay(gpt, dance.gpt_feed)
    poses = _replay(decoder, dance.decoder_feed)
    own = record_dance(gpt, decoder, dance.run, dance.temperature, dance.seed)
    (speed, jerk), (expected_speed, expected_jerk) = movement(own.poses), movement(dance.poses)
    pairs = [
        (reference[name], answer[name])
        for reference, answer in zip(dance.logits, logits, strict=True)
        for name in ("upper_logits", "lower_logits")
    ]
    expected, got = (_rotations(side) for side in (dance.poses, poses))
    rms = float(np.sqrt(np.mean((got - expected) ** 2)))
    spread = float(np.sqrt(np.mean((expected - expected.mean(axis=0)) ** 2)))
    return Agreement(
        precision=precision,
        graph_precisions=dict(graph_precisions),
        bytes={name: len(value) for name, value in data.items()},
        steps=len(dance.gpt_feed),
        code_agreement=float(np.mean([a.argmax(-1) == b.argmax(-1) for a, b in pairs])),
        kl_nats=float(np.mean([_divergence(a, b) for a, b in pairs])),
        pose_rms=rms,
        pose_rms_fraction=rms / max(spread, 1e-12),
        joint_mm=joint_difference_mm(dance.poses, poses),
        speed_ratio=speed / max(expected_speed, 1e-12),
        jerk_ratio=jerk / max(expected_jerk, 1e-12),
    )


def _replay(runner: OnnxRunner, feed: Sequence[Arrays]) -> list[Arrays]:
    """Run all steps and return the outputs."""
    state = runner.initial_state()
    answers = []
    for inputs in feed:
        outputs, state = runner.step(inputs, state)
        answers.append(outputs)
    return answers


def _rotations(poses: Sequence[Arrays]) -> NDArray[np.float64]:
    """Rotation channels of all frames, [frames, channels]: whole joints of both halves."""
    upper = np.concatenate([p["upper_pose"].reshape(-1, p["upper_pose"].shape[-1]) for p in poses])
    lower = np.concatenate([p["lower_pose"].reshape(-1, p["lower_pose"].shape[-1]) for p in poses])
    rotation_columns = lower.shape[1] // _FRAME_COLUMNS * _FRAME_COLUMNS
    joined = np.concatenate([upper, lower[:, :rotation_columns]], axis=1)
    return np.asarray(joined, dtype=np.float64)


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _divergence(reference: NDArray[Any], answer: NDArray[Any]) -> float:
    """Mean KL(reference || answer) over the batch, nats."""
    log_p, log_q = _log_softmax(reference), _log_softmax(answer)
    return float((np.exp(log_p) * (log_p - log_q)).sum(axis=-1).mean())


def _sample(logits: NDArray[Any], temperature: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw one code per row; temperature 0 takes the most likely."""
    if temperature <= 0:
        return np.asarray(logits.argmax(axis=-1), dtype=np.int64)
    noise = random.gumbel(size=logits.shape)
    return np.asarray((logits / temperature + noise).argmax(axis=-1), dtype=np.int64)
