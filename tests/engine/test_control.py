"""Changes while the dance runs: checked at once, done at the next token."""

from __future__ import annotations

import numpy as np
import pytest

from bailando.engine.control import CONTROLS, Controls, ControlValue, Wish
from bailando.engine.dancer import Dancer
from bailando.engine.performance import Ensemble, Together, new_controls
from bailando.errors import ConfigError

RATE = 24000
TOKEN = 3200


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def ensemble_of(dancer: Dancer, count: int = 1) -> Ensemble:
    return Ensemble(dancer, [dancer.session(seed=5 + number) for number in range(count)])


def danced(
    dancer: Dancer, changes: dict[int, tuple[str, ControlValue]], tokens: int = 30, seed: int = 5
) -> list[Together]:
    """Dance with changes asked for before the sound of given tokens is heard."""
    ensemble = Ensemble(dancer, [dancer.session(seed=seed)])
    chunks = ensemble.feed(np.empty(0, np.float32))
    for token, block in enumerate(sound(tokens * TOKEN / RATE).reshape(tokens, TOKEN), start=1):
        if token in changes:
            ensemble.controls.submit(*changes[token])
        chunks += ensemble.feed(block)
    return chunks


def codes(chunks: list[Together]) -> list[tuple[int, int]]:
    return [(chunk.upper_code, chunk.lower_code) for (chunk,) in chunks]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("jump", None, "unknown control"),
        ("start", 1, "takes no value"),
        ("style", "polka", "open, salsa, waltz"),
        ("style", 3, "give a name"),
        ("energy", 2.1, "from 0 to 2"),
        ("energy", float("nan"), "from 0 to 2"),
        ("energy", True, "from 0 to 2"),
        ("groove", 2.1, "from 0 to 2"),
        ("energy", None, "from 0 to 2"),
        ("temperature", -0.1, "from 0 to 10"),
        ("seed", 1.5, "whole number"),
        ("seed", -1, "whole number"),
        ("delay", 5, "from 10"),
        ("tempo", 500, "from 40 to 240"),
    ],
)
def test_impossible_change_is_refused_and_changes_nothing(
    dancer: Dancer, name: str, value: ControlValue, words: str
) -> None:
    controls = ensemble_of(dancer).controls
    with pytest.raises(ConfigError, match=words):
        controls.submit(name, value)
    assert controls.take() == []
    assert controls.wishes == (Wish("open", 1.0, True),)


def test_flood_of_changes_is_refused_before_memory_runs_out(dancer: Dancer) -> None:
    controls = ensemble_of(dancer).controls
    for _ in range(256):
        controls.submit("tap")
    with pytest.raises(ConfigError, match="wait for the dance"):
        controls.submit("tap")
    assert len(controls.take()) == 256


def test_device_has_no_next_song(dancer: Dancer) -> None:
    with pytest.raises(ConfigError, match="no next song"):
        new_controls([dancer.session()], dancer.manifest.styles, can_skip=False).submit("next")


def test_change_takes_effect_from_the_next_token_on(dancer: Dancer) -> None:
    plain, changed = danced(dancer, {}), danced(dancer, {10: ("style", "salsa")})
    assert codes(plain)[:10] == codes(changed)[:10]
    assert codes(plain)[10:] != codes(changed)[10:]


def test_seed_changes_what_is_drawn_from_then_on(dancer: Dancer) -> None:
    plain, one, other = (danced(dancer, changes) for changes in ({}, {9: ("seed", 77)}, {9: ("seed", 77)}))
    assert codes(one) == codes(other)
    assert codes(plain)[:9] == codes(one)[:9]
    assert codes(plain)[9:] != codes(one)[9:]


def test_temperature_zero_makes_seeds_agree(dancer: Dancer) -> None:
    changes: dict[int, tuple[str, ControlValue]] = {1: ("temperature", 0.0), 2: ("reset", None)}
    runs = [codes(danced(dancer, changes, seed=seed)) for seed in range(20)]
    starts = {run[2] for run in runs}
    assert len({tuple(run[2:]) for run in runs}) == len(starts)


def test_reset_dances_as_a_fresh_session_and_numbers_go_on(dancer: Dancer) -> None:
    chunks = [chunk for (chunk,) in danced(dancer, {12: ("reset", None)})]
    assert [chunk.first_frame for chunk in chunks] == [8 * token for token in range(31)]
    assert [chunk.cut for chunk in chunks] == [token == 12 for token in range(31)]
    fresh = dancer.session(seed=5).step(None)
    np.testing.assert_array_equal(chunks[12].positions, fresh.positions)


def test_recentre_puts_the_dancer_back_on_its_place(dancer: Dancer) -> None:
    chunks = [chunk for (chunk,) in danced(dancer, {20: ("recentre", None)})]
    away = np.hypot(*chunks[19].root_position[-1, [0, 2]])
    back = np.hypot(*chunks[20].root_position[0, [0, 2]])
    assert away > 0.05
    assert back < 0.02
    assert chunks[20].cut
    assert codes(danced(dancer, {20: ("recentre", None)})) == codes(danced(dancer, {}))


def test_stop_comes_to_rest_without_a_jump_and_start_moves_again(dancer: Dancer) -> None:
    changes: dict[int, tuple[str, ControlValue]] = {10: ("stop", None), 25: ("start", None)}
    chunks = [chunk for (chunk,) in danced(dancer, changes, tokens=40)]
    steps = [float(np.abs(np.diff(chunk.root_position[:, [0, 2]], axis=0)).max()) for chunk in chunks]
    assert max(steps[17:25]) < 0.1 * max(steps[:10])
    assert max(steps[33:]) > 0.3 * max(steps[:10])
    assert 0 < steps[11] < max(steps[:10])


def test_one_dancer_may_be_changed_alone(dancer: Dancer) -> None:
    ensemble = ensemble_of(dancer, 2)
    ensemble.feed(sound(0.5))
    ensemble.controls.submit("energy", 0.5, dancer=1)
    ensemble.controls.submit("style", "salsa", dancer=0)
    ensemble.feed(sound(0.5))
    assert [session.options.energy for session in ensemble.sessions] == [1.0, 0.5]
    assert [session.options.style for session in ensemble.sessions] == ["salsa", "open"]
    assert ensemble.controls.wishes == (Wish("salsa", 1.0), Wish("open", 0.5))


@pytest.mark.parametrize(("name", "number"), [("energy", 2), ("energy", -1), ("next", 0)])
def test_dancer_who_is_not_there_and_what_concerns_all_are_refused(
    dancer: Dancer, name: str, number: int
) -> None:
    with pytest.raises(ConfigError):
        ensemble_of(dancer, 2).controls.submit(name, 1.0 if name == "energy" else None, dancer=number)


def test_what_concerns_the_show_goes_to_whoever_runs_it(dancer: Dancer) -> None:
    seen: list[str] = []
    ensemble = Ensemble(dancer, [dancer.session()], on_control=lambda control: seen.append(control.name))
    for name, value in (("next", None), ("delay", 200.0), ("tap", None)):
        ensemble.controls.submit(name, value)
    ensemble.feed(sound(0.2))
    assert seen == ["next", "delay", "tap"]


def test_tempo_hint_overrules_the_tracker_until_it_is_taken_back(dancer: Dancer) -> None:
    ensemble = ensemble_of(dancer)
    ensemble.feed(sound(1.0))
    ensemble.controls.submit("tempo", 93.0)
    ensemble.feed(sound(0.2))
    ensemble.feed(sound(0.2))
    assert ensemble.listener.reading.bpm == pytest.approx(93.0, abs=0.01)
    ensemble.controls.submit("tempo", 0)
    ensemble.feed(sound(0.2))
    ensemble.feed(sound(0.2))
    assert ensemble.listener.reading.bpm != pytest.approx(93.0, abs=0.01)


def test_all_controls_are_carried_out(dancer: Dancer) -> None:
    values: dict[str, ControlValue] = {
        "style": "salsa", "energy": 1, "groove": 1, "temperature": 1, "seed": 1, "delay": 60, "tempo": 120
    }  # fmt: skip
    controls: Controls = ensemble_of(dancer).controls
    ensemble = Ensemble(dancer, [dancer.session()], controls)
    for name in CONTROLS:
        controls.submit(name, values.get(name))
    ensemble.feed(sound(0.3))
    assert controls.take() == []
