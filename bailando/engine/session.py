"""One dance: the explicit state that turns a shared model into a dancer of its own."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.engine.backends import Arrays, Backend
from bailando.engine.energy import EnergyState, check_energy, ease_energy, scale_energy
from bailando.engine.manifest import Manifest
from bailando.engine.official_pose import REPRESENTATION as POSITIONS
from bailando.engine.official_pose import VELOCITY as POSITIONS_VELOCITY
from bailando.engine.official_pose import (
    PositionsState,
    decode_positions,
    rest_positions,
    scale_positions_energy,
)
from bailando.engine.sampling import (
    GeneratorState,
    SamplingConfig,
    generator_state,
    new_generator,
    restore_generator,
    sample_code,
)
from bailando.errors import ConfigError
from bailando.motion.grounding import BodyConfig, BodyState, refine
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.motion import Motion
from bailando.motion.pose import TURN, VELOCITY, FloorSteering, RootState, decode_pose, encode_pose
from bailando.motion.skeleton import Skeleton

Float32Array = NDArray[np.float32]
FLOOR = FloorSteering()
# The root does not follow held feet, so that the steering has the last word on where the dancer is.
BODY = BodyConfig(root_follow=False)
_LARGEST_CHANNEL = 1e4


@dataclass(frozen=True)
class MotionChunk:
    """The frames of one token.

    Attributes
    ----------
    first_frame : int
        Number of the first frame; frame n belongs to media time n / 60 s. Negative for the standing
        body that a bundle with look-ahead gives before its dance begins.
    rotations : (8, 24, 4) float32
        Local unit quaternions xyzw.
    positions : (8, 24, 3) float32
        Joints in the world, metres.
    root_position : (8, 3) float32
        Pelvis in the world, metres.
    contacts : (8, 4) float32
        Probability that left ankle, right ankle, left toes, right toes touch the floor.
    upper_code, lower_code : int
        The codes the frames were decoded from.
    cut : bool
        Whether the dancer was put somewhere else before it, so that what is shown should fade over.
    """

    first_frame: int
    rotations: Float32Array
    positions: Float32Array
    root_position: Float32Array
    contacts: Float32Array
    upper_code: int
    lower_code: int
    cut: bool = False


@dataclass(frozen=True)
class SessionOptions:
    """What may be changed between two tokens of a dance; see `Dancer.session`."""

    style: str
    temperature: float
    top_k: int
    top_p: float
    energy: float

    def __post_init__(self) -> None:
        check_energy(self.energy)
        SamplingConfig(self.temperature, self.top_k, self.top_p)

    @property
    def sampling(self) -> SamplingConfig:
        """How codes are drawn."""
        return SamplingConfig(self.temperature, self.top_k, self.top_p)


@dataclass(frozen=True)
class Snapshot:
    """All of a session at one token boundary; its arrays are copies."""

    token: int
    beginning: bool
    cut: bool
    seed: int
    upper_code: int
    lower_code: int
    gpt_state: Arrays
    decoder_state: Arrays
    recent_codes: tuple[tuple[int, int], ...]
    generator: GeneratorState
    root: RootState | PositionsState
    energy: EnergyState
    body: BodyState
    last_pose: tuple[Float32Array, Float32Array] | None
    options: SessionOptions
    rejected_logits: int
    rejected_poses: int


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
    ) -> None:
        self._manifest = manifest
        self._backend = backend
        self._skeleton = skeleton
        self._options = self._checked(options)
        self._seed = seed
        self._place_m = place_m
        self._floor = floor
        self._token = 0
        self._recent_codes: tuple[tuple[int, int], ...] = ()
        self._decoder_state: Any = backend.initial_state("decoder_step")
        self._energy = EnergyState()
        self._last_pose: tuple[Float32Array, Float32Array] | None = None
        self._root: RootState | PositionsState = RootState()
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
        """Style, sampling and energy in force."""
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
            self._energy = EnergyState()
            self._last_pose = None
        self._begin()
        self._cut = self._token > 0

    def recentre(self) -> None:
        """Put the dancer back on its place, facing front, from the next token on."""
        self._root = self._home()
        self._body_state = BodyState()
        self._cut = self._token > 0

    def step(self, music_token: NDArray[np.floating[Any]] | None, activity: float = 1.0) -> MotionChunk:
        """Dance one token.

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
        if self._token == 0 and music_token is not None:
            raise ValueError("token 0 is drawn from the start codes; step it with None")
        if self._beginning:
            starts = self._manifest.start_codes
            self._codes = starts[int(self._generator.integers(len(starts)))]
            self._beginning = False
        else:
            self._codes = self._draw_codes(music_token)
        self._recent_codes = (*self._recent_codes, self._codes)[-1 - self._manifest.lookahead_tokens :]
        chunk = self._decode(activity)
        self._token += 1
        self._cut = False
        return chunk

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
            gpt_state=self._backend.read_state("gpt_step", self._gpt_state),
            decoder_state=self._backend.read_state("decoder_step", self._decoder_state),
            generator=generator_state(self._generator),
            root=self._root,
            energy=self._energy,
            body=self._body_state,
            last_pose=self._last_pose,
            options=self._options,
            rejected_logits=self.rejected_logits,
            rejected_poses=self.rejected_poses,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a session of the same dancer."""
        self._token = snapshot.token
        self._beginning, self._cut, self._seed = snapshot.beginning, snapshot.cut, snapshot.seed
        self._codes = (snapshot.upper_code, snapshot.lower_code)
        self._recent_codes = snapshot.recent_codes
        self._gpt_state = self._backend.write_state("gpt_step", snapshot.gpt_state)
        self._decoder_state = self._backend.write_state("decoder_step", snapshot.decoder_state)
        self._generator = restore_generator(snapshot.generator)
        self._root = snapshot.root
        self._energy = snapshot.energy
        self._body_state = snapshot.body
        self._last_pose = snapshot.last_pose
        self._options = snapshot.options
        self.rejected_logits = snapshot.rejected_logits
        self.rejected_poses = snapshot.rejected_poses

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
        self._gpt_state = self._backend.initial_state("gpt_step")
        self._root = self._home()
        self._body_state = BodyState()

    def _home(self) -> RootState | PositionsState:
        return PositionsState() if self._manifest.pose.representation == POSITIONS else RootState()

    def _checked(self, options: SessionOptions) -> SessionOptions:
        styles = self._manifest.styles
        if options.style not in styles:
            raise ConfigError(f"unknown style {options.style!r}; this bundle has {', '.join(styles)}")
        return options

    def _draw_codes(self, music_token: NDArray[np.floating[Any]] | None) -> tuple[int, int]:
        """Run the GPT on the token before and draw the next pair of codes."""
        width = self._manifest.graphs["gpt_step"].tensor("music").shape[1]
        if music_token is None or music_token.size != width:
            got = None if music_token is None else music_token.shape
            raise ValueError(f"music token is {got}; expected ({self._manifest.frames_per_token}, F)")
        inputs = {
            "music": music_token.reshape(1, width),
            "upper_code": np.array([self._codes[0]]),
            "lower_code": np.array([self._codes[1]]),
            "style": np.array([self._manifest.styles.index(self._options.style)]),
        }
        outputs, state = self._backend.step("gpt_step", inputs, self._gpt_state)
        drawn = [
            sample_code(outputs[name][0], self._options.sampling, self._generator)
            for name in ("upper_logits", "lower_logits")
        ]
        if None in drawn:
            # The cache that gave no usable logits is dropped with them.
            self.rejected_logits += drawn.count(None)
        else:
            self._gpt_state = state
        upper, lower = (old if new is None else new for old, new in zip(self._codes, drawn, strict=True))
        return upper, lower

    def _decode(self, activity: float) -> MotionChunk:
        """Turn the current codes into frames."""
        inputs = {"upper_code": np.array([self._codes[0]]), "lower_code": np.array([self._codes[1]])}
        outputs, state = self._backend.step("decoder_step", inputs, self._decoder_state)
        upper, lower = outputs["upper_pose"][0], outputs["lower_pose"][0]
        first_frame = (self._token - self._manifest.lookahead_tokens) * self._manifest.frames_per_token
        if _usable(upper) and _usable(lower):
            self._decoder_state = state
        else:
            self.rejected_poses += 1
            upper, lower = self._held_pose()
        if first_frame < 0:
            upper, lower = self._held_pose()
            return self._chunk(first_frame, *self._body(upper, lower)[:3])
        rescale = scale_energy if isinstance(self._root, RootState) else scale_positions_energy
        energy = ease_energy(self._options.energy * activity, self._energy, len(upper))
        upper, lower, self._energy = rescale(upper, lower, energy, self._energy)
        self._last_pose = upper[-1], lower[-1]
        rotations, root, contacts, self._root = self._body(upper, lower)
        return self._chunk(first_frame, rotations, root, contacts)

    def _body(
        self, upper: Float32Array, lower: Float32Array
    ) -> tuple[Float32Array, Float32Array, Float32Array, RootState | PositionsState]:
        """Turn pose channels into rotations, root and contacts, and the root state after them."""
        if isinstance(self._root, PositionsState):
            return decode_positions(upper, lower, self._root, self._skeleton, self._floor)
        return decode_pose(upper, lower, self._root, self._floor)

    def _chunk(
        self, first_frame: int, rotations: Float32Array, root: Float32Array, contacts: Float32Array
    ) -> MotionChunk:
        """Hold the feet, keep them above the floor, and place the joints."""
        rotations, root, self._body_state = refine(
            rotations, root, contacts, self._body_state, BODY, self._skeleton
        )
        if any(self._place_m):
            root = root + np.array([self._place_m[0], 0.0, self._place_m[1]], np.float32)
        positions, _ = forward_kinematics(self._skeleton, rotations, root)
        return MotionChunk(
            first_frame, rotations, positions, root, contacts, *self._recent_codes[0], cut=self._cut
        )

    def _held_pose(self) -> tuple[Float32Array, Float32Array]:
        """Return the last pose for a whole token, standing on its place."""
        frames = self._manifest.frames_per_token
        still = slice(VELOCITY.start, TURN + 1) if isinstance(self._root, RootState) else POSITIONS_VELOCITY
        if self._last_pose is None:
            rest = _rest_pose if isinstance(self._root, RootState) else rest_positions
            return rest(self._skeleton, frames)
        upper, lower = (np.repeat(channels[None], frames, axis=0) for channels in self._last_pose)
        lower[:, still] = 0.0
        return upper, lower


def _usable(channels: Float32Array) -> bool:
    """Whether all numbers are finite and so small that nothing after them can overflow."""
    return bool(np.all(np.abs(channels) < _LARGEST_CHANNEL))  # NaN compares false


def _rest_pose(skeleton: Skeleton, frames: int) -> tuple[Float32Array, Float32Array]:
    """Return the channels of a body at rest, standing."""
    rotations = np.zeros((frames, 24, 4), np.float32)
    rotations[..., 3] = 1.0
    root = np.zeros((frames, 3), np.float32)
    root[:, 1] = -float(forward_kinematics(skeleton, rotations[0], root[0])[0][:, 1].min())
    return encode_pose(Motion(rotations, root, np.ones((frames, 4), np.float32), skeleton=skeleton))
