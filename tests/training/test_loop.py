from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bailando.errors import InputError
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.gpt_stage import GPTStage
from bailando.training.loop import Trainer, TrainingError, learning_rate, load_weights
from bailando.training.optimiser_config import OptimiserConfig
from bailando.training.run import train_vqvae
from bailando.training.vqvae_stage import VQVAEStage, load_models


class _Line:
    """Fits y = 3 x; the loss of the steps in `broken` is not a number."""

    name = "line"
    evaluate_every = 10
    save_every = 10
    patience = 0

    def __init__(self, broken: tuple[int, ...] = (), steps: int = 60) -> None:
        self.optimiser = OptimiserConfig(
            steps=steps, batch_size=1, learning_rate=0.2, warmup_steps=1, max_skipped_steps=3
        )
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)
        self.broken = broken

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        x = torch.randn(8, 1, generator=generator)
        loss = (self.model(x) - 3 * x).square().mean()
        return {"total": loss * float("nan") if step in self.broken else loss}

    def evaluate(self) -> dict[str, float]:
        return {"score": float((self.model.weight.detach() - 3).abs())}


def test_the_loop_learns_and_logs(tmp_path: Path) -> None:
    Trainer(_Line(), tmp_path, 0).run()
    log = [json.loads(line) for line in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [10, 20, 30, 40, 50, 60]
    assert log[-1]["held_out_score"] < 0.05


def test_steps_that_are_not_finite_are_skipped_and_counted(tmp_path: Path) -> None:
    trainer = Trainer(_Line(broken=(5, 9)), tmp_path, 0)
    trainer.run()
    assert trainer.skipped == 2
    assert trainer.best < 0.05


def test_too_many_broken_steps_stop_the_stage(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="4 steps were not finite"):
        Trainer(_Line(broken=tuple(range(60))), tmp_path, 0).run()


def test_a_stage_without_progress_stops_early(tmp_path: Path) -> None:
    stage = _Line()
    stage.patience = 2
    stage.evaluate = lambda: {"score": 1.0}  # type: ignore[method-assign]
    trainer = Trainer(stage, tmp_path, 0)
    trainer.run()
    assert trainer.step == 30


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    config = OptimiserConfig(steps=110, batch_size=1, learning_rate=1.0, warmup_steps=10, final_rate=0.1)
    assert learning_rate(config, 0) == pytest.approx(0.1)
    assert learning_rate(config, 9) == pytest.approx(1.0)
    assert learning_rate(config, 60) == pytest.approx(0.55)
    assert learning_rate(config, 110) == pytest.approx(0.1)


def _assert_equal(first: Trainer, second: Trainer) -> None:
    one, other = first.stage.model.state_dict(), second.stage.model.state_dict()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_resumed_vqvae_equals_an_uninterrupted_one_bit_for_bit(
    data_folder: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    whole = Trainer(VQVAEStage(tiny_config, Dataset(data_folder)), tmp_path / "whole", 0)
    whole.run()
    Trainer(VQVAEStage(tiny_config, Dataset(data_folder)), tmp_path / "cut", 0).run(until=10)
    resumed = Trainer(VQVAEStage(tiny_config, Dataset(data_folder)), tmp_path / "cut", 0)
    assert resumed.step == 10
    resumed.run()
    _assert_equal(whole, resumed)


def test_a_resumed_gpt_equals_an_uninterrupted_one_bit_for_bit(
    data_folder: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    train_vqvae(tiny_config, data_folder, tmp_path)
    dataset = Dataset(data_folder)
    models = load_models(tiny_config, dataset, load_weights(tmp_path, "vqvae"))
    whole = Trainer(GPTStage(tiny_config, dataset, *models), tmp_path / "whole", 0)
    whole.run()
    Trainer(GPTStage(tiny_config, dataset, *models), tmp_path / "cut", 0).run(until=10)
    resumed = Trainer(GPTStage(tiny_config, dataset, *models), tmp_path / "cut", 0)
    resumed.run()
    _assert_equal(whole, resumed)


def test_a_run_of_another_configuration_is_not_resumed(tmp_path: Path) -> None:
    Trainer(_Line(), tmp_path, 0).run(until=10)
    wider = _Line()
    wider.model = nn.Linear(2, 1)
    with pytest.raises(InputError, match="use another run folder"):
        Trainer(wider, tmp_path, 0)


def test_the_gpt_needs_a_trained_vqvae(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train that stage first"):
        load_weights(tmp_path, "vqvae")


def test_the_vqvae_learns_in_a_few_steps(data_folder: Path, tiny_config: TrainConfig, tmp_path: Path) -> None:
    def loss() -> float:
        return float(stage.losses(0, torch.Generator().manual_seed(7))["total"].detach())

    stage = VQVAEStage(tiny_config, Dataset(data_folder))
    before = loss()
    Trainer(stage, tmp_path, 0).run()
    assert loss() < 0.7 * before
