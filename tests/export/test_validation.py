from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bailando.errors import ExportError
from bailando.export.exporter import DancerExport
from bailando.export.runners import Arrays, OnnxRunner, TorchRunner
from bailando.export.validation import Comparison, compare_gpt, compare_steps
from tests.export.factory import WINDOW


class Altered:
    """A runner whose outputs or state go wrong at one step."""

    def __init__(self, inner: TorchRunner, at: int, key: str, amount: float) -> None:
        self.inner, self.at, self.key, self.amount = inner, at, key, amount
        self.steps = 0

    def initial_state(self) -> Arrays:
        return self.inner.initial_state()

    def step(self, inputs: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
        outputs, after = self.inner.step(inputs, state)
        if self.steps == self.at:
            place = outputs if self.key in outputs else after
            place[self.key] = place[self.key].copy()
            place[self.key].flat[-1] += self.amount
        self.steps += 1
        return outputs, after


def test_figures_cover_64_steps_past_the_cache_and_pass(dancer: DancerExport) -> None:
    for name, comparison in dancer.validation.items():
        assert comparison.steps == WINDOW + 64, name
        assert 0 < comparison.max_abs_output < 1e-4
        assert comparison.max_abs_state < 1e-4
    assert dancer.validation["gpt_step"].greedy_codes_identical is True


@pytest.mark.parametrize("at", [0, 40, 69])
def test_difference_of_outputs_is_found_at_any_step(dancer: DancerExport, at: int) -> None:
    reference = TorchRunner(dancer.graphs["gpt_step"])
    found = compare_gpt(reference, Altered(reference, at, "upper_logits", 3e-4), dancer.run)
    assert found.max_abs_output == pytest.approx(3e-4, rel=0.02)
    with pytest.raises(ExportError, match=r"gpt_step failed validation: outputs differ by 3\.00e-04"):
        found.require("gpt_step")


def test_difference_of_state_is_found(dancer: DancerExport) -> None:
    reference = TorchRunner(dancer.graphs["gpt_step"])
    found = compare_gpt(reference, Altered(reference, 30, "key_cache_1", 0.01), dancer.run)
    assert found.max_abs_state == pytest.approx(0.01, rel=0.01)
    with pytest.raises(ExportError, match="state by"):
        found.require("gpt_step")


def test_not_a_number_fails(dancer: DancerExport) -> None:
    reference = TorchRunner(dancer.graphs["decoder_step"])
    feed = dancer.code_feed(4)
    found = compare_steps(reference, Altered(reference, 2, "lower_pose", float("nan")), feed)
    assert found.max_abs_output == float("inf")
    with pytest.raises(ExportError, match="decoder_step failed validation"):
        found.require("decoder_step")


def test_other_greedy_codes_fail() -> None:
    with pytest.raises(ExportError, match="greedy codes differ"):
        Comparison(10, 0.0, 0.0, False).require("gpt_step")


def test_changed_weight_in_the_graph_fails_validation(dancer: DancerExport) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(dancer.models["gpt_step"])
    weight = max(model.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.01, weight.name))
    found = compare_gpt(
        TorchRunner(dancer.graphs["gpt_step"]), OnnxRunner(model.SerializeToString()), dancer.run
    )
    with pytest.raises(ExportError, match="failed validation"):
        found.require("gpt_step")


def test_graph_that_is_no_onnx_is_an_export_error() -> None:
    with pytest.raises(ExportError, match="ONNX Runtime"):
        OnnxRunner(b"no model")
