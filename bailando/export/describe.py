"""The manifest of an export."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bailando
from bailando.engine.manifest import (
    SCHEMA_VERSION,
    CodebookSize,
    DataSource,
    Manifest,
    PoseSpec,
    Sampling,
)
from bailando.engine.specs import EngineSpec, GraphSpec
from bailando.errors import ExportError
from bailando.models.checkpoint import DancerCheckpoint
from bailando.music.features import FeatureSpec


def feature_spec(checkpoint: DancerCheckpoint) -> FeatureSpec:
    """Return the checkpoint's feature definition.

    Raises
    ------
    ExportError
        If it does not fit the GPT, or codes and music tokens differ in length.
    """
    if "kind" in checkpoint.features:
        raise ExportError(
            f"the dancer was trained on {checkpoint.features['kind']!r} features; a live bundle hears ours: "
            "prepare the data with --music-features causal"
        )
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


def describe(
    checkpoint: DancerCheckpoint,
    graphs: Mapping[str, GraphSpec],
    engines: Sequence[EngineSpec],
    validation: Mapping[str, Any],
) -> Manifest:
    """Return the manifest of a live dancer; the files are filled in when the bundle is written."""
    features = feature_spec(checkpoint)
    provenance, upper, lower = checkpoint.provenance, checkpoint.upper_vqvae, checkpoint.lower_vqvae
    sampling = checkpoint.sampling
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=provenance.name,
        description=provenance.description,
        created=timestamp(),
        bailando_version=bailando.__version__,
        frame_rate_hz=round(features.frame_rate_hz),
        frames_per_token=upper.config.frames_per_code,
        lookahead_tokens=max(half.decoder.timing.lookahead for half in (upper, lower)),
        music_lead_tokens=checkpoint.gpt.config.music_lead,
        skeleton=dict(checkpoint.skeleton),
        pose=PoseSpec("rotation6d-heading", upper.config.channels, lower.config.channels),
        features=features.to_dict(),
        codebook_size=CodebookSize(upper.config.codebook_size, lower.config.codebook_size),
        styles=checkpoint.styles,
        style_shares=checkpoint.style_shares,
        start_codes=checkpoint.start_codes,
        sampling=Sampling(float(sampling["temperature"]), int(sampling["top_k"]), float(sampling["top_p"])),
        groove=checkpoint.groove,
        graphs=dict(graphs),
        engines=tuple(engines),
        validation=dict(validation),
        data=tuple(DataSource(**dict(source)) for source in provenance.data),
        licence=provenance.licence,
        files={},
    )


def timestamp() -> str:
    """Return the time in UTC; SOURCE_DATE_EPOCH fixes it for reproducible builds."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
