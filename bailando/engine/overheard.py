"""A source of sound that others listen to as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from bailando.engine.sources import Samples, Source


class _OverheardSource:
    """A source whose blocks somebody else hears too; all else is the source's own."""

    def __init__(self, source: Source, hear: Callable[[Samples], None]) -> None:
        self._source = source
        self._hear = hear

    def read(self) -> Samples | None:
        """Return the next block, having told it."""
        block = self._source.read()
        if block is not None:
            self._hear(block)
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def overheard(source: Source, hear: Callable[[Samples], None]) -> Source:
    """Return a source that takes the place of `source` and gives each block to `hear` too.

    Parameters
    ----------
    source : Source
    hear : callable
        Called on the thread that reads; it must not wait, and must copy what it keeps.
    """
    return cast(Source, _OverheardSource(source, hear))
