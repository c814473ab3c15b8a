"""Third stage: actor-critic learning, the GPT finetuned on its own dances.

Source: Siyao et al., Bailando, CVPR 2022, section 3.4 and equations 7 to 14: the base layers give the
state, the head layers are the policy, and a critic of three blocks on the state gives its value; the
policy's cross-entropy with the codes it drew is weighted by the critic's TD error. That is the default
of `ActorCriticStageConfig`. The rest is ours and configured: a dense reward, the mean of other dances to
the same music in the critic's place, several steps per rollout with a clipped surrogate, a divergence
penalty, and a base that learns too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bailando.errors import ConfigError
from bailando.models.critic import Critic, critic_loss, freeze_base, generalised_advantages, td_errors
from bailando.models.gpt import CrossConditionalGPT
from bailando.models.residual import PoseResidual
from bailando.models.vqvae import PoseVQVAE
from bailando.training.actor_critic_config import ActorCriticStageConfig
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.distributed import my_share
from bailando.training.gpt_stage import new_gpt
from bailando.training.kinematics import PoseKinematics
from bailando.training.loop import pick_device
from bailando.training.rewards import (
    beat_reward,
    closeness,
    groove_reward,
    half_body_consistency,
    speed_minima,
)
from bailando.training.rollout import Codes, Movement, Sampling, movement, policy, roll_out
from bailando.training.rollout_music import RolloutMusic, Tracks

NAME = "actor_critic"
_EVALUATION_SEED = 20_220_619
_BAS_SIGMA_FRAMES = 3.0
# A dancer that moves this much more or less than its data is worse, however well it keeps time.
_SPEED_BAND = 1.3


class Rollout(NamedTuple):
    """Dances to learn from.

    ``old`` ``[2, B, T - 1]``: log probabilities of the drawn codes when they were drawn; ``reference``
    ``[2, B, T - 1, K]``: the pretrained GPT's log probabilities of all codes (empty without a penalty);
    ``rewards`` and ``advantages`` ``[B, T - 1]``.
    """

    music: RolloutMusic
    codes: Codes
    old: Tensor
    reference: Tensor
    rewards: Tensor
    advantages: Tensor

    def part(self, rows: Tensor) -> Rollout:
        """Return some of the dances."""
        return Rollout(
            RolloutMusic(*(x[rows] for x in self.music)),
            Codes(*(x[rows] for x in self.codes)),
            self.old[:, rows],
            self.reference[:, rows] if self.reference.numel() else self.reference,
            self.rewards[rows],
            self.advantages[rows],
        )


class LastCodes(nn.Module):
    """Code pairs that the dances of the last rollout ended with, ``[B, 2]``; kept with the weights."""

    codes: Tensor

    def __init__(self, start_codes: Tensor, count: int) -> None:
        super().__init__()
        self.register_buffer("codes", start_codes[torch.arange(count) % len(start_codes)].clone())


class ActorCriticStage:
    """The stage as `Trainer` runs it.

    Parameters
    ----------
    config, dataset
        What to train, on what.
    vqvaes
        The trained VQ-VAEs (upper, lower), which show what codes look like.
    gpt_weights
        Of the pretrained GPT.
    tracks, held_out_tracks
        Music to learn and to be judged on.
    start_codes
        Code pairs that dances start with.
    data_speed
        Mean joint speed of the data, metres per frame.
    residual
        Residual codes of the VQ-VAEs, if they have any.
    """

    name = NAME

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        vqvaes: tuple[PoseVQVAE, PoseVQVAE],
        gpt_weights: dict[str, Tensor],
        tracks: tuple[Tracks, Tracks],
        start_codes: Sequence[tuple[int, int]],
        data_speed: float,
        residual: PoseResidual | None = None,
    ) -> None:
        if config.actor_critic is None:
            raise ConfigError("the configuration has no actor_critic section: add one")
        self.config: ActorCriticStageConfig = config.actor_critic
        self.optimiser = self.config.optimiser
        self.evaluate_every = self.config.evaluate_every
        self.save_every = self.config.save_every
        self.patience = self.config.patience
        self.device = pick_device(config)
        # Rollouts and the steps that learn from them must be of one policy, so nothing drops out.
        still = replace(config, gpt=replace(config.gpt, dropout=0.0))
        self.gpt, self.reference = new_gpt(still, dataset), new_gpt(still, dataset)
        for model in (self.gpt, self.reference):
            model.load_state_dict(gpt_weights)
        self.reference.requires_grad_(False).to(self.device)
        if self.config.freeze_base:
            freeze_base(self.gpt)
        torch.manual_seed(config.seed + 2)
        parts: dict[str, nn.Module] = {"gpt": self.gpt}
        self.critic = None
        if self.config.advantage in ("td", "gae"):
            self.critic = Critic(self.gpt.config, self.config.critic_layers)
            parts["critic"] = self.critic
        self.upper, self.lower = (half.to(self.device).eval().requires_grad_(False) for half in vqvaes)
        self.start_codes = torch.tensor(start_codes, device=self.device)
        self.last_codes = None
        if self.config.carry_on:
            self.last_codes = LastCodes(self.start_codes, self.optimiser.batch_size)
            parts["last_codes"] = self.last_codes
        self._model = nn.ModuleDict(parts).to(self.device)
        self.residual = residual
        if residual is not None:
            self.residual = residual.to(self.device).eval().requires_grad_(False)
        self.kinematics = PoseKinematics().to(self.device)
        self.train_tracks, self.held_out_tracks = tracks
        self.data_speed = data_speed
        self.sampling = Sampling(self.config.temperature, self.config.top_k, self.config.top_p)
        self._parts: list[Rollout] = []

    @property
    def model(self) -> nn.Module:
        """The ``gpt`` and, if there are any, ``critic`` and ``last_codes``."""
        return self._model

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Dance if all is learned from the last dances, and return the losses of the next part of them."""
        stage = self.config
        place = step % stage.steps_per_rollout
        if place == 0 or not self._parts:
            self._parts = self._rollout_parts(generator)
        part = self._parts[place % stage.minibatches]
        return self._losses(part)

    def _losses(self, rollout: Rollout) -> dict[str, Tensor]:
        state = self._state(self.gpt, rollout.music, rollout.codes)
        logits = self.gpt.logits(state)
        scores = torch.stack([policy(half[:, :-1], self.sampling) for half in logits])
        actor = self._actor_loss(scores, rollout)
        figures = {"total": actor, "actor": actor}
        if self.config.kl_weight:
            divergence = (scores.exp() * (scores - rollout.reference)).nan_to_num().sum(-1).mean()
            figures["divergence"] = divergence
            figures["total"] = figures["total"] + self.config.kl_weight * divergence
        if self.critic is not None:
            errors = td_errors(rollout.rewards, self.critic(state.detach()), self.config.discount)
            figures["critic"] = critic_loss(errors)
            figures["total"] = figures["total"] + figures["critic"]
        figures["reward"] = rollout.rewards.mean()
        figures["entropy"] = -(scores.exp() * scores).nan_to_num().sum(-1).mean()
        return figures

    def _actor_loss(self, scores: Tensor, rollout: Rollout) -> Tensor:
        """Return the cross-entropy times the advantage (equation 10), or the clipped surrogate of it."""
        taken = torch.stack([codes[:, 1:] for codes in rollout.codes])
        log_probability = scores.gather(-1, taken.unsqueeze(-1)).squeeze(-1)
        clip, advantages = self.config.clip_ratio, rollout.advantages
        if not clip:
            return -(log_probability * advantages).mean()
        ratio = torch.exp(log_probability - rollout.old)
        clipped = ratio.clamp(1 - clip, 1 + clip)
        return -torch.minimum(ratio * advantages, clipped * advantages).mean()

    @torch.no_grad()
    def _rollout_parts(self, generator: torch.Generator) -> list[Rollout]:
        """Dance, judge, and cut into minibatches; dances to the same music may part."""
        stage = self.config
        count = self.optimiser.batch_size
        music = self.train_tracks.draw(count // stage.repeats, stage.repeats, generator)
        left_open = torch.rand(count // stage.repeats, generator=generator) < stage.open_style
        music = music._replace(style=torch.where(left_open.repeat_interleave(stage.repeats), 0, music.style))
        start = self._starts(count // stage.repeats, generator).repeat_interleave(stage.repeats, dim=0)
        rollout = self._danced(music, start, generator)
        if self.last_codes is not None:
            self.last_codes.codes.copy_(torch.stack([half[:, -1] for half in rollout.codes], dim=1))
        order = torch.randperm(count, generator=generator).to(self.device)
        # All processes dance alike, so advantages are standardised over the whole; each learns its share.
        return [rollout.part(my_share(rows)) for rows in order.chunk(stage.minibatches)]

    def _starts(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw first code pairs ``[count, 2]``: of the data, or of where the last dances ended."""
        which = torch.randint(len(self.start_codes), (count,), generator=generator)
        starts = self.start_codes[which.to(self.device)]
        if self.last_codes is None:
            return starts
        carried = (torch.rand(count, generator=generator) < self.config.carry_on).to(self.device)
        ends = self.last_codes.codes
        which = torch.randint(len(ends), (count,), generator=generator)
        return torch.where(carried[:, None], ends[which.to(self.device)], starts)

    def _danced(self, music: RolloutMusic, start: Tensor, generator: torch.Generator) -> Rollout:
        music = RolloutMusic(*(part.to(self.device) for part in music))
        codes, old = self._dance(music, start, generator)
        rewards = self._rewards(self._movement(codes), music)[:, 1:]
        advantages = self._advantages(rewards, music, codes)
        rollout = Rollout(music, codes, old, torch.zeros(0), rewards, advantages)
        if self.config.kl_weight:
            logits = self.reference.logits(self._state(self.reference, music, codes))
            scores = [policy(half[:, :-1], self.sampling) for half in logits]
            rollout = rollout._replace(reference=torch.stack(scores))
        return rollout

    def _dance(self, music: RolloutMusic, start: Tensor, generator: torch.Generator) -> tuple[Codes, Tensor]:
        style = music.style if self.gpt.config.styles else None
        pair = start[:, 0], start[:, 1]
        return roll_out(self.gpt, self._heard(music), style, pair, self.sampling, generator)

    def _movement(self, codes: Codes) -> Movement:
        return movement(self.upper, self.lower, self.kinematics, codes, self.residual)

    def _state(self, gpt: CrossConditionalGPT, music: RolloutMusic, codes: Codes) -> Tensor:
        style = music.style if gpt.config.styles else None
        return gpt.base_state(self._heard(music), codes.upper, codes.lower, style)

    def _heard(self, music: RolloutMusic) -> Tensor:
        """Return what is given at each step: with a music lead, what the next token is danced to.

        The last step's is never used then: no token is drawn after it.
        """
        return music.tokens.roll(-self.gpt.config.music_lead, dims=1)

    def _rewards(self, danced: Movement, music: RolloutMusic) -> Tensor:
        """Return the reward of each token ``[B, T]``."""
        stage = self.config
        if stage.reward == "groove":
            reward = groove_reward(danced.speed, music.phase, music.beats, stage.groove)
        else:
            reward = beat_reward(music.beats, speed_minima(danced.speed), stage.reward)
        if stage.half_body_weight:
            reward = reward + stage.half_body_weight * half_body_consistency(danced.positions)
        return reward

    def _advantages(self, rewards: Tensor, music: RolloutMusic, codes: Codes) -> Tensor:
        """Return what each choice is credited with ``[B, T - 1]``."""
        stage = self.config
        if self.critic is None:
            returns = generalised_advantages(rewards, stage.discount)
            grouped = returns.reshape(-1, stage.repeats, returns.shape[1])
            # Less the mean of the others, so that the own return does not count against itself.
            factor = stage.repeats / (stage.repeats - 1)
            advantages = (grouped - grouped.mean(dim=1, keepdim=True)).flatten(0, 1) * factor
        else:
            values = self.critic(self._state(self.gpt, music, codes))
            advantages = td_errors(rewards, values, stage.discount)
            if stage.advantage == "gae":
                advantages = generalised_advantages(advantages, stage.discount * stage.trace)
        return advantages / advantages.std().clamp_min(1e-6) if stage.standardise else advantages

    def evaluate(self) -> dict[str, float]:
        """Dance to held-out music and return what the dances are like.

        Returns
        -------
        dict
            ``score`` (lower is better): minus the mean cosine of the pauses' beat phase, plus what the
            logarithm of the speed is outside its band; ``pause_cosine``; ``closeness`` (the Beat Align
            Score); ``speed_ratio`` to the data; perplexity of both halves' codes; ``reward``.
        """
        count = self.config.evaluation_dances
        generator = torch.Generator().manual_seed(_EVALUATION_SEED)
        music = RolloutMusic(*(part.to(self.device) for part in self.held_out_tracks.spread(count)))
        music = music._replace(style=torch.zeros_like(music.style))
        start = self.start_codes[torch.arange(count) % len(self.start_codes)]
        codes, _ = self._dance(music, start, generator)
        danced = self._movement(codes)
        return self._figures(codes, danced, music)

    def _figures(self, codes: Codes, danced: Movement, music: RolloutMusic) -> dict[str, float]:
        pauses = speed_minima(danced.speed)
        cosine = float(torch.cos(2 * torch.pi * music.phase[pauses]).mean().nan_to_num())
        near = closeness(music.beats, pauses, _BAS_SIGMA_FRAMES).sum() / music.beats.sum().clamp_min(1)
        ratio = float(danced.speed.mean()) / self.data_speed
        outside = max(0.0, abs(_log(ratio)) - _log(_SPEED_BAND))
        figures = {
            "score": outside - cosine,
            "pause_cosine": cosine,
            "closeness": float(near),
            "pauses_per_beat": float(pauses.sum() / music.beats.sum().clamp_min(1)),
            "speed_ratio": ratio,
            "reward": float(self._rewards(danced, music).mean()),
        }
        for name, half in zip(("upper", "lower"), codes, strict=True):
            figures[f"{name}_perplexity"] = _perplexity(half, self.gpt.config.codebook_size)
        return figures


def _log(ratio: float) -> float:
    return float(torch.log(torch.tensor(max(ratio, 1e-6))))


def _perplexity(codes: Tensor, size: int) -> float:
    share = torch.bincount(codes.flatten(), minlength=size).double()
    share = share / share.sum()
    return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))
