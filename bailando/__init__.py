"""bailando: live music in, full-body 3D dance out at 60 frames a second.

The public names are loaded lazily, so that ``import bailando`` costs nothing and never needs torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "BailandoError": "bailando.errors",
    "Dancer": "bailando.engine.dancer",
    "Motion": "bailando.motion.motion",
    "Session": "bailando.engine.dancer",
    "Skeleton": "bailando.motion.skeleton",
}

__all__ = ["BailandoError", "Dancer", "Motion", "Session", "Skeleton", "__version__"]

if TYPE_CHECKING:
    from bailando.engine.dancer import Dancer, Session
    from bailando.errors import BailandoError
    from bailando.motion.motion import Motion
    from bailando.motion.skeleton import Skeleton


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'bailando' has no attribute {name!r}")
