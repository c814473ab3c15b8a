"""Training configurations from YAML: the shipped ones by name or a file; unknown keys are errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from bailando.engine.groove import GrooveSpec
from bailando.errors import ConfigError
from bailando.training.actor_critic_config import ActorCriticStageConfig, GrooveWeights
from bailando.training.config import (
    GPTStageConfig,
    PairingConfig,
    PrepareConfig,
    TrainConfig,
)
from bailando.training.movement_config import MovementStageConfig
from bailando.training.optimiser_config import OptimiserConfig
from bailando.training.residual_config import ResidualStageConfig
from bailando.training.root_config import RootStageConfig
from bailando.training.vqvae_config import VQVAELossConfig, VQVAEStageConfig

_Config = TypeVar("_Config")
_NESTED: dict[str, type[Any]] = {
    "prepare": PrepareConfig,
    "pairing": PairingConfig,
    "vqvae": VQVAEStageConfig,
    "root": RootStageConfig,
    "residual": ResidualStageConfig,
    "gpt": GPTStageConfig,
    "actor_critic": ActorCriticStageConfig,
    "groove": GrooveWeights,
    "movement": MovementStageConfig,
    "beat": GrooveSpec,
    "optimiser": OptimiserConfig,
    "losses": VQVAELossConfig,
}


def config_from_dict(kind: type[_Config], values: Mapping[str, Any], where: str = "config") -> _Config:
    """Build a configuration, nested ones included.

    Raises
    ------
    ConfigError
        If a key is unknown, a needed one is missing, or a value is out of range.
    """
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"{where}: unknown keys {unknown}, expected some of {sorted(fields)}")
    missing = sorted(
        name
        for name, item in fields.items()
        if name not in values
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    )
    if missing:
        raise ConfigError(f"{where}: missing keys {missing}, add them")
    built = {}
    for name, value in values.items():
        if name in _NESTED:
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}.{name} is {value!r}, expected a mapping")
            value = config_from_dict(_NESTED[name], value, f"{where}.{name}")
        else:
            value = _typed(value, str(fields[name].type), f"{where}.{name}")
        built[name] = value
    return kind(**built)


def load_config(source: str | Path) -> TrainConfig:
    """Read a configuration from a YAML file, or the shipped one of that name (``live``, ``paper``, ``tiny``).

    Raises
    ------
    ConfigError
        If there is no such file or preset, it is not YAML, or `config_from_dict` refuses it.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"no configuration at {path}: give a YAML file or one of {preset_names()}")
        text = path.read_text(encoding="utf-8")
    elif str(source) in preset_names():
        text = _preset_folder().joinpath(f"{source}.yaml").read_text(encoding="utf-8")
    else:
        raise ConfigError(f"no preset {str(source)!r}: expected one of {preset_names()} or a YAML file")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not YAML ({' '.join(str(error).split())}): correct it") from None
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source} holds {type(values).__name__}, expected a mapping of keys to values")
    return config_from_dict(TrainConfig, values, str(source))


def preset_names() -> list[str]:
    """Return the names of the shipped configurations."""
    return sorted(item.name[:-5] for item in _preset_folder().iterdir() if item.name.endswith(".yaml"))


def _preset_folder() -> Any:
    return resources.files("bailando.training").joinpath("presets")


def _typed(value: Any, annotation: str, where: str) -> Any:
    """Return `value` as its field's type; YAML reads ``1e-4`` as text and ``1`` as an integer."""
    if annotation == "float":
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ConfigError(f"{where} is {value!r}, expected a number") from None
    if annotation.startswith("tuple[float"):
        if not isinstance(value, list):
            raise ConfigError(f"{where} is {value!r}, expected a list of numbers")
        return tuple(_typed(item, "float", where) for item in value)
    if annotation == "int" and (isinstance(value, bool) or not isinstance(value, int)):
        raise ConfigError(f"{where} is {value!r}, expected a whole number")
    if annotation == "bool" and not isinstance(value, bool):
        raise ConfigError(f"{where} is {value!r}, expected true or false")
    if annotation == "str" and not isinstance(value, str):
        raise ConfigError(f"{where} is {value!r}, expected text")
    return value
