"""The step graphs of a dancer as flat torch modules: tensors in, tensors out, each with its name."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from bailando.engine.specs import TensorSpec
from bailando.errors import ExportError
from bailando.models.dancer_decoder import DancerDecoder
from bailando.models.gpt import CrossConditionalGPT
from bailando.models.residual import PoseResidual
from bailando.models.streaming import State
from bailando.models.vqvae import PoseVQVAE

ModuleType = TypeVar("ModuleType", bound=nn.Module)

_DTYPES = {torch.float32: "float32", torch.float16: "float16", torch.int64: "int64"}


@dataclass(frozen=True)
class StepGraph:
    """A module to export, with names for all it takes and gives.

    Parameters
    ----------
    name
        Of the graph in the manifest, for example ``gpt_step``.
    module
        Called with the inputs, then the state, in order; returns the outputs, then the next state.
    inputs, state
        Example tensors by name; the state's are the initial ones. Their shapes become the graph's.
    outputs
        Names of the outputs that are no state.
    free_batch
        Whether the graph shall take any number of dancers, along the first axis of all tensors, and not only
        that of the examples.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    state: State
    free_batch: bool = False

    @property
    def input_names(self) -> list[str]:
        """All inputs of the graph, state last."""
        return [*self.inputs, *self.state]

    @property
    def output_names(self) -> list[str]:
        """All outputs of the graph, next state last."""
        return [*self.outputs, *(f"next_{name}" for name in self.state)]

    def examples(self) -> tuple[Tensor, ...]:
        """Return all inputs to trace with: of two dancers where any number is meant, as one is constant."""
        examples = (*self.inputs.values(), *self.state.values())
        return tuple(torch.cat((value, value)) for value in examples) if self.free_batch else examples

    def call(self, inputs: dict[str, Tensor], state: State) -> tuple[dict[str, Tensor], State]:
        """Run the module once, by name and without gradients."""
        with torch.no_grad():
            results = self.module(
                *(inputs[name] for name in self.inputs), *(state[name] for name in self.state)
            )
        outputs = dict(zip(self.outputs, results, strict=False))
        return outputs, dict(zip(self.state, results[len(self.outputs) :], strict=True))

    def specs(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Return the manifest's descriptions of the inputs, outputs and state."""
        outputs, _ = self.call(self.inputs, self.state)
        return self._specs(self.inputs), self._specs(outputs), self._specs(self.state)

    def _specs(self, tensors: dict[str, Tensor]) -> tuple[TensorSpec, ...]:
        axis = 0 if self.free_batch else None
        return tuple(TensorSpec(name, _DTYPES[t.dtype], tuple(t.shape), axis) for name, t in tensors.items())


class _GPTStep(nn.Module):
    """`CrossConditionalGPT.step` with float32 music and logits, whatever the precision inside."""

    def __init__(self, gpt: CrossConditionalGPT, state_names: tuple[str, ...]) -> None:
        super().__init__()
        self.gpt = gpt
        self.state_names = state_names

    def forward(
        self, music: Tensor, upper_code: Tensor, lower_code: Tensor, style: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        named = dict(zip(self.state_names, state, strict=True))
        style_or_none = style if self.gpt.config.styles else None
        logits, after = self.gpt.step(
            music.to(self.gpt.norm.weight.dtype), upper_code, lower_code, style_or_none, named
        )
        return logits[0].float(), logits[1].float(), *(after[name] for name in self.state_names)


class _DecoderStep(nn.Module):
    """`DancerDecoder.step` with float32 poses, whatever the precision inside, and few state tensors.

    What the convolutions of one width remember lies in one tensor ``context_<channels>`` ``[B, R, C]``,
    layer after layer: each further tensor costs the engine more to bind than to compute with.
    """

    def __init__(self, decoder: DancerDecoder, state: State) -> None:
        super().__init__()
        self.decoder = decoder
        self.layouts: dict[str, dict[str, int]] = {}
        for name, context in state.items():
            layout = self.layouts.setdefault(f"context_{context.shape[2]}", {})
            layout[name] = context.shape[1]

    def pack(self, state: State) -> State:
        """Join the contexts of each width."""
        return {
            packed: torch.cat([state[name] for name in layout], dim=1)
            for packed, layout in self.layouts.items()
        }

    def _unpack(self, packed: tuple[Tensor, ...]) -> State:
        state: State = {}
        for layout, joined in zip(self.layouts.values(), packed, strict=True):
            state |= zip(layout, torch.split(joined, list(layout.values()), dim=1), strict=True)
        return state

    def forward(self, upper_code: Tensor, lower_code: Tensor, *packed: Tensor) -> tuple[Tensor, ...]:
        poses, after = self.decoder.step(upper_code, lower_code, self._unpack(packed))
        return poses[0].float(), poses[1].float(), *self.pack(after).values()


class _Encoder(nn.Module):
    """Both half bodies' encoders on poses of a fixed number of frames."""

    def __init__(self, upper: PoseVQVAE, lower: PoseVQVAE) -> None:
        super().__init__()
        self.upper = upper
        self.lower = lower

    def forward(self, upper_pose: Tensor, lower_pose: Tensor) -> tuple[Tensor, Tensor]:
        return self.upper.encode(upper_pose), self.lower.encode(lower_pose)


def gpt_step_graph(gpt: CrossConditionalGPT, batch: int | None = 1, *, half: bool = False) -> StepGraph:
    """Return the GPT step as a graph for `batch` dancers, None for any; `half` computes in float16."""
    model = _frozen(gpt, half)
    dancers = batch or 1
    state = model.initial_state(dancers, dtype=torch.float16 if half else torch.float32)
    code = torch.zeros(dancers, dtype=torch.int64)
    inputs = {
        "music": torch.zeros(dancers, gpt.config.music_dim),
        "upper_code": code,
        "lower_code": code.clone(),
        "style": code.clone(),
    }
    return StepGraph(
        name="gpt_step",
        module=_GPTStep(model, tuple(state)).eval(),
        inputs=inputs,
        outputs=("upper_logits", "lower_logits"),
        state=state,
        free_batch=batch is None,
    )


def decoder_step_graph(
    upper: PoseVQVAE,
    lower: PoseVQVAE,
    batch: int | None = 1,
    *,
    residual: PoseResidual | None = None,
    half: bool = False,
) -> StepGraph:
    """Return the streaming decoder as a graph for `batch` dancers, None for any; `half` computes in float16.

    With `residual` the residual codes that it expects are added to those given.

    Raises
    ------
    ExportError
        If a decoder is not causal: such a one has no step.
    """
    decoder = _frozen(DancerDecoder(upper, lower, residual), half)
    if decoder.timing.lookahead:
        raise ExportError(
            f"the decoder looks {decoder.timing.lookahead} tokens ahead and cannot stream: train it with "
            "decoder='causal'"
        )
    contexts = decoder.initial_state(batch or 1, dtype=torch.float16 if half else torch.float32)
    module = _DecoderStep(decoder, contexts).eval()
    state = module.pack(contexts)
    code = torch.zeros(batch or 1, dtype=torch.int64)
    return StepGraph(
        name="decoder_step",
        module=module,
        inputs={"upper_code": code, "lower_code": code.clone()},
        outputs=("upper_pose", "lower_pose"),
        state=state,
        free_batch=batch is None,
    )


def encoder_graph(upper: PoseVQVAE, lower: PoseVQVAE, frames: int, batch: int = 1) -> StepGraph:
    """Return the encoders as a stateless graph of `frames` frames, for start poses."""
    if frames < 1 or frames % upper.config.frames_per_code:
        raise ExportError(
            f"encoder frames are {frames}, expected a multiple of {upper.config.frames_per_code}"
        )
    return StepGraph(
        name="encoder",
        module=_Encoder(_frozen(upper, False), _frozen(lower, False)).eval(),
        inputs={
            "upper_pose": torch.zeros(batch, frames, upper.config.channels),
            "lower_pose": torch.zeros(batch, frames, lower.config.channels),
        },
        outputs=("upper_codes", "lower_codes"),
        state={},
    )


def round_weights(module: ModuleType) -> ModuleType:
    """Return a copy whose floating weights and buffers are what float16 can hold, still float32."""
    rounded = copy.deepcopy(module)
    with torch.no_grad():
        for tensor in (*rounded.parameters(), *rounded.buffers()):
            if tensor.is_floating_point() and tensor.dim() > 1:
                tensor.copy_(tensor.half().float())
    return rounded


def _frozen(module: ModuleType, half: bool) -> ModuleType:
    frozen = copy.deepcopy(module).eval().requires_grad_(False)
    return frozen.half() if half else frozen
