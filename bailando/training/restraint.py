"""What movement costs a finetuned dancer, so that a stronger beat is not more movement.

The rewards for the beat are for fast codes between two beats as much as for slow ones on them, and how much
more a policy moves for it depends on the pretrained GPT that it began as. The cost is therefore the
multiplier of the constraint that dances are as fast as the data (dual ascent; Boyd and Vandenberghe, Convex
Optimization, 2004, chapter 5): it rises while they are faster and falls while they are slower.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# A rollout that stands still says no more than one this much slower than the data.
_LEAST_RATIO = 0.1


class Restraint(nn.Module):
    """The cost of movement.

    Parameters
    ----------
    cost
        To begin with, in the value of a code for each relative speed (`code_values.code_speeds`).
    rate
        What a rollout that is faster than the data by a factor of e adds to it; 0: it stays.

    Attributes
    ----------
    cost : Tensor, float32 scalar
        As it is now; negative where movement has to be encouraged.
    """

    cost: Tensor

    def __init__(self, cost: float, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("cost", torch.tensor(cost))

    def follow(self, speed_ratio: float) -> None:
        """Move the cost after a rollout that was so many times as fast as the data."""
        self.cost += self.rate * math.log(max(speed_ratio, _LEAST_RATIO))
