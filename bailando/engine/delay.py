"""The time from sound to motion, which may be changed without a gap between frames."""

from __future__ import annotations

_MAX_CHANGE_NS = 333_333


class SlewedDelay:
    """A delay that walks to its target by at most a fiftieth of a frame's time per frame.

    One thread calls `step`; `set` may be called from any.

    Parameters
    ----------
    delay_ns : int
        From a moment of the sound to the motion of that moment.
    """

    def __init__(self, delay_ns: int) -> None:
        self._target_ns = delay_ns
        self._current_ns: int | None = None

    @property
    def current_ns(self) -> int:
        """The delay in force, ns."""
        return self._target_ns if self._current_ns is None else self._current_ns

    def set(self, delay_ns: int) -> None:
        """Choose another delay; before the first frame it holds at once."""
        self._target_ns = delay_ns

    def step(self) -> int:
        """Return the delay of the next frame."""
        change_ns = self._target_ns - self.current_ns
        self._current_ns = self.current_ns + min(max(change_ns, -_MAX_CHANGE_NS), _MAX_CHANGE_NS)
        return self._current_ns
