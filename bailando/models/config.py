"""What all model configurations share: immutable, validated, strict about unknown keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from bailando.errors import ConfigError

ConfigType = TypeVar("ConfigType", bound="ModelConfig")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Base of the frozen model configurations; subclasses validate in ``__post_init__``."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values (tuples become lists)."""
        values = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls: type[ConfigType], values: Mapping[str, Any]) -> ConfigType:
        """Rebuild a configuration from `to_dict`'s output.

        Raises
        ------
        ConfigError
            If a key is unknown, a required key is missing or a value is out of range.
        """
        fields = dataclasses.fields(cls)
        known = {field.name for field in fields}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"{cls.__name__}: unknown keys {unknown}, expected some of {sorted(known)}")
        required = {
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        }
        missing = sorted(required - set(values))
        if missing:
            raise ConfigError(f"{cls.__name__}: missing keys {missing}, add them")
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})

    def _require_at_least(self, minimum: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
                raise ConfigError(
                    f"{type(self).__name__}: {name} is {value!r}, expected an integer of at least {minimum}"
                )

    def _require_one_of(self, name: str, choices: tuple[Any, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise ConfigError(f"{type(self).__name__}: {name} is {value!r}, expected one of {list(choices)}")

    def _require_fraction(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ConfigError(f"{type(self).__name__}: {name} is {value!r}, expected 0 <= {name} < 1")
