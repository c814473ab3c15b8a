"""The outline of the sound that viewers draw."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.waveform import WINDOW_S, Waveform


@pytest.mark.parametrize("block", [1, 64, 480, 4801])
def test_each_frame_has_the_peak_of_its_own_samples_in_any_blocks(block: int) -> None:
    waveform = Waveform(48000)
    samples = np.zeros(96000, np.float32)
    samples[800 * 100 + 3] = -0.5  # frame 100
    samples[800 * 101 - 1] = 0.25  # its last sample
    samples[800 * 101] = 0.75  # frame 101
    for start in range(0, len(samples), block):
        waveform.hear(samples[start : start + block])
    report = waveform.report()
    assert (len(report["waveform"]), report["waveform_s"]) == (384, WINDOW_S)
    assert report["waveform_end_s"] == 2.0
    first = 120 - 384
    assert {first + index: peak for index, peak in enumerate(report["waveform"]) if peak} == {
        100: 0.5,
        101: 0.75,
    }


def test_broken_and_too_loud_samples_stay_within_the_picture() -> None:
    waveform = Waveform(24000)
    waveform.hear(np.array([np.nan, np.inf, -3.0], np.float32))
    assert waveform.report()["waveform"][-1] == 1.0
    waveform = Waveform(24000)
    waveform.hear(np.array([np.nan, -np.inf], np.float32))
    assert waveform.report()["waveform"][-1] == 0.0
