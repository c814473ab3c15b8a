"""Weights in large pages: a step reads all of them once, and every 4 kB page costs an address translation."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PAGE_BYTES = 2 << 20
_SMALLEST_BYTES = 2 * _PAGE_BYTES
_MADV_COLLAPSE = 25  # Linux 6.1 and newer; others refuse it, and nothing has changed

Range = tuple[int, int]


@contextmanager
def in_huge_pages() -> Iterator[None]:
    """Move what is allocated meanwhile in pieces of 4 MiB and more to pages of 2 MiB.

    Best effort, on Linux alone: where the system has no such pages to give, memory stays as it is.
    """
    if sys.platform != "linux":
        yield
        return
    before = anonymous_ranges()
    yield
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in new_ranges(before, anonymous_ranges()):
        first, last = -(-start // _PAGE_BYTES) * _PAGE_BYTES, end // _PAGE_BYTES * _PAGE_BYTES
        if last - first >= _SMALLEST_BYTES:
            madvise(first, last - first, _MADV_COLLAPSE)


def anonymous_ranges() -> list[Range]:
    """Return the addresses of this process's writable memory without a file or a name, ascending."""
    ranges = []
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            for line in maps:
                addresses, permissions, _, _, inode, *name = line.split()
                if permissions == "rw-p" and inode == "0" and name in ([], ["[heap]"]):
                    start, _, end = addresses.partition("-")
                    ranges.append((int(start, 16), int(end, 16)))
    except OSError:
        return []
    return ranges


def new_ranges(before: list[Range], after: list[Range]) -> list[Range]:
    """Return the parts of `after` that are not in `before`, both ascending."""
    parts = []
    for start, end in after:
        for old_start, old_end in before:
            if old_end <= start or old_start >= end:
                continue
            if old_start > start:
                parts.append((start, old_start))
            start = max(start, old_end)
        if start < end:
            parts.append((start, end))
    return parts
