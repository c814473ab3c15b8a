"""All figures of a set of dances at once: one column of the table that evaluation prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.motion.skeleton import Skeleton
from bailando.training.metrics import beats, codes, phase, physical
from bailando.training.metrics.distribution import diversity, frechet_distance, normalise_features
from bailando.training.metrics.geometric import geometric_features
from bailando.training.metrics.kinetic import kinetic_features

FRAME_RATE_HZ = 60.0
FRAMES_PER_TOKEN = 8
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dance:
    """A dance and the beats it is judged by.

    Parameters
    ----------
    name : str
        Of the song or the recording.
    positions : ndarray, shape (T, 24, 3)
        Joints, metres, 60 Hz.
    music_beats : ndarray, shape (n,)
        Frames, ascending; empty if there is no music.
    upper_codes, lower_codes : ndarray of int, shape (tokens,), optional
        What a generated dance was decoded from.
    """

    name: str
    positions: npt.NDArray[np.floating[Any]]
    music_beats: npt.NDArray[Any]
    upper_codes: npt.NDArray[np.int64] | None = None
    lower_codes: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Features:
    """Kinetic (N, 72) and geometric (N, 32) features of N clips."""

    kinetic: FloatArray
    geometric: FloatArray


def cut_clips(
    dances: Sequence[Dance], clip_frames: int, limit: int | None = None
) -> list[npt.NDArray[np.floating[Any]]]:
    """Cut dances into clips (clip_frames, 24, 3) that begin an eighth of their length apart.

    Few and far apart, their covariance is mostly chance. A shorter dance gives none. With a limit, so many of
    the clips, evenly spread, as a Fréchet distance depends on their number.
    """
    clips = [
        dance.positions[start : start + clip_frames]
        for dance in dances
        for start in range(0, len(dance.positions) - clip_frames + 1, max(1, clip_frames // 8))
    ]
    if limit is not None and len(clips) > limit:
        clips = [clips[number] for number in np.linspace(0, len(clips) - 1, limit).round().astype(int)]
    return clips


def clip_features(clips: Sequence[npt.NDArray[np.floating[Any]]]) -> Features:
    """Return the features of clips, each moved so that its first root lies in the origin."""
    centred = [np.asarray(clip, np.float64) - np.asarray(clip[:1, :1], np.float64) for clip in clips]
    kinetic = np.array([kinetic_features(clip, FRAME_RATE_HZ) for clip in centred]).reshape(-1, 72)
    geometric = np.array([geometric_features(clip) for clip in centred]).reshape(-1, 32)
    return Features(kinetic, geometric)


def set_figures(
    dances: Sequence[Dance],
    clips: Sequence[npt.NDArray[np.floating[Any]]],
    reference: Features | None,
    codebook_size: int | None = None,
    skeleton: Skeleton | None = None,
) -> dict[str, float]:
    """Return every figure of a set of dances by name.

    Parameters
    ----------
    dances : sequence of Dance
        Judged whole for beats, feet and codes; means weigh each second alike.
    clips : sequence of ndarray, shape (clip_frames, 24, 3)
        Of these dances, for distribution features and the foot contact score.
    reference : Features, optional
        Of the ground truth's clips: what features are normalised by and compared with.
    codebook_size : int, optional
        Codes per book, for usage.
    skeleton : Skeleton, optional
        The body, for bone lengths; each dance's own median lengths if not given.

    Returns
    -------
    dict
        NaN where a figure does not apply.
    """
    figures = {"dances": float(len(dances)), "clips": float(len(clips))}
    figures["minutes"] = sum(len(dance.positions) for dance in dances) / FRAME_RATE_HZ / 60
    figures |= _distribution(clips, reference)
    figures |= _beats(dances)
    figures |= _bodies(dances, clips, skeleton)
    return figures | _codes(dances, codebook_size)


def _distribution(
    clips: Sequence[npt.NDArray[np.floating[Any]]], reference: Features | None
) -> dict[str, float]:
    figures = dict.fromkeys(("fid_k", "fid_g", "div_k", "div_g"), float("nan"))
    if reference is None or len(clips) < 2 or len(reference.kinetic) < 2:
        return figures
    features = clip_features(clips)
    for kind, values, truth in (
        ("k", features.kinetic, reference.kinetic),
        ("g", features.geometric, reference.geometric),
    ):
        # A feature that never varies in the ground truth says nothing and would be divided by nothing.
        varies = truth.std(axis=0) > 1e-6
        normal = normalise_features(values[:, varies], truth[:, varies])
        figures[f"fid_{kind}"] = frechet_distance(normal, normalise_features(truth, truth)[:, varies])
        figures[f"div_{kind}"] = diversity(normal)
    return figures


def _beats(dances: Sequence[Dance]) -> dict[str, float]:
    accents = [beats.motion_beats(dance.positions) for dance in dances]
    scores: dict[str, list[float]] = {}
    for dance, found in zip(dances, accents, strict=True):
        for name, value in _scores(dance.music_beats, found).items():
            scores.setdefault(name, []).append(value)
    figures = {name: _mean_by_time(values, dances) for name, values in scores.items()}
    lock = phase.pooled_phase_lock(
        (found, dance.music_beats) for dance, found in zip(dances, accents, strict=True)
    )
    return figures | {
        "phase_lock": lock.vector_strength,
        "preferred_phase": lock.preferred_phase,
        "phase_p_value": lock.p_value if lock.accents else float("nan"),
    }


def _scores(music_beats: npt.NDArray[Any], accents: npt.NDArray[np.int64]) -> dict[str, float]:
    return {
        "bas_music": beats.beat_align_by_music(music_beats, accents),
        "bas_music_random_phase": beats.random_phase_score(music_beats, accents),
        "bas_motion": beats.beat_align_by_motion(music_beats, accents),
        "bas_motion_random_phase": beats.random_phase_score(music_beats, accents, by="motion"),
    }


def _bodies(
    dances: Sequence[Dance],
    clips: Sequence[npt.NDArray[np.floating[Any]]],
    skeleton: Skeleton | None,
) -> dict[str, float]:
    def mean(measure: Any) -> float:
        return _mean_by_time([measure(dance.positions) for dance in dances], dances)

    feet = [physical.physical_foot_contact(clip, FRAME_RATE_HZ) for clip in clips]
    return {
        "foot_contact_score": float(np.mean(feet)) if feet else float("nan"),
        "foot_skate_ratio": mean(physical.foot_skate_ratio),
        "jitter_m_s3": mean(physical.jitter),
        "joint_speed_m_s": mean(physical.joint_speed_m_s),
        "bone_length_error_mm": mean(lambda x: physical.bone_length_error_mm(x, skeleton)),
        "floor_reach_m": max((physical.floor_reach_m(d.positions) for d in dances), default=float("nan")),
    }


def _codes(dances: Sequence[Dance], codebook_size: int | None) -> dict[str, float]:
    nothing = float("nan")
    names = [f"{half}_{figure}" for half in ("upper", "lower") for figure in ("perplexity", "usage")]
    figures = dict.fromkeys([*names, "longest_repeat_s"], nothing)
    coded = [
        (dance.upper_codes, dance.lower_codes)
        for dance in dances
        if dance.upper_codes is not None and dance.lower_codes is not None and len(dance.upper_codes)
    ]
    if not coded:
        return figures
    for half, streams in zip(("upper", "lower"), zip(*coded, strict=True), strict=True):
        joined = np.concatenate(streams)
        size = codebook_size or int(joined.max()) + 1
        figures[f"{half}_perplexity"] = codes.codebook_perplexity(joined, size)
        figures[f"{half}_usage"] = codes.codebook_usage(joined, size) if codebook_size else nothing
    repeat = max(codes.longest_repeat(upper, lower) for upper, lower in coded)
    return figures | {"longest_repeat_s": repeat * FRAMES_PER_TOKEN / FRAME_RATE_HZ}


def _mean_by_time(values: Sequence[float], dances: Sequence[Dance]) -> float:
    """Mean of one value per dance, weighed by length; NaN values are left out."""
    kept = [(v, len(d.positions)) for v, d in zip(values, dances, strict=True) if not np.isnan(v)]
    if not kept:
        return float("nan")
    numbers, weights = zip(*kept, strict=True)
    return float(np.average(numbers, weights=weights))
