"""Training configurations: frozen and validated (read from YAML by `config_files`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bailando.models.presets import PRESETS
from bailando.training.actor_critic_config import ActorCriticStageConfig
from bailando.training.movement_config import MovementStageConfig
from bailando.training.music_features import check_choice
from bailando.training.optimiser_config import OptimiserConfig, require, require_schedule
from bailando.training.residual_config import ResidualStageConfig
from bailando.training.root_config import RootStageConfig
from bailando.training.vqvae_config import VQVAEStageConfig

Autocast = Literal["off", "bfloat16", "auto"]


@dataclass(frozen=True)
class PairingConfig:
    """How unpaired motion is given music.

    Parameters
    ----------
    draws
        Songs drawn for each stretch of motion.
    cold_draws
        So many of them start with the motion, without music before it, as a session does.
    preroll_frames
        Frames of warped music before the motion, so that the beat tracker has settled.
    min_ratio, max_ratio
        Bounds of the speed at which a song is read.
    min_agreement
        Songs on whose beats the causal tracker agrees less than this with the offline one are not used.
    tightness
        Of the dynamic-programming beat tracker on the dance (see `librosa.beat.beat_track`).
    smoothing_frames
        Deviation of the Gaussian over the joint speed, frames.
    steady_beats
        Deviation of the Gaussian over the intervals between beats, beats (see `retiming`); 0 leaves the
        motion's time as it is.
    each_pulse
        The music's beats are all its pulses, however fast (see `BeatSpec`), as the dance's beats are all of
        its own. Counted by twos, the phase of fast music says nothing of a dance that is as fast.
    """

    draws: int = 10
    cold_draws: int = 2
    preroll_frames: int = 480
    min_ratio: float = 0.75
    max_ratio: float = 1.33
    min_agreement: float = 0.3
    tightness: float = 100.0
    smoothing_frames: float = 5.0
    steady_beats: float = 3.0
    each_pulse: bool = False

    def __post_init__(self) -> None:
        require(1 <= self.draws <= 1000, f"draws is {self.draws}, expected 1 to 1000")
        require(0 <= self.cold_draws <= self.draws, f"cold_draws is {self.cold_draws}, expected 0 to draws")
        require(
            self.preroll_frames >= 0 and self.preroll_frames % 8 == 0,
            f"preroll_frames is {self.preroll_frames}, expected a multiple of 8",
        )
        require(
            0.1 <= self.min_ratio <= 0.75 and self.max_ratio >= 2 * self.min_ratio * 0.85,
            f"ratios {self.min_ratio} to {self.max_ratio} leave some tempi without a song, "
            "expected about an octave, such as 0.75 to 1.33",
        )
        require(self.tightness > 0, f"tightness is {self.tightness}, expected more than 0")
        require(self.steady_beats >= 0, f"steady_beats is {self.steady_beats}, expected 0 or more")
        require(
            self.smoothing_frames > 0, f"smoothing_frames is {self.smoothing_frames}, expected more than 0"
        )


@dataclass(frozen=True)
class PrepareConfig:
    """What becomes of motion and music files.

    Parameters
    ----------
    min_segment_frames
        Shorter stretches of motion are dropped.
    still_margin_frames
        Frames kept of standing still before and after a recording's movement.
    speeds
        Each training recording enters the data set once at each of these speeds.
    held_out_recordings, held_out_songs
        Fractions; of each style at least one recording is held out if it has three.
    seed
        Of the split and of the drawn songs.
    music_features
        What models are told of music: ``causal`` (ours, the only ones a live bundle hears), ``published``
        (438 for a token) or ``encodec:FOLDER``.
    pairing
        See `PairingConfig`.
    """

    min_segment_frames: int = 240
    still_margin_frames: int = 30
    speeds: tuple[float, ...] = (1.0,)
    held_out_recordings: float = 0.1
    held_out_songs: float = 0.1
    seed: int = 0
    music_features: str = "causal"
    pairing: PairingConfig = field(default_factory=PairingConfig)

    def __post_init__(self) -> None:
        require(
            self.min_segment_frames >= 64,
            f"min_segment_frames is {self.min_segment_frames}, expected 64 or more",
        )
        require(
            self.still_margin_frames >= 0, f"still_margin_frames is {self.still_margin_frames}, expected >= 0"
        )
        require(
            1.0 in self.speeds and all(0.5 <= speed <= 2 for speed in self.speeds),
            f"speeds are {self.speeds}, expected 1.0 and others from 0.5 to 2",
        )
        check_choice(self.music_features)
        for name in ("held_out_recordings", "held_out_songs"):
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} is {value}, expected 0 <= {name} < 1")


@dataclass(frozen=True)
class GPTStageConfig:
    """The cross-conditional GPT stage.

    Parameters
    ----------
    optimiser
        See there.
    window_tokens
        Length of the random windows.
    label_smoothing
        Of the cross-entropy.
    dropout
        Of the model, instead of its preset's.
    code_noise
        Largest fraction of input codes replaced by others; each window has its own, smaller ones more
        often. The model learns to come back from its own mistakes and to follow the music where the
        codes tell it little.
    shift_frames
        The codes that the model is told wander up to so many frames before or after those danced. Their
        timing is thus unsure, as that of a dancer's own past is; only the music tells when it is time.
    neighbour_share
        Fraction of the replaced codes that become one of the nearest codes of the codebook instead of
        any code.
    mel_dropout
        Fraction of windows whose mel spectrum is hidden, so that songs cannot be recognised and only
        onsets, level and beat remain.
    style_dropout
        Fraction of windows whose style is left open.
    evaluate_every, save_every
        Steps between evaluations on the held-out recordings, and between checkpoints.
    patience
        Evaluations without a better held-out cross-entropy after which the stage ends; 0: never.
    """

    optimiser: OptimiserConfig
    window_tokens: int = 64
    label_smoothing: float = 0.05
    dropout: float = 0.2
    code_noise: float = 0.6
    shift_frames: int = 6
    neighbour_share: float = 0.5
    mel_dropout: float = 0.5
    style_dropout: float = 0.3
    evaluate_every: int = 250
    save_every: int = 250
    patience: int = 6

    def __post_init__(self) -> None:
        require(self.window_tokens >= 2, f"window_tokens is {self.window_tokens}, expected at least 2")
        require(0 <= self.shift_frames <= 60, f"shift_frames is {self.shift_frames}, expected 0 to 60")
        fractions = ("label_smoothing", "dropout", "code_noise", "mel_dropout", "style_dropout")
        for name in (*fractions, "neighbour_share"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} is {value!r}, expected 0 <= {name} <= 1")
        require_schedule(self.evaluate_every, self.save_every)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that `bailando-train` can be told.

    Parameters
    ----------
    model
        Name of the model sizes (`bailando.models.presets`).
    vqvae, root, residual, gpt, actor_critic, movement, prepare
        The stages and the preparation; without `residual`, `actor_critic` or `movement` that stage is left
        out. `root` is for models with a root branch.
    seed
        Of weights, batches and noise.
    threads
        Threads of torch on the CPU; 0 leaves its choice.
    device
        ``cpu``, ``cuda`` or ``auto``.
    autocast
        Mixed precision; ``auto`` uses bfloat16 where the device multiplies it natively.
    """

    model: str
    vqvae: VQVAEStageConfig
    gpt: GPTStageConfig
    root: RootStageConfig | None = None
    residual: ResidualStageConfig | None = None
    actor_critic: ActorCriticStageConfig | None = None
    movement: MovementStageConfig | None = None
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    seed: int = 0
    threads: int = 0
    device: str = "auto"
    autocast: Autocast = "auto"

    def __post_init__(self) -> None:
        require(self.model in PRESETS, f"model is {self.model!r}, expected one of {sorted(PRESETS)}")
        require(self.device in ("cpu", "cuda", "auto"), f"device is {self.device!r}, expected cpu or cuda")
        require(
            self.autocast in ("off", "bfloat16", "auto"),
            f"autocast is {self.autocast!r}, expected off, bfloat16 or auto",
        )
        require(self.threads >= 0, f"threads is {self.threads}, expected 0 or more")
