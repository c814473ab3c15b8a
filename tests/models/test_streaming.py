"""Streaming convolutions keep the streaming contract; two-sided ones only run offline."""

from __future__ import annotations

import pytest
import torch
from contract import CHECKS, measured_lookahead, module_unit

from bailando.errors import ConfigError
from bailando.models.streaming import (
    ResidualBlock,
    StreamingConv1d,
    StreamingConvTranspose1d,
    StreamingModule,
    StreamingStack,
    Timing,
)

CHANNELS = 3

MODULES = {
    "pointwise": lambda padding: StreamingConv1d(CHANNELS, 4, 1, padding=padding),
    "dilated": lambda padding: StreamingConv1d(CHANNELS, 4, 3, dilation=9, padding=padding),
    "strided": lambda padding: StreamingConv1d(CHANNELS, 4, 4, stride=2, padding=padding),
    "transposed": lambda padding: StreamingConvTranspose1d(CHANNELS, 4, padding=padding),
    "residual": lambda padding: ResidualBlock(CHANNELS, 3, padding=padding),
    "down and up": lambda padding: StreamingStack(
        [
            StreamingConv1d(CHANNELS, 4, 4, stride=2, padding=padding),
            ResidualBlock(4, 3, padding=padding),
            StreamingConvTranspose1d(4, 4, padding=padding),
            StreamingConvTranspose1d(4, 2, padding=padding),
        ]
    ),
}


def build(name: str, padding: str) -> StreamingModule:
    torch.manual_seed(1)
    module: StreamingModule = MODULES[name](padding)
    return module.double().requires_grad_(False)


def sequence(steps: int = 48) -> torch.Tensor:
    return torch.randn(2, steps, CHANNELS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", MODULES)
def test_causal_modules_keep_the_streaming_contract(name: str, check: str) -> None:
    module = build(name, "causal").float()
    CHECKS[check](module_unit(module, sequence().float()))


@pytest.mark.parametrize("name", MODULES)
def test_a_two_sided_module_looks_ahead_no_further_than_declared(name: str) -> None:
    module = build(name, "two_sided")
    unit = module_unit(module, sequence())
    # A composed timing may be an upper bound: a stack's calls need not align with its layers'.
    assert 0 <= unit.lookahead - measured_lookahead(unit) <= (2 if name == "down and up" else 0)


def test_a_two_sided_module_refuses_to_stream() -> None:
    module = build("dilated", "two_sided")
    with pytest.raises(ConfigError, match="cannot stream"):
        module.step(sequence(), module.initial_state(2))


def test_timings_compose_in_input_steps() -> None:
    halving, doubling = Timing(2, 1, 1), Timing(1, 2, 1)
    assert halving.then(doubling) == Timing(2, 2, 3)
    assert doubling.then(halving) == Timing(1, 1, 2)


def test_a_causal_transposed_convolution_follows_its_equation() -> None:
    module = StreamingConvTranspose1d(1, 1)
    x = torch.tensor([2.0, 3.0, 5.0])
    w, bias = module.conv.weight.detach().flatten(), module.conv.bias.detach()
    expected = []
    previous = 0.0
    for value in x:
        expected += [value * w[0] + previous * w[2], value * w[1] + previous * w[3]]
        previous = value
    output = module(x.reshape(1, 3, 1)).detach().flatten()
    torch.testing.assert_close(output, torch.stack(expected) + bias)
