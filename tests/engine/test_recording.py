"""The sound of a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bailando.engine.recording import WavWriter
from bailando.errors import OutputError


def test_sound_can_be_read_after_every_block_without_closing(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    samples = (0.5 * np.sin(np.arange(4800) * 0.05)).astype(np.float32)
    writer = WavWriter(path, 48000)
    for block in range(10):
        writer.write(samples[480 * block : 480 * (block + 1)])
        heard, rate_hz = soundfile.read(path)
        assert (len(heard), rate_hz) == (480 * (block + 1), 48000)
    writer.close()
    np.testing.assert_allclose(heard, samples, atol=1 / 16000)


def test_too_loud_and_broken_samples_are_clipped(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    writer = WavWriter(path, 8000)
    writer.write(np.array([2.0, -3.0, np.nan, 0.25], np.float32))
    writer.close()
    np.testing.assert_allclose(soundfile.read(path)[0], [1, -1, 0, 0.25], atol=1e-4)


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/sound\.wav"):
        WavWriter(tmp_path / "nowhere" / "sound.wav", 8000)
