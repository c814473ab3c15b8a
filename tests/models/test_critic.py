"""The critic and the music transformer by themselves (published values: tests/export/test_official.py)."""

from __future__ import annotations

import pytest
import torch

from bailando.errors import ConfigError
from bailando.models.critic import (
    Critic,
    actor_loss,
    critic_loss,
    freeze_base,
    generalised_advantages,
    td_errors,
)
from bailando.models.gpt import CrossConditionalGPT, GPTConfig
from bailando.models.music_context import MusicContext, MusicContextConfig

CONFIG = GPTConfig(codebook_size=7, music_dim=8, width=16, heads=2, base_layers=1, head_layers=1, window=4)
CONTEXT = MusicContextConfig(features=3, width=8, heads=2, layers=1, reach=10, padding_tokens=1)


def inputs(steps: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 7, (2, 2, steps), generator=generator)
    return torch.randn(2, steps, 8, generator=generator), codes[0], codes[1]


def test_the_critic_is_causal() -> None:
    torch.manual_seed(0)
    model, critic = CrossConditionalGPT(CONFIG).eval(), Critic(CONFIG, layers=2).eval()
    music, upper, lower = inputs()
    value = critic(model.base_state(music, upper, lower))
    music[:, 3] += 1.0
    difference = (critic(model.base_state(music, upper, lower)) - value).abs()
    assert value.shape == (2, 6)
    assert difference[:, :3].max() < 1e-6
    assert difference[:, 3].min() > 1e-5


def test_freezing_the_base_leaves_gradients_to_the_head_only() -> None:
    torch.manual_seed(0)
    model = CrossConditionalGPT(CONFIG)
    freeze_base(model)
    sum(half.square().mean() for half in model(*inputs())).backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert "blocks.1.mlp.0.weight" in trained
    assert "upper_head.weight" in trained
    assert not any(name.startswith(("blocks.0", "music", "stream", "style")) for name in trained)
    assert not any("embedding" in name for name in trained)


def test_td_errors_follow_their_equation_and_bootstrap_without_gradient() -> None:
    rewards = torch.tensor([[1.0, 2.0]])
    values = torch.tensor([[0.5, 0.25, 4.0]], requires_grad=True)
    errors = td_errors(rewards, values, discount=0.5)
    assert errors.tolist() == [[1.0 + 0.125 - 0.5, 2.0 + 2.0 - 0.25]]
    errors.sum().backward()
    assert values.grad.tolist() == [[-1.0, -1.0, 0.0]]


def test_the_actor_learns_from_the_errors_without_changing_the_critic() -> None:
    cross_entropy = torch.tensor([1.0, 3.0], requires_grad=True)
    errors = torch.tensor([2.0, -4.0], requires_grad=True)
    loss = actor_loss(cross_entropy, errors)
    assert loss.item() == -5.0
    loss.backward()
    assert cross_entropy.grad.tolist() == [1.0, -2.0]
    assert errors.grad is None


def test_the_critic_loss_is_the_mean_square() -> None:
    assert critic_loss(torch.tensor([3.0, -1.0])).item() == 5.0


def test_the_music_transformer_looks_no_further_than_its_reach() -> None:
    torch.manual_seed(0)
    model = MusicContext(CONTEXT).eval()
    music = torch.randn(1, 6 * 8, 3)
    output = model(music)
    changed = music.clone()
    changed[:, 40:] += 1.0
    difference = (model(changed) - output).abs().amax(dim=(0, 2))
    # Output n is of frames 8 (n + 1) ... 8 (n + 1) + 7, and sees ten frames past them.
    assert output.shape == (1, 4, 8)
    assert difference[:2].max() == 0.0
    assert difference[2:].min() > 1e-4


def test_music_of_padding_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="pad it"):
        MusicContext(CONTEXT)(torch.zeros(1, 16, 3))


def test_generalised_advantages_are_decayed_sums_of_what_is_to_come() -> None:
    sums = generalised_advantages(torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]]), 0.5)
    assert sums.tolist() == [[3.0, 4.0, 4.0], [0.25, 0.5, 1.0]]
