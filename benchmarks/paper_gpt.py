"""A GPT of the published size, as the step graph with its cache and as the published recomputation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from measure import open_session
from onnx import numpy_helper
from torch import Tensor, nn

from bailando.export.graphs import StepGraph, gpt_step_graph
from bailando.export.onnx_export import export_onnx
from bailando.models.gpt import CrossConditionalGPT, GPTConfig

PUBLISHED_WINDOW = 28  # steps that the published model looks back; its block is one more
SIZES = {"paper": (768, 12, 6), "small": (256, 4, 2)}  # width, heads, layers of each half
_PRODUCTS = {"MatMul", "Gemm", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulNBits"}


def build(size: str, seed: int) -> CrossConditionalGPT:
    """Return the GPT with random weights: time does not depend on what was learnt."""
    width, heads, half = SIZES[size]
    torch.manual_seed(seed)
    config = GPTConfig(
        codebook_size=512,
        music_dim=438,
        music_frames=1,
        width=width,
        heads=heads,
        base_layers=half,
        head_layers=half,
        window=PUBLISHED_WINDOW,
        music_lead=1,
        styles=0,
    )
    return CrossConditionalGPT(config).eval().requires_grad_(False)


class Recompute(nn.Module):
    """The published way: all steps of the window anew for each token; the last step's logits count."""

    def __init__(self, gpt: CrossConditionalGPT) -> None:
        super().__init__()
        self.gpt = gpt

    def forward(self, music: Tensor, upper: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
        """Return both logits ``[1, codes]`` for music ``[1, T, 438]`` and codes ``[1, T]``."""
        upper_logits, lower_logits = self.gpt(music, upper, lower)
        return upper_logits[:, -1], lower_logits[:, -1]


def recompute_graph(gpt: CrossConditionalGPT) -> StepGraph:
    """Return `Recompute` over the published window as a graph without state."""
    codes = torch.zeros(1, PUBLISHED_WINDOW, dtype=torch.int64)
    music = torch.zeros(1, PUBLISHED_WINDOW, gpt.config.music_dim)
    return StepGraph(
        name="gpt_recompute",
        module=Recompute(gpt).eval(),
        inputs={"music": music, "upper_codes": codes, "lower_codes": codes.clone()},
        outputs=("upper_logits", "lower_logits"),
        state={},
    )


def exported(gpt: CrossConditionalGPT, folder: Path) -> dict[str, onnx.ModelProto]:
    """Return the graphs ``cached`` and ``recomputed``, from `folder` if it has them."""
    graphs = {"cached": gpt_step_graph, "recomputed": recompute_graph}
    models = {}
    for name, graph in graphs.items():
        path = folder / f"{name}_{gpt.config.width}.onnx"
        if not path.exists():
            onnx.save(export_onnx(graph(gpt)), path)
        models[name] = onnx.load(path)
    return models


def largest_difference(gpt: CrossConditionalGPT, seed: int) -> float:
    """Return how far cached and recomputed logits lie apart at most, over one window of steps."""
    random = torch.Generator().manual_seed(seed)
    music = torch.randn(1, PUBLISHED_WINDOW, gpt.config.music_dim, generator=random)
    upper, lower = torch.randint(0, 512, (2, 1, PUBLISHED_WINDOW), generator=random)
    expected = gpt(music, upper, lower)
    state, largest = gpt.initial_state(1), 0.0
    for step in range(PUBLISHED_WINDOW):
        logits, state = gpt.step(music[:, step], upper[:, step], lower[:, step], None, state)
        for got, reference in zip(logits, expected, strict=True):
            largest = max(largest, float((got - reference[:, step]).abs().max()))
    return largest


def bound(model: onnx.ModelProto, seed: int) -> Callable[[], object]:
    """Return a function that takes one step with bound buffers; a cache goes back and forth between two."""
    session = open_session(model.SerializeToString())
    random = np.random.default_rng(seed)
    types = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    outputs = [output.name for output in session.get_outputs()]
    values, spare = {}, {}
    for tensor in session.get_inputs():
        kind = types[tensor.type]
        full = random.standard_normal(tensor.shape) if kind is np.float32 else np.full(tensor.shape, 5)
        full = np.full(tensor.shape, PUBLISHED_WINDOW) if tensor.name == "steps_taken" else full
        values[tensor.name] = ort.OrtValue.ortvalue_from_numpy(full.astype(kind))
        if f"next_{tensor.name}" in outputs:
            spare[tensor.name] = ort.OrtValue.ortvalue_from_numpy(np.zeros(tensor.shape, kind))
    bindings = []
    for _ in range(2):
        binding = session.io_binding()
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            if name.startswith("next_"):
                binding.bind_ortvalue_output(name, spare[name.removeprefix("next_")])
            else:
                binding.bind_output(name, "cpu")
        bindings.append(binding)
        swapped = {name: values[name] for name in spare}
        values, spare = {**values, **spare}, swapped

    def step() -> None:
        session.run_with_iobinding(bindings[0])
        bindings.reverse()

    return step


def weight_bytes(model: onnx.ModelProto) -> int:
    """Return the bytes of constants that the products of one step read."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    used = {n for node in model.graph.node if node.op_type in _PRODUCTS for n in node.input if n in constants}
    return sum(numpy_helper.to_array(constants[name]).nbytes for name in used)
