"""One dance: the explicit state that turns a shared model into a dancer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.backends import Arrays, Backend
from bailando.engine.body import (
    BODY,
    FLOOR,
    Body,
    BodyMemory,
    Channels,
    MotionChunk,
    place_together,
    usable,
)
from bailando.engine.energy import EnergyState
from bailando.engine.groove import Groove, body_features
from bailando.engine.manifest import Manifest
from bailando.engine.sampling import generator_state, new_generator, restore_generator, sample_code
from bailando.engine.session_state import SessionOptions, Snapshot
from bailando.errors import ConfigError
from bailando.motion.grounding import BodyConfig
from bailando.motion.pose import FloorSteering
from bailando.motion.skeleton import Skeleton

__all__ = ["FLOOR", "MotionChunk", "Session", "SessionOptions", "Snapshot", "step_together"]

Float32Array = NDArray[np.float32]
MusicFeatures = NDArray[np.floating[Any]]

OPEN = 0
"""Number of the style that asks for none."""
OWN_STYLE_S = 30.0
"""How long a dancer of whom no style is asked keeps to one of its own, on average."""


class Session:
    """State of one dance, stepped token by token; made by `Dancer.session`.

    Not for concurrent use by several threads; different sessions of one dancer may run in different
    threads.

    Attributes
    ----------
    rejected_logits : int
        Draws that kept the code before, because every logit was NaN or minus infinity.
    rejected_poses : int
        Chunks that held the pose before, because the decoder gave NaN, infinity or absurd numbers.
    """

    def __init__(
        self,
        manifest: Manifest,
        backend: Backend,
        skeleton: Skeleton,
        options: SessionOptions,
        seed: int,
        place_m: tuple[float, float] = (0.0, 0.0),
        floor: FloorSteering = FLOOR,
        refinement: BodyConfig = BODY,
        groove: Groove | None = None,
    ) -> None:
        self._manifest = manifest
        self._backend = backend
        pose = manifest.pose.representation
        self._body = Body(skeleton, pose, manifest.frames_per_token, place_m, floor, refinement)
        self._memory = self._body.new_memory()
        self._options = self._checked(options)
        self._seed = seed
        self._token = 0
        self._groove = groove
        self._pose: Float32Array | None = None
        self._recent_codes: tuple[tuple[int, int], ...] = ()
        self._own_style: int | None = None
        self._decoder_state: Any = backend.initial_state("decoder_step")
        self._gpt_state: Any = None
        self._beginning = self._cut = False
        self._begin()
        self.rejected_logits = 0
        self.rejected_poses = 0

    @property
    def token(self) -> int:
        """Number of the token that the next step gives."""
        return self._token

    @property
    def options(self) -> SessionOptions:
        """Style, sampling, energy and groove in force."""
        return self._options

    def configure(self, **changes: Any) -> None:
        """Change some of the `SessionOptions`, from the next token on.

        Raises
        ------
        ConfigError
            If a name is unknown or a value out of range; nothing is changed then.
        """
        try:
            changed = replace(self._options, **changes)
        except TypeError:
            known = ", ".join(SessionOptions.__dataclass_fields__)
            raise ConfigError(f"unknown option in {sorted(changes)}; choose from {known}") from None
        self._options = self._checked(changed)

    def reseed(self, seed: int) -> None:
        """Draw from another seed, from the next token on; the dance goes on from where it is."""
        self._generator = new_generator(seed)
        self._seed = seed

    def reset(self) -> None:
        """Dance from the next token on as a fresh session of this seed; frame numbers go on.

        A bundle with look-ahead keeps its decoder's memory, so that no frame is lost.
        """
        if not self._manifest.lookahead_tokens:
            self._decoder_state = self._backend.initial_state("decoder_step")
            self._memory = replace(self._memory, energy=EnergyState(), last_pose=None)
        self._begin()
        self._cut = self._token > 0

    def recentre(self) -> None:
        """Put the dancer back on its place, facing front, from the next token on."""
        self._memory = self._body.at_home(self._memory)
        self._cut = self._token > 0

    def step(self, music_token: MusicFeatures | None, activity: float = 1.0) -> MotionChunk:
        """Dance one token; see `step_together` for several sessions.

        Parameters
        ----------
        music_token : (8, F) float32 or None
            Music features of the token before (of this one if the bundle has a music lead). None for
            token 0, which is drawn from the manifest's start codes.
        activity : float
            Share of the energy in force, 0 to 1: less when there is no music.

        Returns
        -------
        MotionChunk
            Always finite.

        Raises
        ------
        ValueError
            If music is given for token 0, or missing or of the wrong shape later.
        """
        return step_together((self,), music_token, (activity,))[0]

    def snapshot(self) -> Snapshot:
        """Copy the whole state."""
        return Snapshot(
            token=self._token,
            beginning=self._beginning,
            cut=self._cut,
            seed=self._seed,
            upper_code=self._codes[0],
            lower_code=self._codes[1],
            recent_codes=self._recent_codes,
            own_style=self._own_style,
            gpt_state=self._backend.read_state("gpt_step", self._gpt_state),
            decoder_state=self._backend.read_state("decoder_step", self._decoder_state),
            generator=generator_state(self._generator),
            body=self._memory,
            options=self._options,
            rejected_logits=self.rejected_logits,
            rejected_poses=self.rejected_poses,
            pose=self._pose,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a session of the same dancer."""
        self._token = snapshot.token
        self._beginning, self._cut, self._seed = snapshot.beginning, snapshot.cut, snapshot.seed
        self._codes = (snapshot.upper_code, snapshot.lower_code)
        self._recent_codes = snapshot.recent_codes
        self._own_style = snapshot.own_style
        self._gpt_state = self._backend.write_state("gpt_step", snapshot.gpt_state)
        self._decoder_state = self._backend.write_state("decoder_step", snapshot.decoder_state)
        self._generator = restore_generator(snapshot.generator)
        self._memory = snapshot.body
        self._options = snapshot.options
        self.rejected_logits = snapshot.rejected_logits
        self.rejected_poses = snapshot.rejected_poses
        self._pose = snapshot.pose

    def fork(self) -> Session:
        """Return an independent session that goes on from here alike."""
        other = copy(self)
        other.restore(self.snapshot())
        return other

    def _begin(self) -> None:
        """Forget the music heard and the codes danced, and stand on the place."""
        self._generator = new_generator(self._seed)
        self._beginning = True
        self._cut = False
        self._codes = (0, 0)
        self._own_style = None
        self._pose = None
        self._gpt_state = self._backend.initial_state("gpt_step")
        self._memory = self._body.at_home(self._memory)

    def _checked(self, options: SessionOptions) -> SessionOptions:
        styles = self._manifest.styles
        if options.style not in styles:
            raise ConfigError(f"unknown style {options.style!r}; this bundle has {', '.join(styles)}")
        return options

    def _draw_style(self) -> int:
        """Return the number of the style to dance now: the one asked for, or one of its own.

        Own ones are drawn as often as the manifest says, anew at random so that one lasts `OWN_STYLE_S`. At
        temperature 0 it is the most frequent one, so that nothing is left to chance.
        """
        asked = self._manifest.styles.index(self._options.style)
        shares = self._manifest.style_shares
        if asked != OPEN or shares[OPEN] == 1.0:
            self._own_style = None
            return asked
        if self._options.temperature == 0.0:
            self._own_style = int(np.argmax(shares))
            return self._own_style
        changes = self._generator.random() * OWN_STYLE_S * self._manifest.token_rate_hz < 1.0
        if self._own_style is None or changes:
            ends = np.cumsum(shares)
            self._own_style = int(np.searchsorted(ends, self._generator.random() * ends[-1], "right"))
        return self._own_style

    def _draw_first(self) -> None:
        """Begin with one of the start codes, which take no music."""
        starts = self._manifest.start_codes
        self._codes = starts[int(self._generator.integers(len(starts)))]
        self._beginning = False

    def _on_the_beat(
        self, row: tuple[Float32Array, Float32Array, Any], music_token: MusicFeatures | None
    ) -> tuple[Float32Array, Float32Array, Any]:
        """Return both logits, with what the codes are worth on the beat, and the GPT's state."""
        if self._groove is None or self._pose is None or music_token is None or not self._options.groove:
            return row
        upper, lower = self._groove.worth(self._pose, music_token, self._options.groove)
        return row[0] + upper, row[1] + lower, row[2]

    def _draw(self, upper_logits: Float32Array, lower_logits: Float32Array, state: Any) -> None:
        """Draw the next pair of codes from what the GPT said, or keep the old ones."""
        drawn = [
            sample_code(logits, self._options.sampling, self._generator)
            for logits in (upper_logits, lower_logits)
        ]
        if None in drawn:
            # The cache that gave no usable logits is dropped with them.
            self.rejected_logits += drawn.count(None)
        else:
            self._gpt_state = state
        upper, lower = (old if new is None else new for old, new in zip(self._codes, drawn, strict=True))
        self._codes = upper, lower

    def _dance(self, upper: Float32Array, lower: Float32Array, state: Any, activity: float) -> Channels:
        """Take the decoder's poses, unless they are absurd, and return what of them is danced."""
        if good := usable(upper) and usable(lower):
            self._decoder_state = state
            if self._groove is not None:
                self._pose = body_features(upper, lower)
        else:
            self.rejected_poses += 1
        if self._first_frame < 0:
            return self._body.held_pose(self._memory)
        energy = self._options.energy * activity
        poses, self._memory = self._body.dance((upper, lower) if good else None, energy, self._memory)
        return poses

    def _finish(self, chunk: MotionChunk, memory: BodyMemory) -> MotionChunk:
        """Give the placed frames their number and codes and go on to the next token."""
        self._recent_codes = (*self._recent_codes, self._codes)[-1 - self._manifest.lookahead_tokens :]
        upper_code, lower_code = self._recent_codes[0]
        chunk = replace(
            chunk, first_frame=self._first_frame, upper_code=upper_code, lower_code=lower_code, cut=self._cut
        )
        # Before its dance begins a body stands: its feet are held, its root stays.
        waits = self._first_frame < 0
        self._memory = replace(self._memory, refinement=memory.refinement) if waits else memory
        self._token += 1
        self._cut = False
        return chunk

    @property
    def _first_frame(self) -> int:
        """Number of the first frame that the next step gives."""
        return (self._token - self._manifest.lookahead_tokens) * self._manifest.frames_per_token


def step_together(
    sessions: Sequence[Session], music_token: MusicFeatures | None, activities: Sequence[float]
) -> tuple[MotionChunk, ...]:
    """Dance one token with several sessions of one dancer, each network run once for all of them.

    Parameters
    ----------
    sessions : sequence of Session
        Each is left as its own `Session.step` would leave it.
    music_token, activities
        As in `Session.step`; one activity for each session.

    Raises
    ------
    ValueError
        If music is given for token 0, or missing or of the wrong shape later; no session has moved then.
    """
    if music_token is not None and any(session.token == 0 for session in sessions):
        raise ValueError("token 0 is drawn from the start codes; step it with None")
    backend = sessions[0]._backend
    if not all(session._beginning for session in sessions):
        # Those that begin take part and do not listen: the batch stays as large as it was, for which GPUs
        # have their engines.
        caches = [session._gpt_state for session in sessions]
        outputs, states = _run(backend, "gpt_step", _gpt_inputs(sessions, music_token), caches)
        rows = zip(outputs["upper_logits"], outputs["lower_logits"], states, strict=True)
        for session, row in zip(sessions, rows, strict=True):
            if not session._beginning:
                session._draw(*session._on_the_beat(row, music_token))
    for session in sessions:
        if session._beginning:
            session._draw_first()
    memories = [session._decoder_state for session in sessions]
    outputs, states = _run(backend, "decoder_step", _codes(sessions), memories)
    rows = zip(outputs["upper_pose"], outputs["lower_pose"], states, strict=True)
    poses = [
        session._dance(*row, activity)
        for session, row, activity in zip(sessions, rows, activities, strict=True)
    ]
    bodies, before = [session._body for session in sessions], [session._memory for session in sessions]
    placed = place_together(bodies, poses, before)
    return tuple(session._finish(*end) for session, end in zip(sessions, placed, strict=True))


def _codes(sessions: Sequence[Session]) -> Arrays:
    """Return the current codes of all, (N,) each."""
    upper, lower = np.array([session._codes for session in sessions]).T
    return {"upper_code": upper, "lower_code": lower}


def _gpt_inputs(sessions: Sequence[Session], music_token: MusicFeatures | None) -> Arrays:
    """Return the inputs of the GPT: the same music for all."""
    manifest = sessions[0]._manifest
    width = manifest.graphs["gpt_step"].tensor("music").shape[1]
    if music_token is None or music_token.size != width:
        got = None if music_token is None else music_token.shape
        raise ValueError(f"music token is {got}; expected ({manifest.frames_per_token}, F)")
    styles = [OPEN if session._beginning else session._draw_style() for session in sessions]
    music = np.broadcast_to(music_token.reshape(1, width), (len(sessions), width))
    return {"music": music, "style": np.array(styles)} | _codes(sessions)


def _run(backend: Backend, graph: str, inputs: Arrays, states: list[Any]) -> tuple[Arrays, list[Any]]:
    """Run a graph once for all sessions."""
    if len(states) > 1:
        return backend.step_many(graph, inputs, states)
    outputs, state = backend.step(graph, inputs, states[0])
    return outputs, [state]
