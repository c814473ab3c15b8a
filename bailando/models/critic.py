"""The critic of actor-critic learning: what each step's state is worth.

Source: Siyao et al., Bailando, CVPR 2022, section 3.4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bailando.models.attention import TransformerBlock
from bailando.models.gpt import STREAMS, CrossConditionalGPT, GPTConfig, run_stream_blocks


class Critic(nn.Module):
    """Transformer blocks on the base state of a GPT, and a value of each half body.

    Parameters
    ----------
    config
        Of the GPT whose `CrossConditionalGPT.base_state` is judged.
    layers
        Number of blocks; 3 as published.
    """

    def __init__(self, config: GPTConfig, layers: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.heads, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.upper_value = nn.Linear(config.width, 1, bias=False)
        self.lower_value = nn.Linear(config.width, 1, bias=False)

    def forward(self, base_state: Tensor) -> Tensor:
        """Return the values ``[B, T]``, sums of both halves', of base states ``[B, 3 T, width]``."""
        hidden = self.norm(run_stream_blocks(self.blocks, base_state, self.config))
        _, upper, lower = hidden.unflatten(1, (len(STREAMS), -1)).unbind(1)
        value: Tensor = self.upper_value(upper) + self.lower_value(lower)
        return value.squeeze(-1)


def freeze_base(model: CrossConditionalGPT) -> None:
    """Stop gradients into all that the base state is computed by, as actor-critic learning does."""
    embeddings = [model.music_embedding, model.upper_embedding, model.lower_embedding]
    if model.style_embedding is not None:
        embeddings.append(model.style_embedding)
    for module in [*embeddings, *model.blocks[: model.config.base_layers]]:
        module.requires_grad_(False)
    model.stream_embedding.requires_grad_(False)


def td_errors(rewards: Tensor, values: Tensor, discount: float = 1.0) -> Tensor:
    """Return ``r_t + discount * v_{t+1} - v_t``, ``[B, T]``.

    Parameters
    ----------
    rewards : Tensor, ``[B, T]``
        Of the codes chosen at steps 0 ... T - 1.
    values : Tensor, ``[B, T + 1]``
        Of the states before each choice and after the last; the bootstrap carries no gradient.
    """
    return rewards + discount * values[:, 1:].detach() - values[:, :-1]


def generalised_advantages(errors: Tensor, decay: float) -> Tensor:
    """Return ``sum over k of decay^k * error_{t + k}``, ``[B, T]``: the sums of what is still to come.

    Of TD errors with ``decay = discount * trace`` it is generalised advantage estimation (Schulman et al.,
    ICLR 2016); of rewards with ``decay = discount``, the return.
    """
    sums = [errors[:, -1]]
    for column in errors[:, :-1].flip(1).unbind(1):
        sums.append(column + decay * sums[-1])
    return torch.stack(sums[::-1], dim=1)


def actor_loss(cross_entropy: Tensor, errors: Tensor) -> Tensor:
    """Return the mean of the chosen codes' cross-entropies weighted by the (constant) TD errors."""
    return torch.mean(cross_entropy * errors.detach())


def critic_loss(errors: Tensor) -> Tensor:
    """Return the mean squared TD error."""
    return errors.square().mean()
