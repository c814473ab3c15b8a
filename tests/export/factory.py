"""A dancer so small that it exports in seconds."""

from __future__ import annotations

import torch

from bailando.engine.groove import GrooveSpec
from bailando.models.checkpoint import DancerCheckpoint, Provenance
from bailando.models.code_movement import CodeMovement, CodeMovementConfig
from bailando.models.gpt import CrossConditionalGPT, GPTConfig
from bailando.models.residual import PoseResidual, PoseResidualConfig
from bailando.models.vqvae import PoseVQVAE, PoseVQVAEConfig
from bailando.motion.skeleton import Skeleton
from bailando.music.features import FeatureSpec

CODES = 16
WINDOW = 6


def small_checkpoint(seed: int = 0) -> DancerCheckpoint:
    """Random weights, logits spread enough that greedy codes are clear."""
    torch.manual_seed(seed)
    features = FeatureSpec()
    gpt = CrossConditionalGPT(
        GPTConfig(
            codebook_size=CODES,
            music_dim=8 * features.frame_dim,
            width=32,
            heads=2,
            base_layers=1,
            head_layers=1,
            window=WINDOW,
            styles=2,
        )
    ).eval()
    halves = []
    for channels, probabilities in ((90, 0), (62, 4)):
        config = PoseVQVAEConfig(
            channels=channels,
            width=8,
            codebook_size=CODES,
            code_dim=4,
            dilations=(1,),
            probability_channels=probabilities,
        )
        half = PoseVQVAE(config).eval()
        half.codebook.fill(torch.randn(CODES, 4))
        halves.append(half)
    sizes = PoseResidualConfig(books=2, codes=6, width=12, dilations=(1, 2))
    residual = PoseResidual(sizes, halves[0].config, halves[1].config).eval()
    residual.begin_as(halves)
    for half in residual.halves:
        for book in half.codebooks:
            book.fill(torch.randn(6, 4))
    with torch.no_grad():
        for parameter in gpt.parameters():
            # Untouched layer norms and biases would leave half of the graph untested.
            parameter += 0.1 * torch.randn_like(parameter)
        gpt.upper_head.weight *= 10
        gpt.lower_head.weight *= 10
    movement = CodeMovement(CodeMovementConfig(CODES, 90 + 62, hidden=12, factors=4)).eval()
    torch.nn.init.normal_(movement.factors.weight)
    torch.nn.init.normal_(movement.of_code)
    return DancerCheckpoint(
        upper_vqvae=halves[0],
        lower_vqvae=halves[1],
        gpt=gpt,
        features=features.to_dict(),
        skeleton=Skeleton.default().to_dict(),
        styles=("open", "salsa"),
        style_shares=(0.25, 0.75),
        start_codes=((1, 2), (3, 4)),
        provenance=Provenance(
            "small", "for tests", "MIT", ({"name": "noise", "licence": "CC0-1.0", "credit": "a generator"},)
        ),
        sampling={"temperature": 1.0, "top_k": 0, "top_p": 1.0},
        residual=residual,
        movement=movement,
        groove=GrooveSpec(strength=5.0, restraint=0.25, lead_frames=2.0, sure=0.5),
    )
