"""Streaming convolutions: the same weights run offline on a whole sequence or step by step.

Every module takes and gives ``[batch, time, channel]`` and declares its `Timing`. In ``causal``
padding, `step` carries the last inputs in an explicit state (zeros at the start, as the zero padding of
the offline pass), so that stepping equals `forward`. ``two_sided`` padding is the published models' and
runs offline only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bailando.errors import ConfigError

State = dict[str, Tensor]
Padding = Literal["causal", "two_sided"]
PADDINGS: tuple[Padding, ...] = ("causal", "two_sided")


@dataclass(frozen=True)
class Timing:
    """How a streaming unit relates its output steps to its input steps.

    Parameters
    ----------
    input_steps, output_steps
        Time steps that one call of ``step`` takes and gives (or a multiple of both).
    lookahead
        Input steps after the end of a call's input that its output depends on; 0 when causal.
    """

    input_steps: int = 1
    output_steps: int = 1
    lookahead: int = 0

    def then(self, other: Timing) -> Timing:
        """Return the timing of this unit followed by `other`."""
        joint_steps = math.lcm(self.output_steps, other.input_steps)
        extra = math.ceil(other.lookahead * self.input_steps / self.output_steps)
        return Timing(
            input_steps=self.input_steps * joint_steps // self.output_steps,
            output_steps=other.output_steps * joint_steps // other.input_steps,
            lookahead=self.lookahead + extra,
        )


class StreamingModule(nn.Module):
    """Protocol of a module ``[batch, time, channel] -> [batch, time, channel]`` that can stream."""

    @property
    def timing(self) -> Timing:
        """Steps per call and look-ahead."""
        raise NotImplementedError

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return the zero state for `batch` independent streams, batch first."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Process the next inputs (a multiple of ``timing.input_steps``) and return the new state."""
        raise NotImplementedError


def _refuse_two_sided(module: nn.Module) -> None:
    raise ConfigError(
        f"{type(module).__name__} has two-sided padding and cannot stream; use padding='causal' or forward()"
    )


def _windows(x: Tensor, steps: list[int], width: int) -> Tensor:
    """Return the chosen steps of ``[B, T, C]``, `width` of them to a row: ``[B * n, width * C]``.

    A convolution of few steps is a product of such rows with the weights. Runtimes pack constant weights for
    products when they load, but for convolutions at each step, which costs more than the arithmetic.
    """
    if steps == list(range(x.shape[1])):
        return x.reshape(-1, width * x.shape[2])
    chosen = torch.index_select(x, 1, torch.tensor(steps, device=x.device))
    return chosen.reshape(-1, width * x.shape[2])


class StreamingConv1d(StreamingModule):
    """Zero-padded convolution, dilated or strided.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, dilation
        As in `torch.nn.Conv1d`; the output has ``time / stride`` steps.
    padding
        ``causal``: output n ends at input ``stride * n + stride - 1``; ``two_sided``: centred.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding = "causal",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride=stride, dilation=dilation)
        self.stride = stride
        self.padding = padding
        total = (kernel_size - 1) * dilation - (stride - 1)
        self.right = 0 if padding == "causal" else total // 2
        self.left = total - self.right

    @property
    def timing(self) -> Timing:
        """One output per `stride` inputs."""
        return Timing(self.stride, 1, self.right)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a whole sequence, zeros outside it."""
        padded = F.pad(x.transpose(1, 2), (self.left, self.right))
        return cast(Tensor, self.conv(padded)).transpose(1, 2)

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return ``context``, the inputs before the first; empty for a kernel of one."""
        if self.left == 0:
            return {}
        return {"context": torch.zeros(batch, self.left, self.conv.in_channels, device=device, dtype=dtype)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Convolve the next ``n * stride`` inputs into n outputs."""
        rows, state = self.step_rows(x, state)
        return rows.reshape(-1, x.shape[1] // self.stride, rows.shape[1]), state

    def step_rows(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """As `step`, with all outputs in one matrix ``[B * n, C]``."""
        if self.right:
            _refuse_two_sided(self)
        joined = torch.cat((state["context"], x), dim=1) if self.left else x
        kernel, dilation = self.conv.kernel_size[0], self.conv.dilation[0]
        starts = range(0, x.shape[1], self.stride)
        rows = _windows(joined, [start + tap * dilation for start in starts for tap in range(kernel)], kernel)
        return self.product(rows), {"context": joined[:, -self.left :]} if self.left else {}

    def product(self, rows: Tensor) -> Tensor:
        """Apply the weights to rows ``[N, taps * C]`` of inputs, oldest first."""
        weight = self.conv.weight.permute(2, 1, 0).flatten(0, 1)
        return torch.matmul(rows, weight) + cast(Tensor, self.conv.bias)


class StreamingConvTranspose1d(StreamingModule):
    """Transposed convolution of kernel 4 and stride 2: two outputs per input.

    Causal: outputs 2n and 2n + 1 see inputs n - 1 and n (the two outputs past the end are cropped).
    Two-sided: one output is cropped on each side, so that output 2n + 1 sees input n + 1.
    """

    KERNEL_SIZE = 4
    STRIDE = 2

    def __init__(self, in_channels: int, out_channels: int, *, padding: Padding = "causal") -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(in_channels, out_channels, self.KERNEL_SIZE, stride=self.STRIDE)
        self.padding = padding

    @property
    def timing(self) -> Timing:
        """Two outputs per input."""
        return Timing(1, self.STRIDE, 0 if self.padding == "causal" else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample a whole sequence to twice its length."""
        y = cast(Tensor, self.conv(x.transpose(1, 2))).transpose(1, 2)
        return y[:, :-2] if self.padding == "causal" else y[:, 1:-1]

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return ``context``, the input before the first."""
        return {"context": torch.zeros(batch, 1, self.conv.in_channels, device=device, dtype=dtype)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Upsample the next n inputs into 2n outputs."""
        if self.padding != "causal":
            _refuse_two_sided(self)
        joined = torch.cat((state["context"], x), dim=1)
        steps = x.shape[1]
        rows = _windows(joined, [step + tap for step in range(steps) for tap in range(2)], 2)
        # Outputs 2n and 2n + 1 take taps 2 and 3 of input n - 1, taps 0 and 1 of input n.
        taps = self.conv.weight.permute(2, 0, 1)
        weight = torch.cat((torch.cat((taps[2], taps[3]), dim=1), torch.cat((taps[0], taps[1]), dim=1)))
        bias = cast(Tensor, self.conv.bias).repeat(2)
        y = (torch.matmul(rows, weight) + bias).reshape(-1, 2 * steps, taps.shape[2])
        return y, {"context": joined[:, -1:]}


class ResidualBlock(StreamingModule):
    """``x + Conv1(ReLU(Conv3_dilated(ReLU(x))))`` at constant width."""

    def __init__(self, width: int, dilation: int, *, padding: Padding = "causal") -> None:
        super().__init__()
        self.dilated = StreamingConv1d(width, width, 3, dilation=dilation, padding=padding)
        self.pointwise = StreamingConv1d(width, width, 1, padding=padding)

    @property
    def timing(self) -> Timing:
        """As the dilated convolution."""
        return self.dilated.timing

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to a whole sequence."""
        return x + cast(Tensor, self.pointwise(F.relu(self.dilated(F.relu(x)))))

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return the dilated convolution's context."""
        return self.dilated.initial_state(batch, device, dtype)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Apply the block to the next inputs."""
        hidden, state = self.dilated.step_rows(F.relu(x), state)
        return x + self.pointwise.product(F.relu(hidden)).reshape(x.shape), state


class StreamingStack(StreamingModule):
    """Streaming modules one after the other; layer n's state keys are prefixed ``layer<n>_``."""

    def __init__(self, layers: Iterable[StreamingModule]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def _named_layers(self) -> Iterable[tuple[str, StreamingModule]]:
        return ((f"layer{i}", cast(StreamingModule, layer)) for i, layer in enumerate(self.layers))

    @property
    def timing(self) -> Timing:
        """The layers' timings, composed."""
        timing = Timing()
        for _, layer in self._named_layers():
            timing = timing.then(layer.timing)
        return timing

    def forward(self, x: Tensor) -> Tensor:
        """Apply all layers to a whole sequence."""
        for layer in self.layers:
            x = layer(x)
        return x

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return all layers' zero states, prefixed."""
        state: State = {}
        for name, layer in self._named_layers():
            state |= with_prefix(name, layer.initial_state(batch, device, dtype))
        return state

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Apply all layers to the next inputs."""
        next_state: State = {}
        for name, layer in self._named_layers():
            x, layer_state = layer.step(x, without_prefix(name, state))
            next_state |= with_prefix(name, layer_state)
        return x, next_state


def with_prefix(name: str, state: State) -> State:
    """Return `state` with ``<name>_`` before each key."""
    return {f"{name}_{key}": value for key, value in state.items()}


def without_prefix(name: str, state: State) -> State:
    """Return the entries of `state` under ``<name>_``, the prefix taken off."""
    prefix = f"{name}_"
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
