"""A prepared data set in a few lines: minutes, what was dropped and why, what retargeting has cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

_ERRORS = {
    "direction_deg": "limbs {:.1f} deg",
    "leg_position_mm": "knees and ankles {:.0f} mm",
    "arm_position_mm": "elbows and wrists {:.0f} mm",
    "round_trip_mm": "pose channels and back {:.3f} mm",
}


def summary(index: Mapping[str, Any]) -> str:
    """Describe a data set: minutes by style and side, what was dropped why, errors, pairs."""
    lines = [*_minutes(index), *_dropped(index["dropped"]), *_errors(index.get("retargeting", {}))]
    pairs = [pair for drawn in index["pairs"].values() for pair in drawn]
    paired = sum(pair.get("paired", False) for pair in pairs)
    danced = f", {paired} of them danced to" if paired else ""
    lines.append(f"{len(index['songs'])} songs, {len(pairs)} pairs{danced}")
    heard = [pair["agreement"] for pair in pairs if pair["preroll_frames"]]
    if heard:
        lines.append(f"the causal beat tracker agrees with the dance's beats by {np.mean(heard):.2f} of 1")
    return "\n".join(lines)


def _minutes(index: Mapping[str, Any]) -> Iterable[str]:
    for style in index["styles"]:
        minutes = {
            side: sum(s["frames"] for s in index["segments"] if s["style"] == style and s["split"] == side)
            / 3600
            for side in ("train", "held_out")
        }
        if any(minutes.values()):
            yield f"{style}: {minutes['train']:.1f} min to train, {minutes['held_out']:.1f} held out"


def _dropped(losses: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """One line per reason; recordings left out whole have no frames to count."""
    for reason in sorted({loss["reason"] for loss in losses}):
        of_reason = [loss for loss in losses if loss["reason"] == reason]
        frames = sum(loss["frames"] for loss in of_reason)
        recordings = sorted({loss["recording"] for loss in of_reason})
        what = f"{frames / 60:.1f} s" if frames else "all"
        where = f"{len(recordings)} recordings" if len(recordings) > 1 else recordings[0]
        yield f"dropped {what} of {where}: {reason}"


def _errors(retargeting: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    """Mean errors of retargeting by source, and the recording with the worst limbs."""
    for source in sorted({recording.split("/")[0] for recording in retargeting}):
        of_source = {name: e for name, e in retargeting.items() if name.split("/")[0] == source}
        parts = []
        for key, text in _ERRORS.items():
            values = [error[key] for error in of_source.values() if key in error]
            if values:
                parts.append(text.format(np.mean(values)))
        worst = max(of_source, key=lambda name: of_source[name].get("direction_deg", 0.0))
        limbs = of_source[worst].get("direction_deg")
        at_worst = f" (worst {limbs:.1f} deg: {worst})" if limbs is not None else ""
        yield f"retargeting of {source}: {', '.join(parts)} off in the mean{at_worst}"
