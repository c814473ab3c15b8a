"""Graphs run step by step, checked against the same arithmetic in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bailando.engine.backend_ort import choose_provider
from bailando.engine.backends import Backend, load_backend
from bailando.engine.bundle import Bundle
from bailando.errors import BundleError, ConfigError
from tests.engine.synthetic_bundle import (
    CODES,
    WIDTH,
    decoder_step_model,
    gpt_constants,
    gpt_step_model,
    manifest_dict,
    write_synthetic_bundle,
)


@pytest.fixture(scope="module")
def backend(bundle_path: Path) -> Backend:
    return load_backend(Bundle.open(bundle_path))


def gpt_inputs(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "music": rng.normal(size=(1, WIDTH)).astype(np.float32),
        "upper_code": np.array([rng.integers(CODES)]),
        "lower_code": np.array([rng.integers(CODES)]),
        "style": np.array([1]),
    }


def test_twenty_steps_equal_the_arithmetic_in_numpy(backend: Backend) -> None:
    tables = {name: value.astype(np.float32) for name, value in gpt_constants().items()}
    memory = np.zeros((1, CODES), np.float32)
    state = backend.initial_state("gpt_step")
    for step in range(20):
        inputs = gpt_inputs(step)
        memory = memory * tables["decay"] + inputs["music"] @ tables["music_weight"]
        base = memory + tables["style_table"][inputs["style"]]
        outputs, state = backend.step("gpt_step", inputs, state)
        upper = base + tables["upper_table"][inputs["upper_code"]]
        np.testing.assert_allclose(outputs["upper_logits"], upper, atol=1e-5)
        lower = base + tables["lower_table"][inputs["lower_code"]]
        np.testing.assert_allclose(outputs["lower_logits"], lower, atol=1e-5)
        np.testing.assert_allclose(backend.read_state("gpt_step", state)["memory"], memory, atol=1e-5)


def test_outputs_are_not_overwritten_by_later_steps(backend: Backend) -> None:
    state = backend.initial_state("gpt_step")
    kept, copies = [], []
    for step in range(4):
        outputs, state = backend.step("gpt_step", gpt_inputs(step), state)
        kept.append(outputs["upper_logits"])
        copies.append(outputs["upper_logits"].copy())
    for first, second in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(first, second)


def test_read_state_is_a_copy(backend: Backend) -> None:
    _, state = backend.step("gpt_step", gpt_inputs(0), backend.initial_state("gpt_step"))
    first = backend.read_state("gpt_step", state)
    frozen = first["memory"].copy()
    for step in range(3):
        _, state = backend.step("gpt_step", gpt_inputs(step), state)
    np.testing.assert_array_equal(first["memory"], frozen)


def test_write_state_does_not_keep_the_caller_s_array(backend: Backend) -> None:
    memory = np.ones((1, CODES), np.float32)
    state = backend.write_state("gpt_step", {"memory": memory})
    memory[:] = 7.0
    np.testing.assert_array_equal(backend.read_state("gpt_step", state)["memory"], np.ones((1, CODES)))


def test_step_can_be_taken_back(backend: Backend) -> None:
    _, state = backend.step("gpt_step", gpt_inputs(0), backend.initial_state("gpt_step"))
    before = backend.read_state("gpt_step", state)["memory"]
    expected, _ = backend.step("gpt_step", gpt_inputs(1), state)
    np.testing.assert_array_equal(backend.read_state("gpt_step", state)["memory"], before)
    again, _ = backend.step("gpt_step", gpt_inputs(1), state)
    np.testing.assert_array_equal(again["upper_logits"], expected["upper_logits"])


def test_two_states_do_not_disturb_each_other(backend: Backend) -> None:
    alone = backend.initial_state("gpt_step")
    for step in range(5):
        expected, alone = backend.step("gpt_step", gpt_inputs(step), alone)
    first, second = backend.initial_state("gpt_step"), backend.initial_state("gpt_step")
    for step in range(5):
        got, first = backend.step("gpt_step", gpt_inputs(step), first)
        _, second = backend.step("gpt_step", gpt_inputs(100 + step), second)
    np.testing.assert_array_equal(got["upper_logits"], expected["upper_logits"])


def damaged_manifest(change: str) -> dict[str, Any]:
    graphs = manifest_dict({"gpt_step.onnx": gpt_step_model(), "decoder_step.onnx": decoder_step_model()})[
        "graphs"
    ]
    state = graphs["gpt_step"]["state"][0]
    if change == "shape":
        state["shape"] = [1, CODES + 1]
    elif change == "dtype":
        state["dtype"] = "float16"
    else:
        state["name"] = "elsewhere"
    return {"graphs": graphs}


@pytest.mark.parametrize("change", ["shape", "dtype", "name"])
def test_graph_other_than_its_manifest_is_refused_in_one_line(change: str, tmp_path: Path) -> None:
    path = write_synthetic_bundle(tmp_path / "b", **damaged_manifest(change))
    with pytest.raises(BundleError, match="gpt_step: input") as caught:
        load_backend(Bundle.open(path))
    assert "\n" not in str(caught.value)


def test_graph_that_is_no_valid_model_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write_synthetic_bundle(tmp_path / "b", gpt_step=decoder_step_model())
    with pytest.raises(BundleError, match="export the bundle again") as caught:
        load_backend(Bundle.open(path))
    assert "\n" not in str(caught.value)


def test_provider_that_is_not_installed_is_refused() -> None:
    with pytest.raises(ConfigError, match="onnxruntime-gpu"):
        choose_provider("cuda", ["CPUExecutionProvider"])


def test_unknown_backend_lists_the_known_ones(bundle_path: Path) -> None:
    with pytest.raises(ConfigError, match="auto, cpu, cuda, tensorrt"):
        load_backend(Bundle.open(bundle_path), "abacus")


@pytest.mark.parametrize("threads", [0, 65])
def test_thread_count_out_of_range_is_refused(bundle_path: Path, threads: int) -> None:
    with pytest.raises(ConfigError, match="threads"):
        load_backend(Bundle.open(bundle_path), "cpu", threads)
