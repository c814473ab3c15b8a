"""How far the pelvis has to jump between two codes that do not follow each other in the data.

A policy that is finetuned for the beat puts codes together that were danced far apart, standing after
crouching, and the decoder goes from one to the other as fast as it has to: the trunk bobs. Codes are
therefore charged for the height that is between the end of the last code and their own beginning, as
transitions in a motion graph are (Kovar, Gleicher and Pighin, "Motion graphs", SIGGRAPH 2002). Height alone,
for it is what the feet do not forgive.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bailando.training.code_values import Decoded
from bailando.training.rewards import FRAMES_PER_TOKEN

# Observations that pull a code's height to the mean, so that rare codes do not stand out by chance.
_RIDGE = 5.0
_PELVIS, _UP = 0, 1


def pelvis_jumps(decoded: Decoded, size: int) -> Tensor:
    """Return the height between the end of one lower code and the beginning of another, ``[K, K]``, metres.

    Row: the code before; column: the code after. Heights are the means over `decoded_motion`. Poses
    without a height (the published positions, whose root is the origin) give zeros.
    """
    heights, counts = torch.zeros(size, FRAMES_PER_TOKEN), torch.zeros(size, 1)
    for codes, danced in decoded:
        seen = danced.positions[0, :, _PELVIS, _UP].cpu().reshape(-1, FRAMES_PER_TOKEN)
        heights.index_add_(0, codes[1], seen)
        counts.index_add_(0, codes[1], torch.ones(len(seen), 1))
    mean = heights.sum(dim=0) / counts.sum()
    heights = (heights + _RIDGE * mean) / (counts + _RIDGE)
    return (heights[None, :, 0] - heights[:, None, -1]).abs()
