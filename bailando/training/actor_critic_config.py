"""Configuration of the actor-critic stage and its rewards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bailando.training.optimiser_config import OptimiserConfig, require

RewardForm = Literal["paper", "released", "groove"]
AdvantageForm = Literal["td", "gae", "group"]


@dataclass(frozen=True)
class GrooveWeights:
    """Weights of the parts of our dense beat reward (`rewards.groove_reward`).

    Parameters
    ----------
    closeness, pauses, swing
        For music beats with a pause near, pauses near a music beat, and slowness near beats.
    sigma_frames
        How near is near, frames; 3 in the Beat Align Score.
    """

    closeness: float = 1.0
    pauses: float = 0.5
    swing: float = 0.5
    sigma_frames: float = 4.0

    def __post_init__(self) -> None:
        require(self.sigma_frames > 0, f"sigma_frames is {self.sigma_frames}, expected more than 0")


@dataclass(frozen=True)
class ActorCriticStageConfig:
    """The actor-critic stage: the GPT learns from its own dances.

    The defaults are the paper's form (CVPR 2022, section 3.4).

    Parameters
    ----------
    optimiser
        See there; `batch_size` is the number of dances in one rollout.
    rollout_tokens
        Length of the dances.
    repeats
        Dances to the same music from the same pose, which the ``group`` advantage compares.
    minibatches, passes
        Each rollout is cut into so many optimiser steps, so many times over. 1 and 1 as published.
    reward
        ``paper``: equations 12 to 14; ``released``: as the published code computes the beat reward;
        ``groove``: our dense beat reward.
    groove
        Weights of the latter.
    half_body_weight
        Of equation 14.
    advantage
        What a choice is credited with. ``td``: the critic's TD error (equation 8); ``gae``: generalised
        advantage estimation from the critic (Schulman et al., ICLR 2016); ``group``: the discounted return
        less the mean return of the other dances to the same music, without a critic (cf. Kool et al., 2019).
    discount, trace
        γ, and λ of ``gae``.
    standardise
        Divide advantages by their deviation in the rollout.
    clip_ratio
        Of the clipped surrogate (Schulman et al., 2017); 0 for the paper's loss, which it equals on the
        first step after a rollout.
    kl_weight
        Of the divergence of the policy from the pretrained GPT; keeps variety and naturalness.
    freeze_base
        Leave embeddings and base layers as pretrained, as published.
    critic_layers
        Blocks of the critic.
    temperature, top_k, top_p
        How codes are drawn; the dancer's own defaults.
    min_agreement
        Music on whose beats the causal tracker agrees less than this is not used.
    open_style
        Fraction of dances whose style is left open.
    carry_on
        Fraction of dances that begin with the codes that a dance of the last rollout ended with, not with
        those of the data: a live dance goes on for hours, and may end up where no short one gets.
    evaluation_dances
        Held-out stretches of music danced in an evaluation.
    evaluate_every, save_every, patience
        As in the other stages; `save_every` and the optimiser's steps are whole numbers of rollouts.
    """

    optimiser: OptimiserConfig
    rollout_tokens: int = 29
    repeats: int = 1
    minibatches: int = 1
    passes: int = 1
    reward: RewardForm = "paper"
    groove: GrooveWeights = field(default_factory=GrooveWeights)
    half_body_weight: float = 1.0
    advantage: AdvantageForm = "td"
    discount: float = 1.0
    trace: float = 0.9
    standardise: bool = False
    clip_ratio: float = 0.0
    kl_weight: float = 0.0
    freeze_base: bool = True
    critic_layers: int = 3
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_agreement: float = 0.6
    open_style: float = 0.5
    carry_on: float = 0.0
    evaluation_dances: int = 32
    evaluate_every: int = 100
    save_every: int = 100
    patience: int = 0

    def __post_init__(self) -> None:
        require(
            self.reward in ("paper", "released", "groove"),
            f"reward is {self.reward!r}, expected paper, released or groove",
        )
        require(
            self.advantage in ("td", "gae", "group"),
            f"advantage is {self.advantage!r}, expected td, gae or group",
        )
        require(self.rollout_tokens >= 4, f"rollout_tokens is {self.rollout_tokens}, expected at least 4")
        for name in (
            "repeats",
            "minibatches",
            "passes",
            "critic_layers",
            "evaluation_dances",
            "evaluate_every",
        ):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}, expected at least 1")
        for name in ("discount", "trace", "min_agreement", "open_style", "carry_on"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} is {value}, expected 0 to 1")
        for name in ("clip_ratio", "kl_weight", "temperature", "top_k"):
            value = getattr(self, name)
            require(value >= 0, f"{name} is {value}, expected 0 or more")
        require(0 < self.top_p <= 1, f"top_p is {self.top_p}, expected more than 0, up to 1")
        self._require_whole_rollouts()

    def _require_whole_rollouts(self) -> None:
        """A rollout is not saved, so none may be interrupted by a checkpoint."""
        batch = self.optimiser.batch_size
        require(
            batch % self.repeats == 0 and batch % self.minibatches == 0,
            f"batch_size is {batch}, expected a multiple of repeats {self.repeats} "
            f"and of minibatches {self.minibatches}",
        )
        require(
            self.advantage != "group" or self.repeats > 1,
            "advantage group compares dances to the same music: repeats must be 2 or more",
        )
        for name, value in (("save_every", self.save_every), ("steps", self.optimiser.steps)):
            require(
                value >= 1 and value % self.steps_per_rollout == 0,
                f"{name} is {value}, expected a multiple of minibatches x passes = {self.steps_per_rollout}",
            )

    @property
    def steps_per_rollout(self) -> int:
        """Optimiser steps that learn from one rollout."""
        return self.minibatches * self.passes
