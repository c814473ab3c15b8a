"""The body looks right: feet that stay where they stand and swing free, nothing below the floor.

A causal stage after decoding: it looks at no future frame, adds no delay, draws nothing at random and
gives the same frames however they are cut into chunks. Its state is explicit and is never changed in
place, so keeping a reference to it is a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bailando._native import Footholds
from bailando.errors import InputError
from bailando.motion.ik import Legs, solve_legs
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.motion import Motion
from bailando.motion.rotations import identity, normalize
from bailando.motion.skeleton import CONTACT_JOINTS, JOINT_NAMES, Skeleton
from bailando.motion.smoothing import one_euro

ANKLE_FLOOR_M = 0.04
"""Lowest an ankle joint can be: a foot that lies on its instep."""

_LEGS = np.array([[1, 4, 7, 10], [2, 5, 8, 11]])
_FEET = np.array(CONTACT_JOINTS)
_FLOOR = np.array([ANKLE_FLOOR_M, ANKLE_FLOOR_M, 0.0, 0.0])
_SOFT_M = 0.003
# Toes slower than the first stand, faster than the second swing.
_SWING_SLOW_M_S, _SWING_FAST_M_S = 0.2, 0.6

Array = npt.NDArray[np.floating[Any]]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BodyConfig:
    """What is put right, each part on its own.

    Parameters
    ----------
    foot_lock : bool
        Hold feet in contact where they are and lift those that swing; legs follow by two-bone kinematics.
    floor : bool
        Keep ankles and toes above the floor.
    smoothing : bool
        One-euro filter on rotations and root (no look-ahead; adds some lag to slow movement).
    root_follow : bool
        Let the root follow held feet and be lifted with both of them.
    contact_on, contact_off : float
        Probabilities at which a contact starts and ends.
    max_drift_m : float
        A held foot is let go when the animation is farther away.
    release_s, engage_s : float
        Time in which nine tenths of a released foot's offset, or of an arriving foot's speed, go.
    root_follow_s : float
        Time constant with which the root follows held feet.
    root_return_s : float
        Time constant with which the root comes back to the animation.
    root_range_m : float
        Distance from which on it comes back faster.
    swing_height_m : float
        Height that the toe joint of a foot without contact comes near to while it moves; 0 lifts no foot.
        7 cm give the toes of the default dancer, where they are faster than 0.5 m/s, the median height that
        they have in its data.
    swing_s : float
        Time in which nine tenths of that lift come or go.
    fps : float
        Frames a second.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    foot_lock: bool = True
    floor: bool = True
    smoothing: bool = False
    root_follow: bool = True
    contact_on: float = 0.5
    contact_off: float = 0.3
    max_drift_m: float = 0.16
    release_s: float = 0.15
    engage_s: float = 0.1
    root_follow_s: float = 0.1
    root_return_s: float = 4.0
    root_range_m: float = 0.3
    swing_height_m: float = 0.07
    swing_s: float = 0.15
    fps: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.contact_off <= self.contact_on <= 1:
            raise InputError(
                f"body got contact_off={self.contact_off} and contact_on={self.contact_on}; "
                "expected 0 <= contact_off <= contact_on <= 1"
            )
        if not (np.isfinite(self.swing_height_m) and self.swing_height_m >= 0):
            raise InputError(f"body got swing_height_m={self.swing_height_m}; expected 0 or more metres")
        times = ("release_s", "engage_s", "root_follow_s", "root_return_s", "swing_s")
        for name in (*times, "max_drift_m", "root_range_m", "fps"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"body got {name}={value}; expected a positive number")
        for name in times:
            if getattr(self, name) * self.fps < 3:
                raise InputError(f"body got {name}={getattr(self, name)}; expected at least three frames")


@dataclass(frozen=True, eq=False)
class BodyState:
    """What the next chunk needs to know; made by `BodyState()` for the first.

    Parameters
    ----------
    holds : ndarray, shape (S,)
        Contact points, swings and the root's shift, as `Footholds` left them.
    rotations : ndarray, shape (24, 4), optional
        The last frame after the jitter filter; none before the first frame.
    root_position : ndarray, shape (3,), optional
        Likewise, metres.
    rotation_speed, root_speed : ndarray, shapes (24, 4) and (3,)
        Derivatives of the jitter filter, per second.
    """

    holds: Array = field(default_factory=Footholds.first_state)
    rotations: Array | None = None
    root_position: Array | None = None
    rotation_speed: Array = field(default_factory=lambda: np.zeros((24, 4)))
    root_speed: Array = field(default_factory=lambda: np.zeros(3))


def refine(
    rotations: npt.NDArray[np.floating[Any]],
    root_position: npt.NDArray[np.floating[Any]],
    contacts: npt.NDArray[np.floating[Any]],
    state: BodyState,
    config: BodyConfig,
    skeleton: Skeleton,
) -> tuple[Float32Array, Float32Array, BodyState]:
    """Put a chunk of frames of one body right: `refine_together` of it alone.

    Parameters
    ----------
    rotations, root_position, contacts : ndarray, shapes (n, 24, 4), (n, 3) and (n, 4)
    state, config, skeleton
        As there.

    Returns
    -------
    rotations, root_position : ndarray, shapes (n, 24, 4) and (n, 3), float32
    state : BodyState
        After the last frame.
    """
    refined, root, (after,) = refine_together(
        rotations[None], root_position[None], contacts[None], (state,), config, skeleton
    )
    return refined[0], root[0], after


def refine_together(
    rotations: npt.NDArray[np.floating[Any]],
    root_position: npt.NDArray[np.floating[Any]],
    contacts: npt.NDArray[np.floating[Any]],
    states: Sequence[BodyState],
    config: BodyConfig,
    skeleton: Skeleton,
) -> tuple[Float32Array, Float32Array, list[BodyState]]:
    """Put a chunk of frames of each of N bodies right; each becomes what it would become alone.

    Frames with numbers that are not finite repeat the frame before.

    Parameters
    ----------
    rotations : ndarray, shape (N, n, 24, 4)
        Local rotations, `xyzw`; n may be 0.
    root_position : ndarray, shape (N, n, 3)
        Metres, floor at y = 0.
    contacts : ndarray, shape (N, n, 4)
        Probabilities: left ankle, right ankle, left toes, right toes.
    states : sequence of BodyState
        After the frames before, one for each body.
    config : BodyConfig
        What to do.
    skeleton : Skeleton
        The body of 24 joints.

    Returns
    -------
    rotations : ndarray, shape (N, n, 24, 4), float32
    root_position : ndarray, shape (N, n, 3), float32
    states : list of BodyState
        After the last frame.

    Raises
    ------
    InputError
        If shapes disagree or the skeleton is not the one of 24 joints.
    """
    shape = len(states), root_position.shape[1]
    got = rotations.shape, root_position.shape, contacts.shape
    if got != ((*shape, 24, 4), (*shape, 3), (*shape, 4)):
        raise InputError(
            "body got rotations {}, root_position {} and contacts {}; expected (n, 24, 4), (n, 3) and "
            "(n, 4) of each body".format(*(given[1:] for given in got))
        )
    if skeleton.joint_names != JOINT_NAMES:
        raise InputError("body got a skeleton of other joints; expected the 24 of the SMPL order")
    if 0 in shape:
        return rotations.astype(np.float32), root_position.astype(np.float32), list(states)
    local, root = _repair(rotations.astype(np.float64), root_position.astype(np.float64), states)
    speeds = [(state.rotation_speed, state.root_speed) for state in states]
    if config.smoothing:
        local, root, speeds = _smooth(local, root, states, config.fps)
    holds: Array = np.stack([state.holds for state in states])
    last = zip(local[:, -1].copy(), root[:, -1].copy(), strict=True)
    if config.foot_lock or config.floor:
        chance = np.nan_to_num(contacts.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
        local, root, holds = _ground(local, root, chance, holds, config, skeleton)
    after = [BodyState(hold, *end, *speed) for hold, end, speed in zip(holds, last, speeds, strict=True)]
    return local.astype(np.float32), root.astype(np.float32), after


def refine_motion(motion: Motion, config: BodyConfig | None = None) -> Motion:
    """Put a whole motion right (see `refine`); its codes and contacts stay."""
    config = config or BodyConfig(fps=motion.fps)
    rotations, root_position, _ = refine(
        motion.rotations, motion.root_position, motion.contacts, BodyState(), config, motion.skeleton
    )
    return Motion(
        rotations,
        root_position,
        motion.contacts,
        motion.fps,
        motion.skeleton,
        motion.upper_codes,
        motion.lower_codes,
    )


def _repair(rotations: Array, roots: Array, states: Sequence[BodyState]) -> tuple[Array, Array]:
    """Unit quaternions; frames that are not finite repeat the last good one."""
    for turns, road, state in zip(rotations, roots, states, strict=True):
        good = np.isfinite(turns).all(axis=(-1, -2)) & np.isfinite(road).all(axis=-1)
        if good.all():
            continue
        last_rotations = identity((24,)) if state.rotations is None else state.rotations
        last_root = np.array([0.0, 0.9, 0]) if state.root_position is None else state.root_position
        for frame in range(len(good)):
            if not good[frame]:
                turns[frame], road[frame] = last_rotations, last_root
            last_rotations, last_root = turns[frame], road[frame]
    return normalize(rotations), roots


def _smooth(
    rotations: Array, roots: Array, states: Sequence[BodyState], fps: float
) -> tuple[Array, Array, list[tuple[Array, Array]]]:
    """Filtered rotations and roots, and the derivatives after the last frame."""
    speeds = []
    for local, root, state in zip(rotations, roots, states, strict=True):
        last = local[0] if state.rotations is None else state.rotations
        last_root = root[0] if state.root_position is None else state.root_position
        local[...], speed = one_euro(local, last, state.rotation_speed, fps, unit=True)
        places, root_speed = one_euro(
            root[:, None, :], last_root[None, :], state.root_speed[None, :], fps, unit=False
        )
        root[...] = places[:, 0]
        speeds.append((speed, root_speed[0]))
    return rotations, roots, speeds


def _ground(
    rotations: Array,
    root: Array,
    contacts: Array,
    holds: Array,
    config: BodyConfig,
    skeleton: Skeleton,
) -> tuple[Array, Array, Array]:
    """Hold feet and keep them above the floor."""
    # Products of a single frame are rounded otherwise: two are always placed.
    frames = root.shape[1]
    at_least_two = [0, 0] if frames == 1 else slice(None)
    positions, world = forward_kinematics(skeleton, rotations[:, at_least_two], root[:, at_least_two])
    positions, world = positions[:, :frames], world[:, :frames]
    targets, shifts, holds = _targets(positions[:, :, _FEET], contacts, holds, config, skeleton)
    positions += shifts[:, :, None]
    root = root + shifts
    if config.floor:
        targets[..., 1] = _above(targets[..., 1], _FLOOR)
    legs = Legs(
        positions[:, :, _LEGS], world[:, :, _LEGS], np.repeat(world[:, :, None, 0], len(_LEGS), axis=2)
    )
    tip = np.array(skeleton.tip_m(10))
    solved = solve_legs(legs, targets[:, :, :2], targets[:, :, 2:], tip, config.floor)
    rotations = rotations.copy()
    rotations[:, :, _LEGS] = solved
    return rotations, root, holds


def _targets(
    feet: Array, contacts: Array, holds: Array, config: BodyConfig, skeleton: Skeleton
) -> tuple[Array, Array, Array]:
    """Places (N, n, 4, 3) of the contact points, shifts (N, n, 3) of the root and the states after."""
    if not config.foot_lock:
        contacts = np.zeros_like(contacts)
    low = np.maximum(_FLOOR - feet[..., 1], 0) if config.floor else np.zeros(feet.shape[:-1])
    lows = np.maximum(low[..., :2], low[..., 2:])
    footholds = _footholds(config, skeleton)
    offsets, shifts, after = footholds.follow(holds, feet, lows, contacts)
    return feet + shifts[:, :, None] + offsets, shifts, after


@lru_cache(maxsize=16)
def _footholds(config: BodyConfig, skeleton: Skeleton) -> Footholds:
    """Turn times into rates per frame, on this body."""
    ninety_percent = 3.9  # (1 + x)·exp(-x) = 0.1, a critically damped spring
    return Footholds(
        on=config.contact_on,
        off=config.contact_off,
        max_drift_m=config.max_drift_m,
        release_rate=ninety_percent / (config.release_s * config.fps),
        engage_rate=1.0 - 0.1 ** (1 / (config.engage_s * config.fps)),
        ankle_m=-float(skeleton.offsets[10, 1]),
        root_rate=1 / (config.root_follow_s * config.fps) if config.root_follow else 0.0,
        root_return=1 / (config.root_return_s * config.fps),
        root_range_m=config.root_range_m,
        swing_clearance_m=config.swing_height_m if config.foot_lock else 0.0,
        swing_slow_m=_SWING_SLOW_M_S / config.fps,
        swing_fast_m=_SWING_FAST_M_S / config.fps,
        swing_rate=ninety_percent / (config.swing_s * config.fps),
    )


def _above(heights: Array, floor: Array) -> Array:
    """Heights that come to rest on the floor: unchanged from a few millimetres above it on."""
    room = heights - floor - _SOFT_M
    soft = _SOFT_M * np.exp(np.minimum(room, 0) / _SOFT_M)
    return np.where(room < 0, floor + soft, heights)
