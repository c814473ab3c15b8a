from __future__ import annotations

import math

import pytest

from bailando.training.restraint import Restraint


def test_the_cost_rises_by_its_rate_for_a_factor_of_e_and_falls_as_much() -> None:
    restraint = Restraint(0.2, 0.05)
    restraint.follow(math.e)
    assert float(restraint.cost) == pytest.approx(0.25)
    restraint.follow(math.exp(-2.0))
    assert float(restraint.cost) == pytest.approx(0.15)


def test_dances_at_the_speed_of_the_data_leave_it() -> None:
    restraint = Restraint(0.2, 0.05)
    restraint.follow(1.0)
    assert float(restraint.cost) == pytest.approx(0.2)


def test_a_rollout_that_stands_still_moves_it_no_further_than_a_slow_one() -> None:
    still, slow = Restraint(0.2, 0.05), Restraint(0.2, 0.05)
    still.follow(0.0)
    slow.follow(0.1)
    assert float(still.cost) == pytest.approx(float(slow.cost))


def test_it_leads_a_dance_to_the_speed_of_the_data() -> None:
    """A dance whose speed is the data's times e to the power of .5 less the cost."""
    restraint = Restraint(0.0, 0.2)
    for _ in range(60):
        restraint.follow(math.exp(0.5 - float(restraint.cost)))
    assert float(restraint.cost) == pytest.approx(0.5, abs=0.01)
