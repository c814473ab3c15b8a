"""What may be changed while a dance runs: one queue, checked on entry, emptied at token boundaries."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bailando._native import now_ns
from bailando.engine.energy import MAX_ENERGY
from bailando.engine.groove import MAX_GROOVE
from bailando.engine.tempo import MAX_BPM, MIN_BPM, SharedBeat
from bailando.errors import ConfigError

ControlValue = str | int | float | None

MAX_SEED = 2**53 - 1
MAX_TEMPERATURE = 10.0
MIN_DELAY_MS = 10.0
MAX_DELAY_MS = 10_000.0
_MAX_WAITING = 256
FOLLOW = "follow"
"""Name of the control that `Controls.follow` makes; nobody can submit it."""


@dataclass(frozen=True)
class Control:
    """One change.

    Attributes
    ----------
    name : str
        One of `CONTROLS`.
    value : str, int, float or None
        What it sets.
    dancer : int or None
        Number of the dancer from 0; None means all.
    time_ns : int
        When it was asked for, on the clock of `bailando._native.now_ns`.
    beat : SharedBeat or None
        The beat to follow, of a control `FOLLOW`; None trusts the tracker again.
    """

    name: str
    value: ControlValue = None
    dancer: int | None = None
    time_ns: int = 0
    beat: SharedBeat | None = None


def _nothing(name: str, value: ControlValue) -> ControlValue:
    if value is not None:
        raise ConfigError(f"{name} takes no value; got {str(value)[:40]!r}")
    return None


def _text(name: str, value: ControlValue) -> ControlValue:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name} is {str(value)[:40]!r}; give a name")
    return value


def _number(lowest: float, highest: float) -> Callable[[str, ControlValue], ControlValue]:
    def check(name: str, value: ControlValue) -> ControlValue:
        wrong = isinstance(value, bool) or not isinstance(value, int | float)
        if wrong or not math.isfinite(float(value or 0)) or not lowest <= float(value or 0) <= highest:
            raise ConfigError(f"{name} is {str(value)[:40]!r}; give a number from {lowest:g} to {highest:g}")
        return float(value or 0)

    return check


def _seed(name: str, value: ControlValue) -> ControlValue:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise ConfigError(f"{name} is {str(value)[:40]!r}; give a whole number from 0 to {MAX_SEED}")
    return value


def _tempo(name: str, value: ControlValue) -> ControlValue:
    if value == 0:
        return 0.0
    return _number(MIN_BPM, MAX_BPM)(name, value)


CONTROLS: Mapping[str, Callable[[str, ControlValue], ControlValue]] = {
    "start": _nothing,
    "stop": _nothing,
    "next": _nothing,
    "style": _text,
    "energy": _number(0.0, MAX_ENERGY),
    "groove": _number(0.0, MAX_GROOVE),
    "temperature": _number(0.0, MAX_TEMPERATURE),
    "seed": _seed,
    "reset": _nothing,
    "recentre": _nothing,
    "delay": _number(MIN_DELAY_MS, MAX_DELAY_MS),
    "tempo": _tempo,
    "tap": _nothing,
}
"""Name of each control and what checks its value."""

ONE_DANCER = frozenset(
    {"start", "stop", "style", "energy", "groove", "temperature", "seed", "reset", "recentre"}
)
"""Controls that may be meant for one dancer alone."""


@dataclass
class Wish:
    """What was last asked of one dancer, which the dance follows at the next token."""

    style: str
    energy: float
    running: bool = True


class Controls:
    """The queue between whoever controls and the dance.

    Any thread may `submit`; the dance takes all at the next token boundary (every 133 ms), in order.

    Parameters
    ----------
    styles : sequence of str
        Styles that the bundle has.
    wishes : sequence of Wish
        One for each dancer, as it begins.
    can_skip : bool
        Whether there is a next song.
    """

    def __init__(self, styles: tuple[str, ...], wishes: tuple[Wish, ...], can_skip: bool = True) -> None:
        self.styles = styles
        self.wishes = wishes
        self._can_skip = can_skip
        self._waiting: deque[Control] = deque()
        self._beats: deque[SharedBeat | None] = deque(maxlen=1)

    def submit(self, name: str, value: ControlValue = None, dancer: int | None = None) -> None:
        """Ask for a change.

        Parameters
        ----------
        name : str
            One of `CONTROLS`.
        value : optional
            What it sets, of the kind and range that `CONTROLS` checks.
        dancer : int, optional
            Number of one dancer from 0; None means all.

        Raises
        ------
        ConfigError
            If there is no such control, dancer or style, or the value is out of range; nothing is
            changed then.
        """
        if name not in CONTROLS:
            raise ConfigError(f"unknown control {name[:40]!r}; choose from {', '.join(CONTROLS)}")
        checked = CONTROLS[name](name, value)
        if name == "style" and checked not in self.styles:
            raise ConfigError(
                f"unknown style {str(checked)[:40]!r}; this bundle has {', '.join(self.styles)}"
            )
        if name == "next" and not self._can_skip:
            raise ConfigError("next: a device has no next song; only song files do")
        if dancer is not None:
            self._check_dancer(name, dancer)
        if len(self._waiting) >= _MAX_WAITING:
            raise ConfigError(f"{_MAX_WAITING} changes wait for the dance already; try again in a second")
        self._note(name, checked, dancer)
        self._waiting.append(Control(name, checked, dancer, now_ns()))

    def follow(self, beat: SharedBeat | None) -> None:
        """Take tempo and phase from a shared beat, or from the tracker again; only the newest counts."""
        self._beats.append(beat)

    def take(self) -> list[Control]:
        """Return what was asked for since the last call; for one thread."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        if self._beats:
            taken.append(Control(FOLLOW, beat=self._beats.pop()))
        return taken

    def _check_dancer(self, name: str, dancer: int) -> None:
        if name not in ONE_DANCER:
            raise ConfigError(f"{name} is for all dancers at once; leave the dancer's number out")
        if not 0 <= dancer < len(self.wishes):
            raise ConfigError(f"no dancer {dancer}; there are {len(self.wishes)}, counted from 0")

    def _note(self, name: str, value: ControlValue, dancer: int | None) -> None:
        """Keep the wish, so that it can be shown before the dance has followed it."""
        for wish in self.wishes if dancer is None else (self.wishes[dancer],):
            if name == "style":
                wish.style = str(value)
            elif name == "energy":
                wish.energy = float(value or 0.0)
            elif name in ("start", "stop"):
                wish.running = name == "start"
