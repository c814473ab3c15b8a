"""Weights in large pages."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from bailando.engine.huge_pages import in_huge_pages, new_ranges


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ([], [(10, 20)], [(10, 20)]),
        ([(10, 20)], [(10, 20)], []),
        ([(10, 20)], [(5, 30)], [(5, 10), (20, 30)]),
        ([(10, 12), (14, 16)], [(8, 20)], [(8, 10), (12, 14), (16, 20)]),
        ([(10, 20)], [(30, 40)], [(30, 40)]),
        ([(10, 40)], [(15, 20), (30, 50)], [(40, 50)]),
    ],
)
def test_what_was_there_before_is_left_alone(before: list, after: list, parts: list) -> None:
    assert new_ranges(before, after) == parts


def in_large_pages_kb() -> int:
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("AnonHugePages"))


def has_large_pages() -> bool:
    """Whether this is a Linux from 6.1 on that gives large pages."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if sys.platform != "linux" or not setting.exists() or "[never]" in setting.read_text(encoding="utf-8"):
        return False
    return tuple(int(part) for part in platform.release().split(".")[:2]) >= (6, 1)


@pytest.mark.skipif(not has_large_pages(), reason="this system has no large pages to give")
def test_what_was_allocated_meanwhile_moves_and_keeps_its_values() -> None:
    before_kb = in_large_pages_kb()
    with in_huge_pages():
        weights = bytearray(b"bailando") * (8 << 20)  # numpy would ask for large pages itself
    assert in_large_pages_kb() - before_kb > 40_000
    assert weights.count(b"bailando") == 8 << 20


def test_an_error_meanwhile_is_not_lost() -> None:
    with pytest.raises(ValueError, match="bad"), in_huge_pages():
        raise ValueError("bad")
