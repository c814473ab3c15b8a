from __future__ import annotations

import numpy as np
from swings import swinging

from bailando.motion.motion import Motion
from bailando.training.config import PairingConfig
from bailando.training.pairing import dance_accents, joint_speed
from bailando.training.retiming import retime
from bailando.training.segments import at_speed

CONFIG = PairingConfig()


def _uneven(frames: int = 600) -> tuple[Motion, np.ndarray]:
    """A swing whose beats come now after 26, now after 34 frames."""
    fine = swinging(10 * frames, phase=-np.pi / 2).resample(60.0)
    beats = np.concatenate([[0], np.cumsum(np.tile([26, 34], frames // 60 + 1))])
    at = np.interp(np.arange(frames), beats, 30.0 * np.arange(len(beats)))
    nearest = np.round(at).astype(int)
    return Motion(fine.rotations[nearest], fine.root_position[nearest], fine.contacts[nearest]), beats


def test_uneven_beats_become_steady() -> None:
    motion, beats = _uneven()
    retimed = retime(motion, CONFIG)
    inside = retimed.beats[(retimed.beats > 60) & (retimed.beats < 540)]
    assert np.std(np.diff(beats)) > 3.9
    assert np.std(np.diff(inside)) < 1.0
    accents = dance_accents(retimed.motion.positions)
    accents = accents[(accents > 60) & (accents < 540)]
    assert len(inside) >= 8
    assert np.abs(inside[:, None] - accents).min(axis=1).max() < 2.5


def test_a_steady_dance_stays_as_it_is() -> None:
    motion = swinging(600)
    retimed = retime(motion, CONFIG)
    assert retimed.speed_deviation < 0.02
    assert abs(retimed.motion.frame_count - 600) <= 3


def test_without_smoothing_nothing_is_bent() -> None:
    motion, _ = _uneven()
    retimed = retime(motion, PairingConfig(steady_beats=0.0))
    assert retimed.motion is motion
    assert retimed.beats[0] <= 0.0


def test_beats_reach_beyond_both_ends() -> None:
    retimed = retime(_uneven()[0], CONFIG)
    assert retimed.beats[0] <= 0.0
    assert retimed.beats[-1] >= retimed.motion.frame_count - 1


def test_a_faster_dance_is_shorter_and_moves_further_per_frame() -> None:
    motion = swinging(401)
    faster = at_speed(motion, 1.25)
    assert (faster.frame_count, faster.fps) == (321, 60.0)
    ratio = joint_speed(faster.positions).mean() / joint_speed(motion.positions).mean()
    np.testing.assert_allclose(ratio, 1.25, rtol=0.02)
