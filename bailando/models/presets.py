"""Named model sizes: ``live`` (the default bundle), ``paper`` (the published sizes) and ``tiny`` (tests)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bailando.errors import ConfigError
from bailando.models.gpt import GPTConfig
from bailando.models.residual import PoseResidualConfig
from bailando.models.vqvae import PoseVQVAEConfig

UPPER_CHANNELS = 90
LOWER_CHANNELS = 62
CONTACT_CHANNELS = 4
PUBLISHED_UPPER_CHANNELS = 45
PUBLISHED_LOWER_CHANNELS = 27
ROOT_CHANNELS = 3
FRAMES_PER_TOKEN = 8


@dataclass(frozen=True)
class Preset:
    """Configurations of the models of one dancer; the residual codes are optional."""

    upper: PoseVQVAEConfig
    lower: PoseVQVAEConfig
    gpt: GPTConfig
    residual: PoseResidualConfig | None = None


def _live(features: int, styles: int) -> Preset:
    vqvae = {"width": 192, "codebook_size": 256, "code_dim": 64, "context_dilations": (1, 3, 9)}
    return Preset(
        upper=PoseVQVAEConfig.from_dict({"channels": UPPER_CHANNELS, **vqvae}),
        lower=PoseVQVAEConfig.from_dict(
            {"channels": LOWER_CHANNELS, "probability_channels": CONTACT_CHANNELS, **vqvae}
        ),
        # Small, because the shipped data is (half an hour of motion): larger ones only learn it by heart.
        gpt=GPTConfig(
            codebook_size=256,
            music_dim=FRAMES_PER_TOKEN * features,
            width=192,
            heads=6,
            base_layers=2,
            head_layers=3,
            window=32,
            styles=styles,
        ),
        residual=PoseResidualConfig(books=3, codes=256),
    )


def _paper(features: int, styles: int) -> Preset:
    """As published: positions, two-sided convolutions, a root branch, learned places in a block of 29."""
    return Preset(
        upper=PoseVQVAEConfig(channels=PUBLISHED_UPPER_CHANNELS, decoder="two_sided"),
        lower=PoseVQVAEConfig(
            channels=PUBLISHED_LOWER_CHANNELS, decoder="two_sided", root_channels=ROOT_CHANNELS
        ),
        gpt=GPTConfig(
            codebook_size=512,
            music_dim=FRAMES_PER_TOKEN * features,
            width=768,
            heads=12,
            base_layers=6,
            head_layers=6,
            window=28,
            positions="learned",
            music_lead=1,
            styles=styles,
        ),
    )


def _tiny(features: int, styles: int) -> Preset:
    vqvae = {"width": 16, "codebook_size": 16, "code_dim": 8, "dilations": (1, 3)}
    return Preset(
        upper=PoseVQVAEConfig.from_dict({"channels": UPPER_CHANNELS, **vqvae}),
        lower=PoseVQVAEConfig.from_dict(
            {"channels": LOWER_CHANNELS, "probability_channels": CONTACT_CHANNELS, **vqvae}
        ),
        gpt=GPTConfig(
            codebook_size=16,
            music_dim=FRAMES_PER_TOKEN * features,
            width=32,
            heads=4,
            base_layers=1,
            head_layers=1,
            window=8,
            styles=styles,
        ),
        residual=PoseResidualConfig(books=2, codes=8, width=16, dilations=(1,)),
    )


PRESETS = {"live": _live, "paper": _paper, "tiny": _tiny}


def preset(name: str, *, features: int, styles: int = 1, music_frames: int = FRAMES_PER_TOKEN) -> Preset:
    """Return a named preset.

    Parameters
    ----------
    name
        ``live``, ``paper`` or ``tiny``.
    features
        Music features per frame.
    styles
        Dance styles including ``open``.
    music_frames
        Frames of a music token.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset is {name!r}, expected one of {sorted(PRESETS)}")
    sizes = PRESETS[name](features, styles)
    gpt = replace(sizes.gpt, music_dim=music_frames * features, music_frames=music_frames)
    return replace(sizes, gpt=gpt)
