"""Feet that swing clear of the floor: what a quantised step has lost of its height.

Codes are averages of many steps, and an average of steps that rise at different moments hardly
rises at all: decoded feet drag themselves over the floor. A foot that is in no contact and moves
along the floor is therefore raised as a whole, ankle and toes alike, by what it lacks of the height
that the toes of recorded dances have at that speed. The lift is a critically damped spring: neither
height nor speed jumps, and no future frame is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Point = tuple[float, float, float]


@dataclass(frozen=True)
class SwingConfig:
    """Constants per frame (see `BodyConfig` for what they mean)."""

    clearance_m: float
    """Height of the toe joint in a full swing; 0 lifts nothing."""
    slow_m: float
    fast_m: float
    """Movements along the floor per frame from which on a foot swings, and swings fully."""
    rate: float
    """Of the spring."""
    contact: float
    """Probability of a contact from which on nothing is lifted, so that a foot is down when it is pinned."""


@dataclass(frozen=True)
class Swing:
    """How far a foot is raised above the animation, metres, and its change per frame."""

    lift: float = 0.0
    speed: float = 0.0


def swing(foot: Swing, before: Point, now: Point, contact: float, config: SwingConfig) -> Swing:
    """Go on by one frame.

    Parameters
    ----------
    foot : Swing
        After the frame before.
    before, now : (float, float, float)
        The animation's toes in the frame before and in this one, metres, on one root.
    contact : float
        Probability that ankle or toes touch the floor.
    config : SwingConfig
        Constants.
    """
    moved = math.hypot(now[0] - before[0], now[2] - before[2])
    share = min(max((moved - config.slow_m) / (config.fast_m - config.slow_m), 0.0), 1.0)
    goal = max(config.clearance_m - max(now[1], 0.0), 0.0) * share * max(1.0 - contact / config.contact, 0.0)
    decay = math.exp(-config.rate)
    error = foot.lift - goal
    push = foot.speed + config.rate * error
    lift, speed = goal + (error + push) * decay, (foot.speed - config.rate * push) * decay
    return Swing() if max(lift, abs(speed)) < 1e-6 else Swing(lift, speed)
