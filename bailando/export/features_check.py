"""Does the exported music front end hear what the engine hears?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.backends import Arrays
from bailando.errors import ExportError
from bailando.export.validation import TOLERANCE
from bailando.music.beats import BeatState
from bailando.music.features import FeatureExtractor, FeatureSpec, FeatureState

if TYPE_CHECKING:
    from bailando.export.runners import StepRunner

Float32Array = NDArray[np.float32]

# A song may hold a moment where two tempi are equally likely; float32 then chooses one of them a frame
# earlier or later than float64, and the features agree again soon.
_MIN_FRAMES_WITHIN = 0.99
_WHOLE = ("heard_frames", "tempo_index", "challenge_frames")


@dataclass(frozen=True)
class FeatureComparison:
    """The graph against the engine over a song; see `compare_features`.

    Parameters
    ----------
    frames
        How many.
    max_abs_output, max_abs_state
        Largest differences of the features and of the state; the phase is compared on its circle.
    frames_within
        Fraction of frames whose features are within the tolerance.
    decisions_identical
        Whether tempo row, challenge and heard frames were the same at every frame.
    """

    frames: int
    max_abs_output: float
    max_abs_state: float
    frames_within: float
    decisions_identical: bool

    def require(self) -> None:
        """Raise ExportError unless the features are the engine's."""
        if not self.frames_within >= (1.0 if self.decisions_identical else _MIN_FRAMES_WITHIN):
            raise ExportError(
                f"features_step failed validation: {self.frames_within:.2%} of {self.frames} frames are "
                f"within {TOLERANCE:.0e} of the engine's features, the largest difference is "
                f"{self.max_abs_output:.2e}: try another opset or report this"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for the manifest, differences to three digits."""
        form = asdict(self)
        for key in ("max_abs_output", "max_abs_state"):
            form[key] = float(f"{form[key]:.3g}")
        return form


def compare_features(
    spec: FeatureSpec, candidate: StepRunner, samples: NDArray[np.float32]
) -> FeatureComparison:
    """Let the engine's extractor and `candidate` hear the same song, each on its own state.

    Parameters
    ----------
    spec : FeatureSpec
        Definition of the features.
    candidate : StepRunner
        Runs ``features_step``.
    samples : (n,) or (B, n)
        A song for each listener of the graph, at `spec.sample_rate_hz`; one song is heard by all.
    """
    state = candidate.initial_state()
    songs = np.broadcast_to(samples, (len(state["phase"]), np.shape(samples)[-1]))
    hops = _hops(songs, spec.hop_length)
    extractor = FeatureExtractor(spec)
    states = [extractor.initial_state() for _ in songs]
    outputs, state_difference, identical = [], 0.0, True
    for heard in hops:
        answers = [extractor.step(hop[None], own) for hop, own in zip(heard, states, strict=True)]
        states = [own for _, own in answers]
        found, state = candidate.step({"audio": heard}, state)
        outputs.append(np.abs(found["features"] - np.concatenate([features for features, _ in answers])))
        expected = state_arrays(states)
        identical = identical and all(np.array_equal(state[name], expected[name]) for name in _WHOLE)
        state_difference = max(state_difference, _state_difference(expected, state))
    worst = np.max(np.nan_to_num(outputs, nan=np.inf), axis=(1, 2))
    within = float(np.mean(worst <= TOLERANCE))
    return FeatureComparison(len(hops), float(worst.max()), state_difference, within, identical)


def state_arrays(states: list[FeatureState]) -> Arrays:
    """Return the extractors' states under the names of the graph's state, batch first."""
    rows = [_flat(state) for state in states]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _flat(state: FeatureState) -> Arrays:
    own = {field.name: getattr(state, field.name) for field in fields(FeatureState) if field.name != "beat"}
    beat = {field.name: getattr(state.beat, field.name) for field in fields(BeatState)}
    return {name: np.asarray(value) for name, value in (own | beat | {"started": 1}).items()}


def _state_difference(expected: Arrays, found: Arrays) -> float:
    """Largest difference of any state tensor; infinite where one is missing or not finite."""
    if expected.keys() != found.keys():
        return float("inf")
    worst = 0.0
    for name, value in expected.items():
        difference = np.abs(found[name].astype(np.float64) - value)
        if name == "phase":
            difference = np.minimum(difference, 1.0 - difference)
        worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
    return worst


def _hops(songs: Float32Array, hop_length: int) -> Float32Array:
    """Cut songs (B, n) into (hops, B, hop_length)."""
    count = songs.shape[1] // hop_length
    cut = songs[:, : count * hop_length].reshape(len(songs), count, hop_length)
    return np.ascontiguousarray(cut.transpose(1, 0, 2), dtype=np.float32)
