"""Backend ``torch``: the modules of a checkpoint dance themselves, as the reference for every other backend.

Slower than ONNX Runtime and never part of the deployed path; it needs no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bailando.engine.backends import Arrays, step_each
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer
from bailando.engine.specs import GraphSpec
from bailando.engine.watchdog import WatchedBackend
from bailando.export.critic import critic_files
from bailando.export.describe import describe
from bailando.export.graphs import StepGraph, decoder_step_graph, gpt_step_graph
from bailando.models.checkpoint import DancerCheckpoint, load_checkpoint
from bailando.models.streaming import State

TORCH_BACKEND = "torch"
_OPSET_OF_NO_GRAPH = 13  # the manifest wants one; nothing is exported


class TorchBackend:
    """Runs step modules in torch on the CPU; see `bailando.engine.backends.Backend`.

    Parameters
    ----------
    graphs : mapping of str to StepGraph
        By name; for one dancer.
    """

    name = TORCH_BACKEND
    reason = "asked for torch, the reference"

    def __init__(self, graphs: Mapping[str, StepGraph]) -> None:
        self._graphs = dict(graphs)

    def initial_state(self, graph: str) -> State:
        """Return a state of zeros for one session."""
        return {name: value.clone() for name, value in self._graphs[graph].state.items()}

    def step(self, graph: str, inputs: Mapping[str, NDArray[Any]], state: State) -> tuple[Arrays, State]:
        """Run one step; the passed state stays as it is."""
        examples = self._graphs[graph].inputs
        given = {name: _tensor(inputs[name], like) for name, like in examples.items()}
        outputs, after = self._graphs[graph].call(given, state)
        return {name: np.array(value.numpy()) for name, value in outputs.items()}, after

    def step_many(
        self, graph: str, inputs: Mapping[str, NDArray[Any]], states: Sequence[State]
    ) -> tuple[Arrays, list[State]]:
        """Run one step of several sessions, one after another."""
        return step_each(self, graph, inputs, states)

    def read_state(self, graph: str, state: State) -> Arrays:
        """Copy a state to host arrays."""
        return {name: np.array(state[name].numpy()) for name in self._graphs[graph].state}

    def write_state(self, graph: str, arrays: Mapping[str, NDArray[Any]]) -> State:
        """Make a state from host arrays, copying them."""
        return {name: _tensor(arrays[name], like) for name, like in self._graphs[graph].state.items()}


def open_checkpoint(path: str | Path, threads: int = 1, watch: bool = False) -> Dancer:
    """Return the dancer of a checkpoint, danced by torch.

    Parameters
    ----------
    path : str or Path
        ``.pt`` file that training saved.
    threads : int
        Threads of torch in this process.
    watch : bool
        Start the backend anew when it hangs or fails.

    Raises
    ------
    InputError
        If the file is no checkpoint.
    ExportError
        If it is inconsistent, or its decoder cannot stream.
    """
    torch.set_num_threads(threads)
    checkpoint = load_checkpoint(path)
    graphs = step_graphs(checkpoint)
    specs = {name: _spec(graph) for name, graph in graphs.items()}
    bundle = Bundle(Path(path), describe(checkpoint, specs, (), {}), critic_files(checkpoint))
    backend = TorchBackend(graphs)
    if not watch:
        return Dancer(bundle, backend)
    return Dancer(bundle, WatchedBackend(backend, lambda: TorchBackend(graphs)))


def step_graphs(checkpoint: DancerCheckpoint) -> dict[str, StepGraph]:
    """Return the step modules of a checkpoint for one dancer."""
    return {
        "gpt_step": gpt_step_graph(checkpoint.gpt),
        "decoder_step": decoder_step_graph(
            checkpoint.upper_vqvae, checkpoint.lower_vqvae, residual=checkpoint.residual
        ),
    }


def _spec(graph: StepGraph) -> GraphSpec:
    inputs, outputs, state = graph.specs()
    return GraphSpec(f"{graph.name}.onnx", _OPSET_OF_NO_GRAPH, "fp32", inputs, outputs, state)


def _tensor(array: NDArray[Any], like: Tensor) -> Tensor:
    """Return a copy of an array with the type and shape of another tensor."""
    return torch.tensor(array, dtype=like.dtype).reshape(like.shape)
