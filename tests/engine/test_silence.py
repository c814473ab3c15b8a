"""Silence, and what a dancer makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.dancer import Dancer
from bailando.engine.performance import Ensemble
from bailando.engine.silence import SilenceGate
from bailando.errors import ConfigError

TOKEN = 3200


def noise(level: float, tokens: int, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(0).normal(offset, level, tokens * TOKEN)).astype(np.float32)


def heard(gate: SilenceGate, samples: np.ndarray) -> list[bool]:
    said = []
    for token in samples.reshape(-1, TOKEN):
        gate.hear(token)
        said.append(gate.silent)
    return said


def test_silence_is_silence_after_eight_tenths_of_a_second_and_music_is_music_at_once() -> None:
    gate = SilenceGate()
    assert heard(gate, noise(0.0, 8)) == [False] * 5 + [True] * 3
    assert heard(gate, noise(0.01, 2)) == [False, False]


def test_short_pause_is_music() -> None:
    gate = SilenceGate()
    assert not any(heard(gate, np.concatenate([noise(0.1, 2), noise(0.0, 5), noise(0.1, 2)])))


@pytest.mark.parametrize(("threshold_db", "silent"), [(-60.0, False), (-40.0, True)])
def test_threshold_says_what_is_silence(threshold_db: float, silent: bool) -> None:
    assert heard(SilenceGate(threshold_db), noise(0.003, 8))[-1] is silent


def test_offset_of_a_card_is_no_sound() -> None:
    assert heard(SilenceGate(), noise(1e-4, 8, offset=0.3))[-1]


@pytest.mark.parametrize("threshold_db", [1.0, -121.0, float("nan")])
def test_impossible_threshold_is_refused(threshold_db: float) -> None:
    with pytest.raises(ConfigError, match="silence threshold"):
        SilenceGate(threshold_db)


def test_dancer_eases_into_idling_and_out_again(dancer: Dancer) -> None:
    ensemble = Ensemble(dancer, [dancer.session(seed=2)])
    sound = np.concatenate([noise(0.1, 20), noise(0.0, 25), noise(0.1, 20)])
    chunks, idle = [], []
    for block in np.split(sound, 65):
        chunks += [chunk for (chunk,) in ensemble.feed(block)]
        idle.append(ensemble.idle)
    assert idle == [False] * 25 + [True] * 20 + [False] * 20
    path = np.concatenate([chunk.root_position[:, [0, 2]] for chunk in chunks])
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1)
    dancing, resting, again = speed[:160].mean(), speed[270:350].mean(), speed[420:].mean()
    assert resting < 0.4 * dancing
    assert again > 0.6 * dancing
    # Eased: no step is larger than those of the dance itself.
    assert speed[200:420].max() <= 1.05 * max(speed[:200].max(), speed[420:].max())


@pytest.mark.parametrize("fault", ["clipping", "offset", "silence", "nan"])
def test_bad_sound_never_breaks_the_dance(dancer: Dancer, fault: str) -> None:
    sound = noise(0.1, 30)
    if fault == "clipping":
        sound = np.clip(sound * 100, -1, 1).astype(np.float32)
    elif fault == "offset":
        sound = sound + np.float32(0.8)
    elif fault == "silence":
        sound[:] = 0
    else:
        sound[::7] = np.nan
    ensemble = Ensemble(dancer, [dancer.session(seed=2)])
    chunks = [chunk for (chunk,) in ensemble.feed(sound)]
    assert len(chunks) == 31
    assert all(np.isfinite(chunk.positions).all() for chunk in chunks)
    assert all(np.abs(np.linalg.norm(chunk.rotations, axis=-1) - 1).max() < 1e-3 for chunk in chunks)
