"""Where a dancer's model runs: the option, and opening the dancer there."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bailando.errors import ConfigError

if TYPE_CHECKING:
    from bailando.engine.dancer import Dancer

_TORCH = "torch"
_CHECKPOINT_SUFFIX = ".pt"


def add_backend_option(group: argparse._ArgumentGroup) -> None:
    """Add where the model runs."""
    group.add_argument(
        "--backend",
        default="auto",
        metavar="NAME",
        help="auto (default), cpu, cuda, tensorrt, tensorrt-rtx, tensorrt-native, torch",
    )


def open_dancer(options: argparse.Namespace, watch: bool = False, delay_ms: float = 60.0) -> Dancer:
    """Return the dancer of ``--model`` on ``--backend``.

    Parameters
    ----------
    options : argparse.Namespace
        With `model` and `backend`.
    watch : bool
        Start the backend anew when it hangs or fails.
    delay_ms : float
        How much later than its sound motion is to be, for the choice of ``auto``.

    Raises
    ------
    BailandoError
        If the model or the backend cannot be used, or they do not fit each other.
    """
    is_checkpoint = options.model is not None and Path(options.model).suffix == _CHECKPOINT_SUFFIX
    if options.backend == _TORCH:
        return _open_checkpoint(options.model, is_checkpoint, watch)
    if is_checkpoint:
        raise ConfigError(
            f"{options.model} is a checkpoint; make a bundle of it with bailando-export {options.model} "
            "-o BUNDLE, or let torch dance it with --backend torch"
        )
    from bailando.cli.live_dancers import MAX_DANCERS
    from bailando.engine.backends import BACKEND_NAMES
    from bailando.engine.dancer import Dancer

    if options.backend not in BACKEND_NAMES:
        names = ", ".join((*BACKEND_NAMES, _TORCH))
        raise ConfigError(f"unknown backend {options.backend!r}; choose one of {names}")
    dancers = min(max(1, getattr(options, "dancers", 1)), MAX_DANCERS)  # it is refused later if it was out
    return Dancer.open(options.model, options.backend, watch=watch, dancers=dancers, delay_ms=delay_ms)


def _open_checkpoint(model: str | None, is_checkpoint: bool, watch: bool) -> Dancer:
    if model is None or not is_checkpoint:
        raise ConfigError(
            f"--backend torch dances a checkpoint, got {model or 'the shipped bundle'}; give --model "
            "RUN/dancer.pt"
        )
    if find_spec(_TORCH) is None:
        raise ConfigError("--backend torch needs torch; pip install 'bailando[export]'")
    from bailando.export.torch_backend import open_checkpoint

    return open_checkpoint(model, watch=watch)
