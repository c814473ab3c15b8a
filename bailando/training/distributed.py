"""Training in several processes under ``torchrun``: who we are, our share of a batch, sums over all.

Every process draws the same whole batch and works on its share of it, gradients are averaged by
DistributedDataParallel, and the codebooks' statistics are summed over all: so several processes on parts of a
batch do what one does on the whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from bailando.errors import ConfigError

LossFunction = Callable[[int, torch.Generator], dict[str, Tensor]]


def is_distributed() -> bool:
    """Whether this is one of several processes."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def rank() -> int:
    """Return the number of this process; 0 writes files."""
    return distributed.get_rank() if is_distributed() else 0


def process_count() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if is_distributed() else 1


@contextmanager
def process_group() -> Iterator[None]:
    """Join the other processes that ``torchrun`` started, if it did, for as long as the context lasts.

    GPUs talk by NCCL, processors by Gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def local_rank() -> int:
    """Return the number of this process on its machine, which is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def my_share(batch: Tensor) -> Tensor:
    """Return this process's part of a batch ``[B, ...]`` that all have drawn alike.

    Raises
    ------
    ConfigError
        If the batch cannot be shared evenly.
    """
    if not is_distributed():
        return batch
    count = process_count()
    if len(batch) % count:
        raise ConfigError(f"batch_size {len(batch)} cannot be shared by {count} processes: use a multiple")
    return batch.chunk(count)[rank()]


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes; itself if there is one. Gradients do not flow."""
    if not is_distributed():
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / process_count()


def broadcast_figures(figures: dict[str, float]) -> dict[str, float]:
    """Return what process 0 has."""
    if not is_distributed():
        return figures
    box: list[dict[str, float] | None] = [figures]
    distributed.broadcast_object_list(box, 0)
    return cast(dict[str, float], box[0])


def gather_random_states() -> list[tuple[Tensor, Tensor]]:
    """Return the states of torch's random generators (processor, GPU or empty) of each process, in order."""
    own = torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else torch.zeros(0)
    if not is_distributed():
        return [own]
    states: list[tuple[Tensor, Tensor] | None] = [None] * process_count()
    distributed.all_gather_object(states, own)
    return cast(list[tuple[Tensor, Tensor]], states)


def set_random_state(state: tuple[Tensor, Tensor]) -> None:
    """Set what `gather_random_states` gave for this process."""
    torch.set_rng_state(state[0])
    if len(state[1]) and torch.cuda.is_available():
        torch.cuda.set_rng_state(state[1])


class SharedLosses(nn.Module):
    """A stage's losses as a module's forward pass, which DistributedDataParallel can wrap.

    Parameters
    ----------
    model
        What is trained.
    losses
        ``losses(step, generator)`` of this process's share.
    """

    def __init__(self, model: nn.Module, losses: LossFunction) -> None:
        super().__init__()
        self.model = model
        self._losses = losses

    def forward(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a step."""
        return self._losses(step, generator)


def with_averaged_gradients(model: nn.Module, losses: LossFunction) -> LossFunction:
    """Return `losses` such that gradients are averaged over all processes; itself if there is one."""
    if not is_distributed():
        return losses
    # Buffers are alike without being sent: codebooks learn from sums over all.
    wrapped: LossFunction = DistributedDataParallel(SharedLosses(model, losses), broadcast_buffers=False)
    return wrapped
