"""From samples to motion: the one path that both the live engine and the offline generator take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.control import FOLLOW, Control, Controls, Wish
from bailando.engine.dancer import Dancer
from bailando.engine.listener import Listener, MusicReading, MusicToken
from bailando.engine.session import MotionChunk, Session, step_together
from bailando.engine.silence import DEFAULT_THRESHOLD_DB, IDLE_ACTIVITY
from bailando.errors import ConfigError

__all__ = ["Ensemble", "MusicReading", "Performance", "frame_count"]

Together = tuple[MotionChunk, ...]
"""The chunks of one token, one for each dancer."""


class Ensemble:
    """One listener and the sessions that dance to it, token by token, each network run once for all.

    Parameters
    ----------
    dancer : Dancer
    sessions : sequence of Session
        Fresh sessions of that dancer.
    controls : Controls, optional
        What may be changed meanwhile; None makes a queue that nobody else knows.
    on_control : callable, optional
        Gets the controls that are no business of a session: next, delay, tap, `FOLLOW`.
    silence_threshold_db : float

    Attributes
    ----------
    listener : Listener
    controls : Controls
    idle : bool
        Whether the dancers idle for want of music.
    """

    def __init__(
        self,
        dancer: Dancer,
        sessions: Sequence[Session],
        controls: Controls | None = None,
        on_control: Callable[[Control], None] = lambda _: None,
        silence_threshold_db: float = DEFAULT_THRESHOLD_DB,
    ) -> None:
        self.sessions = tuple(sessions)
        self.listener = Listener(dancer, silence_threshold_db)
        self.controls = controls or new_controls(self.sessions, dancer.manifest.styles)
        self.idle = False
        self._on_control = on_control
        self._running = [True] * len(self.sessions)
        self._skip_tokens = dancer.manifest.music_lead_tokens
        self._closing_samples = (
            dancer.delay_tokens * dancer.manifest.frames_per_token * dancer.feature_spec.hop_length
        )

    def feed(self, samples: NDArray[np.floating[Any]]) -> list[Together]:
        """Take samples and return the chunks that became ready; see `Performance.feed`."""
        ready = [] if self.sessions[0].token else [self._step(None)]
        self.listener.hear(samples)
        while (token := self.listener.next_token()) is not None:
            if self._skip_tokens:
                self._skip_tokens -= 1
            else:
                ready.append(self._step(token))
        return [chunks for chunks in ready if chunks[0].first_frame >= 0]

    def finish(self) -> list[Together]:
        """End the sound: return the chunks that were waiting for more of it, which is silence now."""
        heard = self.listener.samples
        ready = self.feed(np.zeros(self._closing_samples, np.float32)) if self._closing_samples else []
        self.listener.samples = heard
        return ready

    def _step(self, token: MusicToken | None) -> Together:
        """Carry out what was asked for, then dance one token."""
        for control in self.controls.take():
            self._obey(control)
        self.idle = token is not None and token.silent
        share = IDLE_ACTIVITY if self.idle else 1.0
        features = None if token is None else token.features
        return step_together(
            self.sessions, features, [share if running else 0.0 for running in self._running]
        )

    def _obey(self, control: Control) -> None:
        """Carry out one control."""
        if control.name == "tempo":
            if control.value:
                self.listener.tempo.hint(float(control.value))
            else:
                self.listener.tempo.clear()
            return
        if control.name in ("next", "delay", "tap", FOLLOW):
            self._on_control(control)
            return
        chosen = range(len(self.sessions)) if control.dancer is None else (control.dancer,)
        for number in chosen:
            if control.name in ("start", "stop"):
                self._running[number] = control.name == "start"
            else:
                _change(self.sessions[number], control, number)


def _change(session: Session, control: Control, number: int) -> None:
    """Carry out a control on one session; of one seed for all, each dancer gets its own."""
    if control.name in ("style", "energy", "groove", "temperature"):
        session.configure(**{control.name: control.value})
    elif control.name == "seed":
        session.reseed(int(control.value or 0) + (number if control.dancer is None else 0))
    elif control.name == "reset":
        session.reset()
    elif control.name == "recentre":
        session.recentre()
    else:
        raise ConfigError(f"unknown control {control.name!r}")


def new_controls(sessions: Sequence[Session], styles: Sequence[str], can_skip: bool = True) -> Controls:
    """Return a queue of controls for sessions as they are now."""
    wishes = tuple(Wish(session.options.style, session.options.energy) for session in sessions)
    return Controls(tuple(styles), wishes, can_skip)


class Performance:
    """One dancer to one stream of samples; the result does not depend on how samples are cut.

    Parameters
    ----------
    dancer : Dancer
    session : Session
        A fresh session of that dancer.

    Attributes
    ----------
    session : Session
    """

    def __init__(self, dancer: Dancer, session: Session) -> None:
        self.session = session
        self._ensemble = Ensemble(dancer, [session])

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the samples, Hz."""
        return self._ensemble.listener.sample_rate_hz

    @property
    def samples(self) -> int:
        """Samples taken so far."""
        return self._ensemble.listener.samples

    @property
    def replaced_samples(self) -> int:
        """NaN and infinite samples, which count as silence."""
        return self._ensemble.listener.replaced_samples

    @property
    def reading(self) -> MusicReading:
        """The newest feature frame in words."""
        return self._ensemble.listener.reading

    def feed(self, samples: NDArray[np.floating[Any]]) -> list[MotionChunk]:
        """Take samples and return the chunks that became ready.

        Token j is ready once the audio up to 8 j / 60 s was fed, or so many tokens later as the bundle
        looks ahead; token 0 of one without comes with the first call, which may be empty.

        Parameters
        ----------
        samples : (n,) float32
            Mono, at `sample_rate_hz`.
        """
        return [chunk for (chunk,) in self._ensemble.feed(samples)]

    def fork(self, dancer: Dancer) -> Performance:
        """Return an independent performance of the same dancer that goes on from here alike."""
        other = Performance(dancer, self.session.fork())
        other._ensemble.listener = deepcopy(self._ensemble.listener)
        return other

    def finish(self) -> list[MotionChunk]:
        """End the sound: return the chunks that were waiting for more of it, which is silence now."""
        return [chunk for (chunk,) in self._ensemble.finish()]


def frame_count(samples: int, sample_rate_hz: int, frame_rate_hz: int = 60) -> int:
    """Return how many frames cover a song of so many samples (the last one may reach beyond)."""
    return -(-samples * frame_rate_hz // sample_rate_hz)
