from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import shared_training
import torch
from torch import Tensor

from bailando.cli.train import main
from bailando.training.distributed import (
    mean_over_processes,
    my_share,
    process_group,
    with_averaged_gradients,
)


@pytest.fixture(scope="module")
def two_processes(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes under ``torchrun`` learned."""
    output = tmp_path_factory.mktemp("two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, shared_training.__file__, str(data_folder), str(output)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return output


def _load(folder: Path, name: str) -> dict[str, Tensor]:
    return torch.load(folder / f"{name}.pt", weights_only=True)


@pytest.mark.parametrize("stage", shared_training.STAGES)
def test_weights_codebooks_and_gradients_are_the_same_in_both_processes(
    two_processes: Path, stage: str
) -> None:
    first, second = _load(two_processes, f"{stage}.0"), _load(two_processes, f"{stage}.1")
    assert sum(name.endswith(".grad") for name in first) >= 10
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("stage", shared_training.STAGES)
def test_two_processes_on_half_batches_equal_one_on_whole_batches(
    two_processes: Path, data_folder: Path, tmp_path: Path, stage: str
) -> None:
    shared = _load(two_processes, f"{stage}.0")
    alone = shared_training.train(stage, data_folder, tmp_path)
    assert set(alone) == set(shared)
    for name, value in alone.items():
        if name.startswith("lower.codebook."):
            continue  # the swingers' legs are still: which of many equal codes is used is up to rounding
        torch.testing.assert_close(
            shared[name], value, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_codebooks_learn_and_restart_codes_as_one_process_does(two_processes: Path) -> None:
    alone = shared_training.learn_codes()
    for rank in range(2):
        shared = _load(two_processes, f"codebook.{rank}")
        for name, value in alone.items():
            torch.testing.assert_close(shared[name], value)


@pytest.mark.parametrize("stage", shared_training.STAGES)
def test_resumed_processes_equal_uninterrupted_ones(two_processes: Path, stage: str) -> None:
    for rank in range(2):
        whole = _load(two_processes, f"{stage}.{rank}")
        resumed = _load(two_processes, f"{stage}.resumed.{rank}")
        assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_process_0_alone_writes_the_log(two_processes: Path) -> None:
    assert len((two_processes / "whole" / "vqvae.jsonl").read_text().splitlines()) == 1


def test_one_process_is_left_as_it_is() -> None:
    def losses(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {}

    batch = torch.arange(3.0)
    with process_group():
        assert my_share(batch) is batch
        assert mean_over_processes(batch) is batch
        assert with_averaged_gradients(torch.nn.Linear(1, 1), losses) is losses


def test_data_are_prepared_by_one_process_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["prepare", "--motion", str(tmp_path), "-o", str(tmp_path / "data")]) == 2
    assert "run it without torchrun" in capsys.readouterr().err
