"""The runner against a library that stands in for TensorRT: it computes on the addresses it is given."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bailando.engine.specs import EngineSpec, GraphSpec, TensorSpec
from bailando.errors import ExportError
from bailando.export.tensorrt import BuiltEngine
from bailando.export.tensorrt_check import run_engines, why_not_run
from bailando.export.tensorrt_runner import TensorRTRunner
from bailando.export.validation import GPTRun, compare_steps

SPEC = GraphSpec(
    file="sum.engine",
    opset=20,
    precision="fp32",
    inputs=(TensorSpec("x", "float32", (1, 3)),),
    outputs=(TensorSpec("y", "float32", (1, 3)),),
    state=(TensorSpec("total", "float32", (1, 3)),),
)


class StandInContext:
    """y = 2 x; next_total = total + x."""

    def __init__(self, working: bool) -> None:
        self.working = working
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        place = {
            name: np.ctypeslib.as_array((ctypes.c_float * 3).from_address(address))
            for name, address in self.addresses.items()
        }
        place["y"][:] = 2 * place["x"]
        place["next_total"][:] = place["total"] + place["x"]
        return self.working


def stand_in(data_accepted: bytes = b"plan", working: bool = True) -> Any:
    """A module with as much of TensorRT's interface as the runner uses."""

    class Runtime:
        def __init__(self, logger: object) -> None:
            pass

        def deserialize_cuda_engine(self, data: bytes) -> Any:
            if data != data_accepted:
                return None
            return SimpleNamespace(create_execution_context=lambda: StandInContext(working))

    class Logger:
        ERROR = 1

        def __init__(self, severity: int) -> None:
            pass

    return SimpleNamespace(__name__="stand_in", Runtime=Runtime, Logger=Logger)


class Reference:
    def initial_state(self) -> dict[str, Any]:
        return {"total": np.zeros((1, 3), np.float32)}

    def step(self, inputs: dict[str, Any], state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"y": 2 * inputs["x"]}, {"total": state["total"] + inputs["x"]}


def test_engine_steps_as_its_graph_with_explicit_state() -> None:
    runner = TensorRTRunner(stand_in(), b"plan", SPEC, device="cpu")
    feed = [{"x": np.full((1, 3), i, np.float32)} for i in range(5)]
    found = compare_steps(Reference(), runner, feed)
    assert (found.steps, found.max_abs_output, found.max_abs_state) == (5, 0.0, 0.0)


def test_two_runs_of_one_engine_do_not_disturb_each_other() -> None:
    runner = TensorRTRunner(stand_in(), b"plan", SPEC, device="cpu")
    one = {"x": np.ones((1, 3), np.float32)}
    first, second = runner.initial_state(), runner.initial_state()
    for _ in range(3):
        _, first = runner.step(one, first)
    _, second = runner.step(one, second)
    assert first["total"][0, 0] == 3.0
    assert second["total"][0, 0] == 1.0


def test_engine_that_is_refused_says_what_to_do() -> None:
    with pytest.raises(ExportError, match="build it for this GPU's compute capability"):
        TensorRTRunner(stand_in(b"other"), b"plan", SPEC, device="cpu")


def test_step_that_fails_is_an_error() -> None:
    runner = TensorRTRunner(stand_in(working=False), b"plan", SPEC, device="cpu")
    with pytest.raises(ExportError, match=r"sum\.engine failed to run"):
        runner.step({"x": np.zeros((1, 3), np.float32)}, runner.initial_state())


def engine(*capabilities: str) -> BuiltEngine:
    return BuiltEngine(
        EngineSpec("gpt_step", "gpt_step.engine", "tensorrt_rtx", "1", capabilities), b"plan", 0.1
    )


def test_without_a_gpu_the_reason_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    nothing = np.zeros(0)
    run = GPTRun(nothing, nothing, nothing, nothing)
    assert run_engines([engine()], {}, {}, run, []) == {"gpt_step": {"not_run": "no GPU"}}


def test_engine_for_other_gpus_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    reason = why_not_run(engine("8.6", "8.9"))
    assert reason == "this GPU has compute capability 7.5, the engine is for 8.6, 8.9"
    assert why_not_run(engine("7.5")) is None
    assert why_not_run(engine()) is None
