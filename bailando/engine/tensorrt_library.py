"""TensorRT for RTX or the enterprise TensorRT: found, and its messages kept instead of printed.

Both have the same Python interface as far as this package uses it.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType
from typing import Any

LIBRARIES = ("tensorrt_rtx", "tensorrt")


def installed_library(names: tuple[str, ...] = LIBRARIES) -> ModuleType | None:
    """Import the first of these libraries that is installed; None if none is."""
    for name in names:
        if find_spec(name) is not None:
            return importlib.import_module(name)
    return None


def make_log(library: ModuleType) -> Any:
    """Return a logger of the library whose `first` and `last` errors can be read afterwards.

    The class is made at run time because its base, ``ILogger``, is known only then.
    """

    def begin(self: Any) -> None:
        library.ILogger.__init__(self)
        self.first = self.last = ""

    def log(self: Any, severity: Any, message: str) -> None:
        if severity <= library.ILogger.Severity.ERROR:
            self.last = " ".join(message.split())[:300]
            self.first = self.first or self.last

    return type("Log", (library.ILogger,), {"__init__": begin, "log": log})()
