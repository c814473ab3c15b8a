"""Where feet should be: contact points that are pinned to the floor and let go softly.

A contact point (ankle or toes of a foot) is the animation plus an offset. While it is pinned the
offset is whatever keeps the point in place; once let go, the offset dies out like a critically
damped spring that starts with the offset's own speed. So neither place nor speed ever jumps. The
root follows the offsets of pinned feet slowly, so that a drifting root does not stretch legs.

All of it is a recursion over frames on a few numbers; plain floats are faster than small arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from bailando.motion.swings import Swing, SwingConfig, swing

Vector = tuple[float, float, float]
_ZERO: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class HoldConfig:
    """Constants of footholds per frame (see `BodyConfig` for what they mean)."""

    on: float
    off: float
    max_drift_m: float
    release_rate: float
    engage_rate: float
    stand_m: tuple[float, float]
    """Heights of ankle and toes of a flat foot."""
    root_rate: float
    root_return: float
    root_range_m: float
    swing: SwingConfig


@dataclass(frozen=True)
class Foothold:
    """One contact point.

    Parameters
    ----------
    offset, velocity : (float, float, float)
        From the animation to the point, metres, and its change per frame.
    pin, pin_velocity : (float, float, float)
        Place where the point is held, metres; what is left of its speed on arrival, m per frame.
    locked : bool
        Whether it is held.
    armed : bool
        Whether it may be: not after it was torn away, before the animation came back to it.
    """

    offset: Vector = _ZERO
    velocity: Vector = _ZERO
    pin: Vector = _ZERO
    pin_velocity: Vector = _ZERO
    locked: bool = False
    armed: bool = True


@dataclass(frozen=True)
class HoldState:
    """All contact points (left ankle, right ankle, left toes, right toes) and the root's shift.

    Parameters
    ----------
    points : tuple of Foothold
        Four of them.
    shift, shift_velocity : (float, float, float)
        From the animation's root to the root, metres, and its change per frame.
    feet : tuple of (float, float, float)
        The animation's contact points in the last frame, lifted and shifted; empty before the first.
    swings : tuple of Swing
        How far each foot (left, right) was lifted.
    """

    points: tuple[Foothold, ...] = (Foothold(),) * 4
    shift: Vector = _ZERO
    shift_velocity: Vector = _ZERO
    feet: tuple[Vector, ...] = field(default=())
    swings: tuple[Swing, Swing] = (Swing(), Swing())


def advance(
    state: HoldState, feet: list[Vector], lifts: list[float], contacts: list[float], config: HoldConfig
) -> HoldState:
    """Go on by one frame.

    Parameters
    ----------
    state : HoldState
        Of the frame before.
    feet : list of (float, float, float)
        The animation's contact points, metres.
    lifts : list of float
        How far each foot (left, right) is below the floor, metres; 0 if it is not.
    contacts : list of float
        Probability of each contact.
    config : HoldConfig
        Constants.
    """
    shift, shift_velocity = _follow_feet(state, lifts, config)
    shifted = tuple(_add(foot, shift) for foot in feet)
    before = state.feet or shifted
    swings = _swing(state, before, shifted, contacts, config)
    shifted = tuple(_add(foot, (0.0, swings[i % 2].lift, 0.0)) for i, foot in enumerate(shifted))
    held = [
        _hold(point, before[i], shifted[i], contacts[i], config.stand_m[i // 2], config)
        for i, point in enumerate(state.points)
    ]
    points = tuple(
        point if point.locked else _release(point, held[i ^ 2], config.release_rate)
        for i, point in enumerate(held)
    )
    return HoldState(points, shift, shift_velocity, shifted, swings)


def _swing(
    state: HoldState,
    before: tuple[Vector, ...],
    now: tuple[Vector, ...],
    contacts: list[float],
    config: HoldConfig,
) -> tuple[Swing, Swing]:
    """Lift of both feet."""
    left, right = (
        swing(state.swings[foot], before[foot + 2], now[foot + 2], max(contacts[foot::2]), config.swing)
        for foot in range(2)
    )
    return left, right


def _hold(
    point: Foothold, before: Vector, now: Vector, contact: float, stand_m: float, config: HoldConfig
) -> Foothold:
    """Engage, keep or let go one point; a free one is returned with its old offset."""
    drift = math.hypot(*point.offset)
    armed = point.armed or contact < config.off or drift < 0.25 * config.max_drift_m
    wanted = contact >= (config.off if point.locked else config.on)
    if not wanted or not armed:
        return replace(point, locked=False, armed=armed)
    if point.locked:
        pin, speed = point.pin, point.pin_velocity
    else:
        pin, speed = _add(before, point.offset), _add(_subtract(now, before), point.velocity)
    keep = 1.0 - config.engage_rate
    speed = (speed[0] * keep, speed[1] * keep, speed[2] * keep)
    x, y, z = _add(pin, speed)
    pin = (x, y + (stand_m - y) * config.engage_rate, z)
    offset = _subtract(pin, now)
    if math.hypot(*offset) > config.max_drift_m:
        return replace(point, locked=False, armed=False)
    return Foothold(offset, _subtract(offset, point.offset), pin, speed, True, True)


def _release(point: Foothold, partner: Foothold, rate: float) -> Foothold:
    """Let the offset of a free point die out, or join that of the same foot's pinned point."""
    goal, drift = (partner.offset, partner.velocity) if partner.locked else (_ZERO, _ZERO)
    decay = math.exp(-rate)
    offset, velocity = [], []
    for axis in range(3):
        error = point.offset[axis] - (goal[axis] - drift[axis])
        change = point.velocity[axis] - drift[axis]
        push = change + rate * error
        offset.append(goal[axis] + (error + push) * decay)
        velocity.append(drift[axis] + (change - rate * push) * decay)
    if max(map(abs, (*offset, *velocity))) < 1e-6:
        return replace(point, offset=_ZERO, velocity=_ZERO)
    return replace(
        point, offset=(offset[0], offset[1], offset[2]), velocity=(velocity[0], velocity[1], velocity[2])
    )


def _follow_feet(state: HoldState, lifts: list[float], config: HoldConfig) -> tuple[Vector, Vector]:
    """Shift of the root and its speed: a damped spring to the pinned feet, slowly back without them."""
    goal = _wanted_shift(state.points, lifts)
    rate = config.root_rate
    size = math.hypot(state.shift[0], state.shift[2]) / config.root_range_m
    back = config.root_return * (1.0 + size * size)
    shift, velocity = [], []
    for axis, leak in enumerate((back, 8.0 * config.root_return, back)):
        speed = state.shift_velocity[axis] * (1.0 - 2.0 * rate) + rate * rate * goal[axis]
        place = (state.shift[axis] + speed) * (1.0 - leak)
        settled = abs(place) < 1e-7 and abs(speed) < 1e-7
        shift.append(0.0 if settled else place)
        velocity.append(0.0 if settled else speed)
    return (shift[0], shift[1], shift[2]), (velocity[0], velocity[1], velocity[2])


def _wanted_shift(points: tuple[Foothold, ...], lifts: list[float]) -> Vector:
    """Mean offset of the pinned feet; upwards what every foot on the floor agrees on."""
    offsets, rises = [], []
    for foot in range(2):
        ankle, toes = points[foot], points[foot + 2]
        if toes.locked or ankle.locked:
            offset = toes.offset if toes.locked else ankle.offset
            offsets.append(offset)
            rises.append(max(offset[1], lifts[foot]))
        elif lifts[foot] > 0:
            rises.append(lifts[foot])
    x = sum(offset[0] for offset in offsets) / max(len(offsets), 1)
    z = sum(offset[2] for offset in offsets) / max(len(offsets), 1)
    if not rises or min(rises) < 0 < max(rises):
        return x, 0.0, z
    return x, min(rises, key=abs), z


def _add(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _subtract(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]
