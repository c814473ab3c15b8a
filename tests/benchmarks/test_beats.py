"""Trackers of others: any command that prints beats is scored like ours."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from beats import RATE, Score, clicks, means, ours, program, score


def test_a_programs_beats_are_read_from_what_it_prints() -> None:
    code = "import soundfile, sys; s, r = soundfile.read(sys.argv[1]); print(0.5); print(len(s) / r)"
    beats = program(f'{sys.executable} -c "{code}" {{song}}')(np.zeros(2 * RATE, np.float32))
    np.testing.assert_allclose(beats, [0.5, 2.0])


def test_our_tracker_finds_steady_clicks_and_half_of_them_scores_less() -> None:
    samples, beats_s = clicks(lambda _: 120.0, 20.0)
    found = ours(samples)
    assert score(beats_s, found).f_measure > 0.95
    assert score(beats_s, found).first_s < 5.0
    assert score(beats_s, found[::2]).f_measure < 0.75


def test_a_mean_leaves_out_what_was_never_found() -> None:
    scores = [Score(1.0, 1.0, 1.0, 2.0, float("nan")), Score(0.0, 1.0, 1.0, 4.0, float("nan"))]
    row = means({"a tracker": scores})["a tracker"]
    assert (row["f_measure"], row["offset_ms"]) == (0.5, 3.0)
    assert np.isnan(row["first_s"])
    assert means({"a": [Score(1, 1, 1, 1, 2.0), scores[0]]})["a"]["first_s"] == pytest.approx(2.0)
