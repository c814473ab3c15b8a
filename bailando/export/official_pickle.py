"""Reading published checkpoints without running anything that is pickled in them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bailando.errors import InputError

MAX_BYTES = 4 << 30
_PREFIX = "module."


# What the configuration's class is read as: the loader knows this one, and it runs no code of the file.
_INERT_STAND_IN = (OrderedDict, "easydict.EasyDict")


@dataclass(frozen=True)
class OfficialCheckpoint:
    """Contents of a published checkpoint.

    Parameters
    ----------
    path
        Where it came from, for messages.
    tensors
        Weights by name, without the ``module.`` prefix.
    config
        The configuration stored with them.
    """

    path: Path
    tensors: dict[str, Tensor]
    config: Mapping[str, Any]

    def option(self, *keys: str) -> Any:
        """Return a nested value of the configuration, or None where it is absent."""
        value: Any = self.config
        for key in keys:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    def has(self, prefix: str) -> bool:
        """Return whether any tensor's name starts with `prefix`."""
        return any(name.startswith(prefix) for name in self.tensors)


def read_official(path: str | Path) -> OfficialCheckpoint:
    """Read a checkpoint ``{'model', 'config', 'epoch'}`` as the published code writes it.

    Only tensors, plain containers and the configuration dictionary are accepted; nothing is executed.

    Raises
    ------
    InputError
        If the file is missing, too large, corrupt, holds anything else or has no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}: give a .pt file of the published training code")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes, at most {MAX_BYTES} are read")
    content = _load(path)
    model = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(model, Mapping) or not model:
        raise InputError(f"{path} holds no 'model' weights: give a checkpoint of the published code")
    config = content.get("config")
    if config is not None and not isinstance(config, Mapping):
        raise InputError(f"{path} has a 'config' that is no dictionary: give an unchanged checkpoint")
    return OfficialCheckpoint(path, _checked_tensors(path, model), _plain(config or {}))


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([_INERT_STAND_IN]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        OSError,
    ) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"{path} is corrupt or holds more than weights and settings, so it is not loaded ({reason})"
        ) from None


def _plain(value: Any) -> Any:
    """Copy nested mappings into plain dictionaries, which drops attributes a file may have set on them."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in dict.items(value)}
    return value


def _checked_tensors(path: Path, model: Mapping[Any, Any]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise InputError(f"{path}: weight {name!r} is no tensor; give an unchanged checkpoint")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: weight {name!r} is not finite; the file is damaged")
        tensors[name.removeprefix(_PREFIX)] = tensor
    return tensors
