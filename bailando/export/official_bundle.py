"""Published checkpoints in, a bundle that dances live out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

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
from bailando.engine.official_pose import LOWER_CHANNELS, REPRESENTATION, UPPER_CHANNELS
from bailando.errors import ExportError
from bailando.export.bundle_writer import check_replaceable, write_bundle
from bailando.export.describe import timestamp
from bailando.export.graphs import StepGraph
from bailando.export.music_feed import synthetic_song
from bailando.export.official import load_gpt, load_vqvae
from bailando.export.official_graphs import official_decoder_graph, official_gpt_graph
from bailando.export.official_measure import (
    FULL_LOOKAHEAD,
    choose_lookahead,
    feature_approximation,
    published_tokens,
    resample,
    truncation_errors,
)
from bailando.export.official_models import OfficialGPT, OfficialVQVAE
from bailando.export.official_sampling import WINDOW_STEPS, generate_greedily
from bailando.export.onnx_export import DEFAULT_OPSET, export_onnx, graph_spec
from bailando.export.precision import record_dance
from bailando.export.runners import OnnxRunner, TorchRunner
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
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.rotations import about_axis
from bailando.motion.skeleton import JOINT_NAMES, Skeleton
from bailando.music.audio import load_mono
from bailando.music.features import FeatureSpec
from bailando.music.published_features import DIM, PublishedSpec
from bailando.music.published_frames import FRAME_DIM, FRAMES, PADDING_TOKENS, TOKEN_DIM, PublishedFrameSpec

Spec = PublishedSpec | PublishedFrameSpec

# Songs are measured with at this rate, which holds all that the published features hear.
_SONG_HZ = 48000
_DANCE_STEPS = WINDOW_STEPS + STEPS_PAST_CAPACITY
_START_FRAMES = 64
_ARMS_DOWN_RAD = 1.2
_CREDIT = {PublishedSpec: "Siyao et al., CVPR 2022", PublishedFrameSpec: "Siyao et al., TPAMI 2023"}


@dataclass(frozen=True)
class OfficialOptions:
    """How to export published checkpoints.

    Parameters
    ----------
    lookahead : int, optional
        Tokens of future that the decoder sees; None takes what `choose_lookahead` says.
    shift : int, optional
        Window of the GPT: None slides by one step, s cuts a full window back to s steps.
    rhythm : bool
        Feed onset, beat and tempogram; False leaves them zero, as in the published training. A GPT with a
        music transformer always hears them: at its rate they were not zero.
    music : Path, optional
        Song to measure with; without one a synthetic song.
    opset : int
        ONNX operator set.
    """

    lookahead: int | None = None
    shift: int | None = None
    rhythm: bool = False
    music: Path | None = None
    opset: int = DEFAULT_OPSET

    def __post_init__(self) -> None:
        if self.lookahead is not None and not 0 <= self.lookahead <= FULL_LOOKAHEAD:
            raise ExportError(f"lookahead is {self.lookahead} tokens, expected 0 to {FULL_LOOKAHEAD}")
        if self.shift is not None and not 1 <= self.shift < WINDOW_STEPS:
            raise ExportError(f"shift is {self.shift}, expected 1 to {WINDOW_STEPS - 1}")


@dataclass(frozen=True)
class OfficialResult:
    """The bundle, its figures against torch, the truncation errors and the look-ahead chosen."""

    bundle: Bundle
    validation: dict[str, Comparison]
    truncation: dict[int, float]
    lookahead: int


def export_official(
    vqvae_path: str | Path, gpt_path: str | Path, path: str | Path, options: OfficialOptions | None = None
) -> OfficialResult:
    """Export published checkpoints as a bundle that the engine dances live.

    Raises
    ------
    InputError
        If a checkpoint cannot be read safely or has another layout.
    ExportError
        If the two do not fit together, or a graph fails validation (nothing is written then).
    """
    options = options or OfficialOptions()
    check_replaceable(path)
    vqvae, gpt = load_vqvae(vqvae_path), load_gpt(gpt_path)
    _check_pair(vqvae, gpt)
    spec = _spec(gpt, options)
    song = _song(options, spec)
    heard = resample(song, _SONG_HZ, spec.base.sample_rate_hz)
    run = _run(published_tokens(spec, heard)[spec.lead_tokens :], start_codes(vqvae))
    gpt_graph = official_gpt_graph(gpt, shift=options.shift)
    truncation = _truncation(vqvae, gpt_graph, run)
    lookahead = choose_lookahead(truncation) if options.lookahead is None else options.lookahead
    graphs = {"gpt_step": gpt_graph, "decoder_step": official_decoder_graph(vqvae, lookahead)}
    models = {name: export_onnx(graph, options.opset) for name, graph in graphs.items()}
    validation, times_ms = _validate(gpt, graphs, models, run, options.shift)
    files = {f"{name}.onnx": model.SerializeToString() for name, model in models.items()}
    record = _record(validation, times_ms, options) | {
        "truncation_over_deviation": {str(n): float(f"{e:.4g}") for n, e in truncation.items()},
        "approximations": _approximations(spec, song),
    }
    manifest = _manifest(vqvae, spec, graphs, models, record, lookahead, run)
    steps = record_run(Bundle(Path(path), manifest, files))
    manifest = replace(manifest, validation={**manifest.validation, "run": steps.to_dict()})
    return OfficialResult(write_bundle(path, manifest, files), validation, truncation, lookahead)


def _check_pair(vqvae: OfficialVQVAE, gpt: OfficialGPT) -> None:
    config, sizes = gpt.gpt.config, (vqvae.upper.config.codebook_size, vqvae.lower.config.codebook_size)
    if sizes != (config.codebook_size, config.codebook_size):
        raise ExportError(
            f"the VQ-VAE has {sizes[0]} and {sizes[1]} codes, the GPT {config.codebook_size}: give two "
            "checkpoints of one training"
        )
    if gpt.music_context is None:
        heard, published = config.music_dim, DIM
    else:
        heard, published = gpt.music_context.config.features, FRAME_DIM
        frames = gpt.music_context.config.frames_per_token
        if frames != FRAMES:
            raise ExportError(f"the music transformer joins {frames} frames, the published one {FRAMES}")
    if heard != published:
        raise ExportError(f"the GPT hears {heard} features, the published ones are {published}")


def _spec(gpt: OfficialGPT, options: OfficialOptions) -> Spec:
    base = FeatureSpec()
    return PublishedSpec(base, options.rhythm) if gpt.music_context is None else PublishedFrameSpec(base)


def start_codes(vqvae: OfficialVQVAE) -> tuple[int, int]:
    """Return the codes of a body that stands with its arms down: where a dance begins."""
    skeleton = Skeleton.default()
    rotations = np.zeros((_START_FRAMES, len(JOINT_NAMES), 4))
    rotations[..., 3] = 1.0
    for side, sign in (("left", -1.0), ("right", 1.0)):
        angle = np.full(_START_FRAMES, sign * _ARMS_DOWN_RAD)
        rotations[:, JOINT_NAMES.index(f"{side}_shoulder")] = about_axis("Z", angle)
    joints, _ = forward_kinematics(skeleton, rotations, np.zeros((_START_FRAMES, 3)))
    positions = torch.from_numpy(joints.reshape(1, _START_FRAMES, -1).astype(np.float32))
    with torch.no_grad():
        upper, lower = vqvae.encode(positions)
    middle = upper.shape[1] // 2
    return int(upper[0, middle]), int(lower[0, middle])


def _song(options: OfficialOptions, spec: Spec) -> NDArray[np.float32]:
    seconds = (_DANCE_STEPS + spec.lead_tokens + 1) * 8 / spec.base.frame_rate_hz
    if options.music is None:
        return synthetic_song(seconds, _SONG_HZ)
    song = load_mono(options.music, _SONG_HZ)[: int(4 * seconds * _SONG_HZ)]
    if len(song) < seconds * _SONG_HZ:
        raise ExportError(f"{options.music} is shorter than {seconds:.0f} s: use a longer song")
    return song


def _run(tokens: NDArray[np.float32], start: tuple[int, int]) -> GPTRun:
    return GPTRun(
        music=tokens[:_DANCE_STEPS, None],
        upper_start=np.array([start[0]]),
        lower_start=np.array([start[1]]),
        style=np.zeros(1, np.int64),
    )


def _truncation(vqvae: OfficialVQVAE, gpt_graph: StepGraph, run: GPTRun) -> dict[int, float]:
    """Measure on a dance that the GPT samples: greedy ones may hold still."""
    decoder = TorchRunner(official_decoder_graph(vqvae, 0))
    dance = record_dance(TorchRunner(gpt_graph), decoder, run, temperature=1.0)
    halves = [
        torch.from_numpy(np.concatenate([step[f"{half}_code"] for step in dance.decoder_feed]))[None]
        for half in ("upper", "lower")
    ]
    return truncation_errors(vqvae, *halves)


def _validate(
    gpt: OfficialGPT,
    graphs: dict[str, StepGraph],
    models: dict[str, onnx.ModelProto],
    run: GPTRun,
    shift: int | None,
) -> tuple[dict[str, Comparison], dict[str, float]]:
    """Compare the graphs with torch, and their greedy dance with the published procedure."""
    runners = {name: OnnxRunner(model.SerializeToString()) for name, model in models.items()}
    random = np.random.default_rng(0)
    size = gpt.gpt.config.codebook_size
    feed = [
        {"upper_code": random.integers(0, size, 1), "lower_code": random.integers(0, size, 1)}
        for _ in range(_DANCE_STEPS)
    ]
    comparisons = {
        "gpt_step": compare_gpt(TorchRunner(graphs["gpt_step"]), runners["gpt_step"], run),
        "decoder_step": compare_steps(TorchRunner(graphs["decoder_step"]), runners["decoder_step"], feed),
    }
    for name, comparison in comparisons.items():
        comparison.require(name)
    dance = record_dance(runners["gpt_step"], runners["decoder_step"], run, temperature=0.0)
    starts = torch.from_numpy(run.upper_start), torch.from_numpy(run.lower_start)
    music = torch.from_numpy(_published_music(gpt, run.music[:, 0]))[None]
    published = generate_greedily(gpt, music, *starts, steps=len(run.music) - 1, shift=shift)
    for half, codes in zip(("upper", "lower"), published, strict=True):
        ours = np.concatenate([step[f"{half}_code"] for step in dance.decoder_feed])
        if not np.array_equal(ours, codes[0].numpy()):
            raise ExportError(
                f"gpt_step chooses other {half} codes than the published sampling: report this model"
            )
    feeds = {"gpt_step": dance.gpt_feed, "decoder_step": dance.decoder_feed}
    return comparisons, time_steps_ms({"fp32": models}, feeds)["fp32"]


def _published_music(gpt: OfficialGPT, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what `generate_greedily` takes for the music (T, M) of as many steps."""
    if gpt.music_context is None:
        return np.ascontiguousarray(tokens)
    first, newest = tokens[0, :-TOKEN_DIM], tokens[:, -TOKEN_DIM:]
    return np.concatenate([first, newest.ravel()]).reshape(-1, FRAME_DIM)


def _record(
    validation: dict[str, Comparison], times_ms: dict[str, float], options: OfficialOptions
) -> dict[str, Any]:
    return {
        "reference": f"torch {torch.__version__}",
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "tolerance": TOLERANCE,
        "graphs": {name: comparison.to_dict() for name, comparison in validation.items()},
        "published_sampling_identical": True,
        "window": "none" if options.shift is None else f"shift={options.shift}",
        "ms_per_step": {name: round(value, 3) for name, value in times_ms.items()},
    }


def _approximations(spec: Spec, song: NDArray[np.float32]) -> dict[str, Any]:
    measured = {"features": feature_approximation(spec, song, _SONG_HZ)}
    common = {
        "pose_note": "bones of the default skeleton along the published joints' directions; contacts from "
        "height and speed; the floor where the feet were lowest",
        "start_note": "codes of a standing body; the published evaluation starts from recorded dances",
    }
    if isinstance(spec, PublishedSpec):
        return {
            **measured,
            "rhythm": "computed" if spec.rhythm else "zero, as in the published training",
            "features_note": "windows end with their token, running maxima for those of the file, harmonic "
            "and percussive parts by medians over the past, chroma from the spectrum, beats of the live "
            "tracker",
            **common,
        }
    return {
        **measured,
        "rhythm": "computed",
        "features_note": "running maxima for those of the file, bands above the engine's sound guessed from "
        "those below, chroma from a spectrum of 0.53 s, beats of the live tracker",
        "music_note": f"the music transformer runs anew over the window with {PADDING_TOKENS} tokens to "
        "either side, exactly as published, and waits for them; before the first token stands the first",
        **common,
    }


def _manifest(
    vqvae: OfficialVQVAE,
    spec: Spec,
    graphs: dict[str, StepGraph],
    models: dict[str, onnx.ModelProto],
    record: dict[str, Any],
    lookahead: int,
    run: GPTRun,
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="published",
        description="published Bailando checkpoints, live with look-ahead",
        created=timestamp(),
        bailando_version=bailando.__version__,
        frame_rate_hz=60,
        frames_per_token=vqvae.lower.config.frames_per_code,
        lookahead_tokens=lookahead,
        music_lead_tokens=spec.lead_tokens,
        skeleton=Skeleton.default().to_dict(),
        pose=PoseSpec(REPRESENTATION, UPPER_CHANNELS, LOWER_CHANNELS),
        features=spec.to_dict(),
        codebook_size=CodebookSize(vqvae.upper.config.codebook_size, vqvae.lower.config.codebook_size),
        styles=("open",),
        style_shares=(1.0,),
        start_codes=((int(run.upper_start[0]), int(run.lower_start[0])),),
        sampling=Sampling(0.0, 0, 1.0),
        groove=None,
        graphs={
            name: graph_spec(model, f"{name}.onnx", "fp32", tuple(graphs[name].state))
            for name, model in models.items()
        },
        engines=(),
        validation=record,
        data=(DataSource("published checkpoints", "as their authors state", _CREDIT[type(spec)]),),
        licence="that of the checkpoints, which their authors give for non-commercial use",
        files={},
    )
