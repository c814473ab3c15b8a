"""Positions on sequences longer than trained: ALiBi, rotary, sinusoidal and learned places.

A small cross-conditional GPT is trained on 32 tokens of repeating moves (a figure of 3 to 6 random codes,
over and over; music says nothing) and then run on 128. What it gets wrong by place in the sequence shows
what its positions are worth where it has never been: a figure goes on after token 32 as before it.

    python benchmarks/positions.py

One core, about a minute.
"""

from __future__ import annotations

import argparse
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from bailando.models.gpt import CrossConditionalGPT, GPTConfig, Positions

CODES = 16
TRAINED_TOKENS = 32
RUN_TOKENS = 128
MUSIC_DIM = 8
PARTS = ((8, 32), (32, 64), (64, 96), (96, 127))


def figures(count: int, tokens: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return upper and lower codes ``[count, tokens]``; the lower body does the same a token later."""
    lengths = torch.randint(3, 7, (count, 1), generator=generator)
    moves = torch.randint(CODES, (count, 6), generator=generator)
    place = torch.arange(tokens + 1)[None] % lengths
    danced = moves.gather(1, place)
    return danced[:, 1:], danced[:, :-1]


def loss(model: CrossConditionalGPT, count: int, tokens: int, generator: torch.Generator) -> Tensor:
    """Return the cross-entropy of both halves by place ``[tokens - 1]``, nats."""
    upper, lower = figures(count, tokens, generator)
    music = torch.randn(count, tokens, MUSIC_DIM, generator=generator)
    logits = model(music[:, :-1], upper[:, :-1], lower[:, :-1])
    halves = [
        F.cross_entropy(half.transpose(1, 2), codes[:, 1:], reduction="none").mean(dim=0)
        for half, codes in zip(logits, (upper, lower), strict=True)
    ]
    return (halves[0] + halves[1]) / 2


def measure(positions: Positions, steps: int, seed: int) -> list[float]:
    """Train with one kind of positions and return the loss in each of `PARTS`."""
    torch.manual_seed(seed)
    config = GPTConfig(
        codebook_size=CODES,
        music_dim=MUSIC_DIM,
        music_frames=1,
        width=64,
        heads=4,
        base_layers=1,
        head_layers=2,
        window=RUN_TOKENS - 1,
        positions=positions,
        dropout=0.0,
    )
    model = CrossConditionalGPT(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 20, 2 * (steps - step) / steps)
        optimiser.zero_grad()
        loss(model, 16, TRAINED_TOKENS, generator).mean().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        by_place = loss(model, 64, RUN_TOKENS, torch.Generator().manual_seed(99))
    return [float(by_place[first:last].mean()) for first, last in PARTS]


def main() -> None:
    """Print a table of losses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--positions", nargs="+", default=get_args(Positions), choices=get_args(Positions))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| positions |" + "".join(f" tokens {first} to {last} |" for first, last in PARTS))
    print("|---|" + "---|" * len(PARTS))
    for positions in arguments.positions:
        row = measure(positions, arguments.steps, arguments.seed)
        print(f"| {positions} |" + "".join(f" {value:.2f} |" for value in row), flush=True)


if __name__ == "__main__":
    main()
