from __future__ import annotations

from pathlib import Path

import pytest

from bailando.errors import ConfigError
from bailando.training.config_files import load_config, preset_names


def test_each_shipped_configuration_names_a_model_of_its_size() -> None:
    assert preset_names() == ["live", "paper", "tiny"]
    assert [load_config(name).model for name in preset_names()] == ["live", "paper", "tiny"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: tiny\nstps: 3\n", "unknown keys .*stps"),
        ("model: tiny\n", "missing keys .*gpt.*vqvae"),
        (
            "model: huge\nvqvae: {optimiser: {steps: 1, batch_size: 1}}\ngpt: {optimiser: {steps: 1}}\n",
            "batch_size",
        ),
        ("model: tiny\nvqvae: 3\ngpt: 3\n", "expected a mapping"),
        ("- a\n", "expected a mapping"),
        ("model: [\n", "not YAML"),
    ],
)
def test_a_wrong_configuration_is_refused_by_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_an_unknown_key_deep_inside_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("model: tiny\nvqvae: {optimiser: {steps: 1, batch_size: 1, rate: 2}}\ngpt: {}\n")
    with pytest.raises(ConfigError, match=r"vqvae\.optimiser: unknown keys \['rate'\]"):
        load_config(path)


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "ok.yaml"
    path.write_text(
        "model: tiny\n"
        "vqvae: {optimiser: {steps: 1, batch_size: 1, learning_rate: 1e-3}}\n"
        "gpt: {optimiser: {steps: 1, batch_size: 1}}\n"
    )
    assert load_config(path).vqvae.optimiser.learning_rate == 1e-3


def test_a_missing_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of"):
        load_config("grand")
