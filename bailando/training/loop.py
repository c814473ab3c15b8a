"""The loop that all stages share: schedule, mixed precision, clipping, skipped steps, checkpoints, log."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from bailando.errors import BailandoError, ConfigError, InputError
from bailando.training.config import TrainConfig
from bailando.training.distributed import (
    broadcast_figures,
    gather_random_states,
    is_distributed,
    local_rank,
    mean_over_processes,
    rank,
    set_random_state,
    with_averaged_gradients,
)
from bailando.training.optimiser_config import OptimiserConfig

logger = logging.getLogger(__name__)
_RANK_SEED = 7919


class TrainingError(BailandoError):
    """Training that cannot go on: it diverged."""


class Stage(Protocol):
    """What the loop needs of a stage."""

    name: str
    optimiser: OptimiserConfig
    evaluate_every: int
    save_every: int
    patience: int

    @property
    def model(self) -> nn.Module:
        """All that is trained and saved."""
        ...

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the batch of a step with `generator` and return named scalars, ``total`` among them."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Return held-out figures, ``score`` among them: lower is better. Uses no chance.

        Empty while there is nothing to judge yet.
        """
        ...


def pick_device(config: TrainConfig) -> torch.device:
    """Return the configured device; ``auto`` is the GPU if there is one."""
    if config.device == "auto":
        return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch finds no GPU: use device cpu or auto")
    return torch.device(config.device)


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Return the mixed-precision context; ``auto`` means bfloat16 where the device has units for it."""
    native = (
        torch.cuda.is_bf16_supported() if device.type == "cuda" else bool(torch.cpu._is_amx_tile_supported())
    )
    enabled = config.autocast == "bfloat16" or (config.autocast == "auto" and native)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def learning_rate(config: OptimiserConfig, step: int) -> float:
    """Return the rate of step 0, 1, ...: linear warm-up, then a cosine down to ``final_rate``."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * (config.final_rate + (1 - config.final_rate) * cosine)


class Trainer:
    """Runs one stage in a run folder, from its last checkpoint if there is one.

    Under ``torchrun`` each process trains on its share of every batch, and process 0 evaluates and writes.

    ``<stage>.last.pt`` holds everything needed to go on bit for bit, ``<stage>.best.pt`` the weights
    of the best evaluation, ``<stage>.jsonl`` one line per evaluation.

    Parameters
    ----------
    stage
        What to train.
    run_folder
        Where its files go.
    seed
        Of batches, dropout and noise.
    """

    def __init__(self, stage: Stage, run_folder: Path, seed: int) -> None:
        self.stage = stage
        self.run_folder = run_folder
        self.step = 0
        self.skipped = 0
        self.best = math.inf
        self.evaluations_since_best = 0
        decayed = [p for p in stage.model.parameters() if p.requires_grad and p.dim() >= 2]
        others = [p for p in stage.model.parameters() if p.requires_grad and p.dim() < 2]
        config = stage.optimiser
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
        )
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed + _RANK_SEED * rank())
        self._losses = with_averaged_gradients(stage.model, stage.losses)
        run_folder.mkdir(parents=True, exist_ok=True)
        if self._path("last").is_file():
            self._restore(_load(self._path("last")))

    def run(self, until: int | None = None) -> None:
        """Train to the end of the stage, or to step `until`.

        Raises
        ------
        TrainingError
            If too many steps were not finite.
        """
        config = self.stage.optimiser
        last = config.steps if until is None else min(until, config.steps)
        progress = tqdm(
            total=config.steps, initial=self.step, desc=self.stage.name, unit="step", disable=rank() > 0
        )
        self.stage.model.train()
        while self.step < last and not self.stopped_early:
            losses = self._train_step()
            progress.update()
            progress.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
            if self.step % self.stage.evaluate_every == 0 or self.step == config.steps:
                self._evaluate(losses)
            if self.step % self.stage.save_every == 0 or self.step == last:
                self.save()
        progress.close()

    @property
    def stopped_early(self) -> bool:
        """Whether the held-out score has not improved for the stage's patience."""
        return bool(self.stage.patience) and self.evaluations_since_best >= self.stage.patience

    def _train_step(self) -> dict[str, float]:
        config = self.stage.optimiser
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, self.step)
        losses = self._losses(self.step, self.generator)
        self.optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.stage.model.parameters(), config.clip_norm)
        figures = _figures(losses)
        if math.isfinite(figures["total"]) and bool(torch.isfinite(norm)):
            self.optimiser.step()
        else:
            self._skip()
        self.step += 1
        return figures | {"gradient_norm": float(norm)}

    def _skip(self) -> None:
        self.skipped += 1
        logger.warning("%s: step %d was not finite and is skipped", self.stage.name, self.step)
        if self.skipped > self.stage.optimiser.max_skipped_steps:
            raise TrainingError(
                f"{self.stage.name}: {self.skipped} steps were not finite by step {self.step}: "
                "lower the learning rate or check the data"
            )

    def _evaluate(self, losses: Mapping[str, float]) -> None:
        figures = broadcast_figures(self._judge() if rank() == 0 else {})
        self.evaluations_since_best += bool(figures)
        if figures and figures["score"] < self.best:
            self.best = figures["score"]
            self.evaluations_since_best = 0
        if rank() > 0:
            return
        rate = self.optimiser.param_groups[0]["lr"]
        line = {"step": self.step, "learning_rate": rate, "skipped": self.skipped, **losses}
        line |= {f"held_out_{name}": value for name, value in figures.items()}
        with (self.run_folder / f"{self.stage.name}.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        tqdm.write(f"{self.stage.name} {self.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))

    def _judge(self) -> dict[str, float]:
        """Return the held-out figures; the best weights are written before other processes hear of them."""
        self.stage.model.eval()
        with torch.no_grad():
            figures = self.stage.evaluate()
        self.stage.model.train()
        if figures and figures["score"] < self.best:
            _save(self._path("best"), {"model": self.stage.model.state_dict(), "step": self.step, **figures})
        return figures

    def save(self) -> None:
        """Write ``<stage>.last.pt``."""
        states = gather_random_states()
        if rank() > 0:
            return
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        _save(
            self._path("last"),
            {
                "model": self.stage.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "generator": self.generator.get_state(),
                "torch_rng": torch.get_rng_state(),
                "cuda_rng": cuda,
                "other_processes_rng": states[1:],
                "step": self.step,
                "skipped": self.skipped,
                "best": self.best,
                "evaluations_since_best": self.evaluations_since_best,
            },
        )

    def _restore(self, content: Mapping[str, Any]) -> None:
        try:
            self.stage.model.load_state_dict(content["model"])
            self.optimiser.load_state_dict(content["optimiser"])
        except (RuntimeError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"{self._path('last')} is of another configuration ({reason}): use another run folder"
            ) from None
        self.generator.set_state(content["generator"])
        torch.set_rng_state(content["torch_rng"])
        if content["cuda_rng"] and torch.cuda.is_available() and not is_distributed():
            torch.cuda.set_rng_state_all(content["cuda_rng"])
        self._restore_process(content)
        self.step = content["step"]
        self.skipped = content["skipped"]
        self.best = content["best"]
        self.evaluations_since_best = content["evaluations_since_best"]

    def _restore_process(self, content: Mapping[str, Any]) -> None:
        """Give each of several processes the random states that it had, if it was there."""
        if not is_distributed():
            return
        first = content["torch_rng"], content["cuda_rng"][0] if content["cuda_rng"] else torch.zeros(0)
        states = [first, *content.get("other_processes_rng", [])]
        if rank() < len(states):
            set_random_state(states[rank()])
        else:
            torch.manual_seed(self.generator.initial_seed() + _RANK_SEED * rank() + content["step"])

    def _path(self, kind: str) -> Path:
        return self.run_folder / f"{self.stage.name}.{kind}.pt"


def _figures(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the losses as numbers, means over all processes."""
    means = {name: mean_over_processes(value.detach().float()) for name, value in losses.items()}
    return {name: float(value) for name, value in means.items()}


def load_weights(run_folder: Path, stage_name: str) -> dict[str, Tensor]:
    """Return the best weights of a stage.

    Raises
    ------
    InputError
        If the stage has not been trained.
    """
    path = run_folder / f"{stage_name}.best.pt"
    if not path.is_file():
        raise InputError(f"no {stage_name} weights at {path}: train that stage first")
    weights: dict[str, Tensor] = _load(path)["model"]
    return weights


def _save(path: Path, content: Mapping[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    torch.save(dict(content), partial)
    os.replace(partial, path)


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
