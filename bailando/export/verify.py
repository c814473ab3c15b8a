"""A short deterministic run of a bundle: recorded when it is exported, repeated to verify it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.backends import Arrays, Backend, load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.specs import REQUIRED_GRAPHS
from bailando.errors import BundleError, ExportError
from bailando.export.features_check import FeatureComparison, compare_features
from bailando.export.music_feed import synthetic_song
from bailando.music.features import FeatureSpec

RUN_STEPS = 16
# How far a recorded code may lie below the best one, and poses from the recorded ones: rounding differs
# between processors, and with quantised arithmetic more so.
_TOLERANCE = {"fp32": 1e-3}
_REDUCED_TOLERANCE = 0.5
_HALVES = ("upper", "lower")
_FEATURES_S = 4.0


@dataclass(frozen=True)
class RunRecord:
    """What the run gave: code pairs of each step and the poses' root mean squares.

    Parameters
    ----------
    codes
        Greedy code pairs of the first dancer, one per step.
    pose_rms
        Root mean square of the decoded channels of (upper, lower), first dancer.
    """

    codes: tuple[tuple[int, int], ...]
    pose_rms: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that goes into the manifest's ``validation.run``."""
        return {
            "codes": [list(c) for c in self.codes],
            "pose_rms": [float(f"{r:.6g}") for r in self.pose_rms],
        }

    @classmethod
    def from_dict(cls, value: object) -> RunRecord:
        """Read `to_dict`'s form; raise BundleError if it is anything else."""
        form = value if isinstance(value, dict) else {}
        try:
            codes = tuple((int(u), int(v)) for u, v in form["codes"])
            upper, lower = (float(r) for r in form["pose_rms"])
        except (TypeError, KeyError, ValueError):
            raise BundleError(
                "manifest.validation.run is missing or malformed: export the bundle again"
            ) from None
        return cls(codes, (upper, lower))


@dataclass(frozen=True)
class Verification:
    """What `verify_bundle` found: steps run, codes equal to the record, largest shortfall of a code.

    `features` compares the exported music front end with the engine's; None where the bundle has none.
    """

    steps: int
    equal_codes: int
    largest_shortfall: float
    features: FeatureComparison | None


def record_run(bundle: Bundle) -> RunRecord:
    """Dance `RUN_STEPS` steps greedily from the first start codes to a fixed pattern of music."""
    codes, _, poses = _run(bundle, None)
    return RunRecord(codes, poses)


def verify_bundle(bundle: Bundle) -> Verification:
    """Repeat the recorded run, fed the recorded codes.

    `Bundle.open` has checked names, sizes, hashes and the graphs' contents by then; loading checks
    the graphs' names, types and shapes.

    Raises
    ------
    BundleError
        If a graph does not load or match the manifest, a value is not finite, a recorded code is not
        (nearly) the best one, the poses differ from the recorded ones, or the features of the bundle's
        own front end from the engine's.
    """
    manifest = bundle.manifest
    record = RunRecord.from_dict(manifest.validation.get("run"))
    codes, shortfall, poses = _run(bundle, record)
    exact = all(manifest.graphs[name].precision == "fp32" for name in REQUIRED_GRAPHS)
    tolerance = _TOLERANCE["fp32"] if exact else _REDUCED_TOLERANCE
    if not shortfall <= tolerance:
        raise BundleError(
            f"{bundle.path} dances otherwise than when it was exported: a recorded code lies {shortfall:.3g} "
            f"below the best, at most {tolerance} is allowed; update onnxruntime or export again"
        )
    for half, got, expected in zip(_HALVES, poses, record.pose_rms, strict=True):
        if not abs(got - expected) <= tolerance * max(1.0, expected) * 0.1:
            raise BundleError(
                f"{bundle.path} gives {half} poses of size {got:.6g}, recorded are {expected:.6g}: "
                "update onnxruntime or export again"
            )
    equal = sum(a == b for a, b in zip(codes, record.codes, strict=True))
    return Verification(len(codes), equal, shortfall, _verify_features(bundle))


class _StepOf:
    """One graph of a backend, as a runner whose state is host arrays."""

    def __init__(self, backend: Backend, graph: str) -> None:
        self._backend = backend
        self._graph = graph

    def initial_state(self) -> Arrays:
        return self._backend.read_state(self._graph, self._backend.initial_state(self._graph))

    def step(self, inputs: Mapping[str, NDArray[Any]], state: Arrays) -> tuple[Arrays, Arrays]:
        outputs, after = self._backend.step(
            self._graph, inputs, self._backend.write_state(self._graph, state)
        )
        return outputs, self._backend.read_state(self._graph, after)


def _verify_features(bundle: Bundle) -> FeatureComparison | None:
    """Let the bundle's front end and the engine's hear a few seconds."""
    name = "features_step"
    if name not in bundle.manifest.graphs:
        return None
    spec = FeatureSpec.from_dict(dict(bundle.manifest.features))
    runner = _StepOf(load_backend(bundle, "cpu", graphs=(name,)), name)
    found = compare_features(spec, runner, synthetic_song(_FEATURES_S, spec.sample_rate_hz))
    try:
        found.require()
    except ExportError as error:
        raise BundleError(f"{bundle.path}: {error}") from None
    return found


def _run(
    bundle: Bundle, record: RunRecord | None
) -> tuple[tuple[tuple[int, int], ...], float, tuple[float, float]]:
    """Dance; return the greedy codes, the record's largest shortfall and the poses' size."""
    manifest, backend = bundle.manifest, load_backend(bundle, "cpu")
    state = {name: backend.initial_state(name) for name in REQUIRED_GRAPHS}
    music_shape = manifest.graphs["gpt_step"].tensor("music").shape
    pair = manifest.start_codes[0]
    codes, shortfall = [], 0.0
    poses: list[list[NDArray[np.float32]]] = [[], []]
    for step in range(RUN_STEPS if record is None else len(record.codes)):
        inputs = {f"{half}_code": np.full(manifest.batch, c) for half, c in zip(_HALVES, pair, strict=True)}
        pose, state["decoder_step"] = backend.step("decoder_step", inputs, state["decoder_step"])
        inputs |= {"music": _music(step, music_shape), "style": np.zeros(manifest.batch, np.int64)}
        answer, state["gpt_step"] = backend.step("gpt_step", inputs, state["gpt_step"])
        logits = [answer[f"{half}_logits"][0] for half in _HALVES]
        for half, values in zip(_HALVES, poses, strict=True):
            values.append(pose[f"{half}_pose"][0])
        codes.append((int(logits[0].argmax()), int(logits[1].argmax())))
        pair = codes[-1] if record is None else record.codes[step]
        gaps = [float(row.max() - row[code]) for row, code in zip(logits, pair, strict=True)]
        shortfall = max(shortfall, *(gap if np.isfinite(gap) else float("inf") for gap in gaps))
    sizes = [float(np.sqrt(np.mean(np.square(np.stack(values))))) for values in poses]
    return tuple(codes), shortfall, (sizes[0], sizes[1])


def _music(step: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Music features of a step: a slow wave over steps and channels, within 0 to 1."""
    channel = np.arange(shape[1])
    wave = 0.5 + 0.5 * np.sin(0.7 * step + 0.13 * channel)
    return np.broadcast_to(wave.astype(np.float32), shape).copy()
