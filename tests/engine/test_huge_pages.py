"""Weights in large pages."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bailando.engine.huge_pages import anonymous_ranges, in_huge_pages, new_ranges


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


@pytest.mark.skipif(sys.platform != "linux", reason="pages are asked for on Linux alone")
def test_what_was_allocated_meanwhile_keeps_its_values() -> None:
    before = anonymous_ranges()
    with in_huge_pages():
        weights = np.arange(4 << 20, dtype=np.float32)
    address = weights.ctypes.data
    assert any(start <= address < end for start, end in new_ranges(before, anonymous_ranges()))
    np.testing.assert_array_equal(weights, np.arange(4 << 20, dtype=np.float32))


def test_an_error_meanwhile_is_not_lost() -> None:
    with pytest.raises(ValueError, match="bad"), in_huge_pages():
        raise ValueError("bad")
