"""Cache against recomputation: both give the same logits, and the products' bytes are counted."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from paper_gpt import SIZES, build, largest_difference, weight_bytes


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "tiny", (32, 2, 1))


def test_the_cached_steps_give_the_logits_of_the_recomputed_window() -> None:
    assert largest_difference(build("tiny", 0), seed=1) < 1e-5


def test_a_wrong_cache_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    gpt = build("tiny", 0)
    step = gpt.step

    def forgetful(*arguments: object) -> object:
        logits, state = step(*arguments)
        return logits, {**state, "key_cache_0": state["key_cache_0"] * 0}

    monkeypatch.setattr(gpt, "step", forgetful)
    assert largest_difference(gpt, seed=1) > 1e-4


def test_only_the_constants_of_products_count_as_weights() -> None:
    weight = numpy_helper.from_array(np.ones((4, 5), np.float32), "weight")
    bias = numpy_helper.from_array(np.ones(5, np.float32), "bias")
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["y"]),
        helper.make_node("Add", ["y", "bias"], ["z"]),
    ]
    x, z = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("x", 4), ("z", 5))
    )
    graph = helper.make_graph(nodes, "g", [x], [z], [weight, bias])
    assert weight_bytes(helper.make_model(graph)) == 4 * 5 * 4
