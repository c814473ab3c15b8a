"""Published checkpoints as our own modules, for comparison and for users who have the weights.

Positions are ``[B, T, 72]``: 24 joints × 3, metres, Y up, 60 frames a second. Relative positions have the
root subtracted from every joint; the encoder takes those with zeros in channels 0:3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bailando.errors import InputError
from bailando.export.official_layout import (
    Layout,
    affine,
    blocks_layout,
    count,
    decoder_layout,
    encoder_layout,
    load_layout,
    require_known_parts,
    require_names,
    shape_of,
)
from bailando.export.official_models import OfficialGPT, OfficialVQVAE
from bailando.export.official_pickle import OfficialCheckpoint, read_official
from bailando.models.critic import Critic
from bailando.models.gpt import STREAMS, CrossConditionalGPT, GPTConfig
from bailando.models.music_context import MusicContext, MusicContextConfig
from bailando.models.vqvae import PoseVQVAE, PoseVQVAEConfig

DILATION_GROWTH = 3


def load_vqvae(path: str | Path) -> OfficialVQVAE:
    """Load a published pose VQ-VAE, with or without the root decoder.

    Raises
    ------
    InputError
        If the file cannot be read safely or its weights are not of the published layout.
    """
    checkpoint = read_official(path)
    require_known_parts(checkpoint, ("vqvae_up", "vqvae_down"))
    return OfficialVQVAE(_load_half(checkpoint, "vqvae_up"), _load_half(checkpoint, "vqvae_down"))


def _load_half(checkpoint: OfficialCheckpoint, prefix: str) -> PoseVQVAE:
    encoder = f"{prefix}.encoders.0.level_blocks.0.model"
    decoder, root = f"{prefix}.decoders.0", f"{prefix}.decoders_root.0"
    codebook = f"{prefix}.bottleneck.level_blocks.0.k"
    depth = count(checkpoint.tensors, f"{encoder}.0.1.model.")
    levels = count(checkpoint.tensors, f"{encoder}.") - 1
    width, channels, _ = shape_of(checkpoint, f"{encoder}.0.0.weight", 3)
    codes, code_dim = shape_of(checkpoint, codebook, 2)
    has_root = checkpoint.has(f"{root}.")
    config = PoseVQVAEConfig(
        channels=channels,
        width=width,
        codebook_size=codes,
        code_dim=code_dim,
        levels=levels,
        dilations=tuple(DILATION_GROWTH**level for level in range(depth)),
        encoder="two_sided",
        decoder="two_sided",
        root_channels=shape_of(checkpoint, f"{root}.out.weight", 3)[0] if has_root else 0,
    )
    layout = encoder_layout(encoder, levels, depth) | decoder_layout("decoder", decoder, levels, depth)
    if has_root:
        layout |= decoder_layout("root_decoder", root, levels, depth)
    layout["codebook.vectors"] = (codebook,)
    require_names(checkpoint, f"{prefix}.", layout)
    model = PoseVQVAE(config)
    model.codebook.fill(torch.zeros(codes, code_dim))
    load_layout(model, checkpoint, layout, {"codebook.vector_sum": checkpoint.tensors[codebook]})
    return model


def load_gpt(path: str | Path, *, heads: int | None = None) -> OfficialGPT:
    """Load a published GPT, with or without the critic and the music transformer.

    Parameters
    ----------
    path
        The checkpoint.
    heads
        Attention heads, which no tensor tells; by default those of the stored configuration.

    Raises
    ------
    InputError
        If the file cannot be read safely or its weights are not of the published layout.
    """
    checkpoint = read_official(path)
    require_known_parts(checkpoint, ("gpt_base", "gpt_head", "critic_net", "music_trans"))
    config = _gpt_config(checkpoint, heads)
    model = CrossConditionalGPT(config)
    layout = blocks_layout(0, "gpt_base", config.base_layers)
    layout |= blocks_layout(config.base_layers, "gpt_head", config.head_layers)
    layout |= affine("music_embedding", "gpt_base.cond_emb") | affine("norm", "gpt_head.ln_f")
    layout["upper_embedding.weight"] = ("gpt_base.tok_emb_up.weight",)
    layout["lower_embedding.weight"] = ("gpt_base.tok_emb_down.weight",)
    layout["upper_head.weight"] = ("gpt_head.head_up.weight",)
    layout["lower_head.weight"] = ("gpt_head.head_down.weight",)
    for part in ("gpt_base", "gpt_head"):
        own = {ours: names for ours, names in layout.items() if names[0].startswith(part)}
        positions = ["gpt_base.pos_emb"] if part == "gpt_base" else []
        require_names(checkpoint, f"{part}.", own, [*positions, *_masks(checkpoint, part)])
    places = checkpoint.tensors["gpt_base.pos_emb"].reshape(len(STREAMS), -1, config.width)
    load_layout(model, checkpoint, layout, {"stream_embedding": places})
    return OfficialGPT(model, _load_critic(checkpoint, config), _load_music_context(checkpoint, heads))


def _gpt_config(checkpoint: OfficialCheckpoint, heads: int | None) -> GPTConfig:
    codes, width = shape_of(checkpoint, "gpt_base.tok_emb_up.weight", 2)
    places = shape_of(checkpoint, "gpt_base.pos_emb", 3)[1]
    music_dim = shape_of(checkpoint, "gpt_base.cond_emb.weight", 2)[1]
    if places % len(STREAMS) or places < 2 * len(STREAMS):
        raise InputError(f"{checkpoint.path}: {places} positions are no block of {len(STREAMS)} streams")
    return GPTConfig(
        codebook_size=codes,
        music_dim=music_dim,
        music_frames=1,
        width=width,
        heads=_heads(checkpoint, "base", heads),
        base_layers=count(checkpoint.tensors, "gpt_base.blocks."),
        head_layers=count(checkpoint.tensors, "gpt_head.blocks."),
        window=places // len(STREAMS) - 1,
        positions="learned",
        music_lead=1,
        styles=0,
        music_clip=0.0,
    )


def _heads(checkpoint: OfficialCheckpoint, part: str, heads: int | None) -> int:
    value: Any = heads or checkpoint.option("structure_generate", part, "n_head")
    if not isinstance(value, int) or value < 1:
        raise InputError(f"{checkpoint.path} does not say its attention heads ({value!r}); pass heads=")
    return value


def _masks(checkpoint: OfficialCheckpoint, part: str) -> list[str]:
    """Return the stored masks, which carry nothing that the sizes do not say."""
    return [name for name in checkpoint.tensors if name.startswith(f"{part}.") and name.endswith("attn.mask")]


def _load_critic(checkpoint: OfficialCheckpoint, config: GPTConfig) -> Critic | None:
    if not checkpoint.has("critic_net."):
        return None
    layers = count(checkpoint.tensors, "critic_net.blocks.")
    layout: Layout = blocks_layout(0, "critic_net", layers) | affine("norm", "critic_net.ln_f")
    layout["upper_value.weight"] = ("critic_net.head_up.weight",)
    layout["lower_value.weight"] = ("critic_net.head_down.weight",)
    require_names(checkpoint, "critic_net.", layout, _masks(checkpoint, "critic_net"))
    critic = Critic(config, layers)
    load_layout(critic, checkpoint, layout, {})
    return critic


def _load_music_context(checkpoint: OfficialCheckpoint, heads: int | None) -> MusicContext | None:
    if not checkpoint.has("music_trans."):
        return None
    width, features = shape_of(checkpoint, "music_trans.cond_emb.weight", 2)
    layers = count(checkpoint.tensors, "music_trans.blocks.")
    layout = blocks_layout(0, "music_trans", layers) | affine("embedding", "music_trans.cond_emb")
    layout |= affine("downsample", "music_trans.downsample")
    unused = ["music_trans.pos_emb", *_masks(checkpoint, "music_trans")]
    require_names(checkpoint, "music_trans.", layout, unused)
    config = MusicContextConfig(
        features=features,
        width=width,
        heads=_heads(checkpoint, "music_trans", heads),
        layers=layers,
        frames_per_token=shape_of(checkpoint, "music_trans.downsample.weight", 2)[1] // width,
    )
    model = MusicContext(config)
    load_layout(model, checkpoint, layout, {})
    return model
