"""The published models as step graphs: windows of past codes are the state.

The published decoder sees codes of the future and the published GPT has places in a block, so neither
has a rolling cache. Their steps keep what went in and compute what is needed of it anew, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bailando.export.graphs import StepGraph
from bailando.export.official_models import OfficialGPT, OfficialVQVAE
from bailando.export.official_sampling import WINDOW_STEPS, window_steps
from bailando.models.attention import TransformerBlock
from bailando.models.gpt import STREAMS, CrossConditionalGPT
from bailando.models.music_context import MusicContext
from bailando.models.streaming import (
    ResidualBlock,
    StreamingConv1d,
    StreamingConvTranspose1d,
    StreamingModule,
)
from bailando.models.vqvae import PoseDecoder
from bailando.music.published_frames import CONTEXT_TOKENS

Interval = tuple[int, int]


class WindowGPTStep(nn.Module):
    """One step of the published GPT, computed anew over its window.

    Parameters
    ----------
    gpt
        With learned places.
    shift
        As in `generate_greedily`: None slides the window by one, s cuts a full one back to s steps.
    """

    drops: Tensor
    places: Tensor

    def __init__(self, gpt: CrossConditionalGPT, shift: int | None) -> None:
        super().__init__()
        self.gpt = gpt
        self.wrap = WINDOW_STEPS if shift is None else WINDOW_STEPS + 1
        period = 1 if shift is None else WINDOW_STEPS - shift + 1
        lengths = [window_steps(step, shift) for step in range(self.wrap + period)]
        # The window is full before the step that the count wraps to, the first time as every other.
        drops = [old + 1 - new for old, new in zip([0, *lengths[:-1]], lengths, strict=True)]
        self.register_buffer("drops", torch.tensor(drops))
        self.register_buffer("places", torch.tensor(lengths) - 1)

    def forward(
        self,
        music: Tensor,
        upper_code: Tensor,
        lower_code: Tensor,
        style: Tensor,
        music_window: Tensor,
        upper_window: Tensor,
        lower_window: Tensor,
        step: Tensor,
    ) -> tuple[Tensor, ...]:
        """Take one step: logits ``[B, codes]`` of both halves, then the state after it."""
        slot = torch.arange(WINDOW_STEPS, device=step.device)[None]
        kept = (slot + self.drops[step][:, None]).clamp_max(WINDOW_STEPS - 1)
        place = self.places[step]
        newest = slot == place[:, None]
        heard = self._hear(music, music_window, place, self.drops[step])
        upper = torch.where(newest, upper_code[:, None], upper_window.gather(1, kept))
        lower = torch.where(newest, lower_code[:, None], lower_window.gather(1, kept))
        logits = self._logits(self._understand(heard, place), upper, lower, place)
        following = step + 1
        following = torch.where(following == len(self.places), self.wrap, following)
        return *logits, heard, upper, lower, following

    def _hear(self, music: Tensor, window: Tensor, place: Tensor, drops: Tensor) -> Tensor:
        """Return the music window after the step's own music ``[B, music_dim]`` went in at `place`."""
        slot = torch.arange(WINDOW_STEPS, device=place.device)[None]
        kept = (slot + drops[:, None]).clamp_max(WINDOW_STEPS - 1)
        wide = kept[:, :, None].expand(-1, -1, music.shape[1])
        return torch.where((slot == place[:, None])[:, :, None], music[:, None], window.gather(1, wide))

    def _understand(self, heard: Tensor, place: Tensor) -> Tensor:
        """Return what the GPT takes as music ``[B, 28, music_dim]``; after `place` it may be anything."""
        return heard

    def _logits(self, music: Tensor, upper: Tensor, lower: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return both logits ``[B, codes]`` at `place`; what lies after it is masked by causality."""
        config = self.gpt.config
        state = self.gpt.base_state(music, upper, lower)
        hidden = self.gpt._run(state, config.base_layers, config.layers)
        hidden = hidden.reshape(hidden.shape[0], len(STREAMS), WINDOW_STEPS, -1)
        at = place[:, None, None, None].expand(-1, len(STREAMS), -1, hidden.shape[-1])
        _, upper_last, lower_last = self.gpt.norm(hidden.gather(2, at).squeeze(2)).unbind(1)
        return self.gpt.upper_head(upper_last), self.gpt.lower_head(lower_last)


class MusicWindowGPTStep(WindowGPTStep):
    """`WindowGPTStep` with Bailando++'s music transformer, which runs anew over its window as well.

    What it says of a token changes as the window slides, because the published procedure cuts its music
    five tokens before and after the window: so the state holds the features themselves.

    ``music`` is ``[B, 11 * token]``: of the token that the step predicts and five to either side, oldest
    first. ``music_window`` is ``[B, 38, token]``, from five tokens before the window's first step.
    """

    def __init__(self, gpt: CrossConditionalGPT, context: MusicContext, shift: int | None) -> None:
        super().__init__(gpt, shift)
        self.context = context
        self.heard_tokens = WINDOW_STEPS + CONTEXT_TOKENS - 1

    def _hear(self, music: Tensor, window: Tensor, place: Tensor, drops: Tensor) -> Tensor:
        """Return the window ``[B, 38, token]`` after the new music, which ends ten tokens after `place`."""
        slot = torch.arange(self.heard_tokens, device=place.device)[None]
        kept = (slot + drops[:, None]).clamp_max(self.heard_tokens - 1)
        since = slot - place[:, None]
        newest = music.reshape(music.shape[0], CONTEXT_TOKENS, -1)
        width = newest.shape[2]
        given = newest.gather(1, _wide(since.clamp(0, CONTEXT_TOKENS - 1), width))
        is_given = (since >= 0) & (since < CONTEXT_TOKENS)
        return torch.where(is_given[:, :, None], given, window.gather(1, _wide(kept, width)))

    def _understand(self, heard: Tensor, place: Tensor) -> Tensor:
        """Return the music ``[B, 28, width]`` of the steps; what lies after `place` is rubbish."""
        config = self.context.config
        frames = heard.reshape(heard.shape[0], -1, config.features)
        frame = torch.arange(frames.shape[1], device=place.device)
        distance = (frame[:, None] - frame[None, :]).abs()
        exists = frame[None, :] < (place[:, None] + CONTEXT_TOKENS) * config.frames_per_token
        # Frames after the end see themselves, so that none sees nothing; nobody else sees them.
        mask = ((distance <= config.reach)[None] & exists[:, None, :]) | (distance == 0)[None]
        x = self.context.embedding(frames)
        for block in self.context.blocks:
            x = cast(TransformerBlock, block)(x, mask[:, None])
        joined = self.context.downsample(x.reshape(x.shape[0], self.heard_tokens, -1))
        return cast(Tensor, joined[:, config.padding_tokens : config.padding_tokens + WINDOW_STEPS])


def _wide(index: Tensor, width: int) -> Tensor:
    return index[:, :, None].expand(-1, -1, width)


class WindowDecoder(nn.Module):
    """Eight frames of a two-sided decoder from a window of codes; only what they depend on is computed.

    The frames are those that the decoder gives offline for the codes up to `lookahead` tokens after
    theirs, had the sequence ended there.

    Parameters
    ----------
    decoder
        With two-sided padding.
    lookahead
        Codes after the frames' own.
    frames
        Frames of one code.
    """

    def __init__(self, decoder: PoseDecoder, lookahead: int, frames: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.plan = _plan(decoder, lookahead, frames)
        self.past = -self.plan[0][1][0]
        self.future = self.plan[0][1][1]

    def forward(self, vectors: Tensor, before: Tensor) -> Tensor:
        """Decode.

        Parameters
        ----------
        vectors : Tensor, ``[B, past + future, code_dim]``
            Code vectors; the frames' own is at index `past`.
        before : Tensor, ``[B]`` int64
            How many codes of the sequence lie before the frames' own; older vectors count as zero padding.

        Returns
        -------
        Tensor, ``[B, frames, channels]``
        """
        x = vectors
        for layer, (rate, taken, given) in zip(self.decoder.layers, self.plan, strict=True):
            position = torch.arange(taken[0], taken[1], device=x.device)
            exists = position[None] >= -before[:, None] * rate
            x = torch.where(exists[:, :, None], x, torch.zeros_like(x))
            x = _apply(cast(StreamingModule, layer), x, taken, given)
        return x


Step = tuple[int, Interval, Interval]


def _plan(decoder: PoseDecoder, lookahead: int, frames: int) -> list[Step]:
    """Return per layer its input's steps per code and the intervals of time it takes and gives."""
    steps: list[Step] = []
    rate, wanted = frames, (0, frames)
    for layer in reversed(list(decoder.layers)):
        if isinstance(layer, StreamingConvTranspose1d):
            rate //= layer.STRIDE
            taken = ((wanted[0] - 1) // 2, wanted[1] // 2 + 1)
        else:
            conv = layer.dilated if isinstance(layer, ResidualBlock) else cast(StreamingConv1d, layer)
            taken = (wanted[0] - conv.left, wanted[1] + conv.right)
        taken = (taken[0], min(taken[1], (lookahead + 1) * rate))
        steps.append((rate, taken, wanted))
        wanted = taken
    return steps[::-1]


def _apply(layer: StreamingModule, x: Tensor, taken: Interval, given: Interval) -> Tensor:
    """Run one layer on the interval `taken` of its input and return the interval `given`."""
    if isinstance(layer, StreamingConvTranspose1d):
        first = 2 * taken[0] - 1
        return _convolve(layer.conv, x)[:, given[0] - first : given[1] - first]
    if isinstance(layer, ResidualBlock):
        hidden = _convolve(layer.dilated.conv, _extend(F.relu(x), layer.dilated, taken, given))
        own = x[:, given[0] - taken[0] : given[1] - taken[0]]
        return own + _convolve(layer.pointwise.conv, F.relu(hidden))
    conv = cast(StreamingConv1d, layer)
    return _convolve(conv.conv, _extend(x, conv, taken, given))


def _extend(x: Tensor, conv: StreamingConv1d, taken: Interval, given: Interval) -> Tensor:
    """Pad with the zeros that lie beyond the end of the sequence."""
    return F.pad(x, (0, 0, 0, given[1] + conv.right - taken[1]))


def _convolve(conv: nn.Module, x: Tensor) -> Tensor:
    return cast(Tensor, conv(x.transpose(1, 2))).transpose(1, 2)


class WindowDecoderStep(nn.Module):
    """Both halves and the root from windows of codes: the frames of `lookahead` codes ago."""

    def __init__(self, vqvae: OfficialVQVAE, lookahead: int) -> None:
        super().__init__()
        self.vqvae = vqvae
        self.lookahead = lookahead
        frames = vqvae.lower.config.frames_per_code
        self.upper = WindowDecoder(vqvae.upper.decoder, lookahead, frames)
        self.lower = WindowDecoder(vqvae.lower.decoder, lookahead, frames)
        root = vqvae.lower.root_decoder
        self.root = None if root is None else WindowDecoder(root, lookahead, frames)
        self.length = max(part.past for part in self._parts()) + lookahead + 1

    def _parts(self) -> Iterable[WindowDecoder]:
        return (part for part in (self.upper, self.lower, self.root) if part is not None)

    def forward(
        self, upper_code: Tensor, lower_code: Tensor, upper_window: Tensor, lower_window: Tensor, seen: Tensor
    ) -> tuple[Tensor, ...]:
        """Take one code pair ``[B]``: channels ``[B, 8, 45]`` and ``[B, 8, 27]``, then the state after it."""
        upper_window = torch.cat((upper_window[:, 1:], upper_code[:, None]), dim=1)
        lower_window = torch.cat((lower_window[:, 1:], lower_code[:, None]), dim=1)
        seen = (seen + 1).clamp_max(self.length)
        before = (seen - 1 - self.lookahead).clamp_min(0)
        upper_vectors = self.vqvae.upper.codebook.decode(upper_window)
        lower_vectors = self.vqvae.lower.codebook.decode(lower_window)
        upper = self.vqvae.upper.denormalise(self._part(self.upper, upper_vectors, before))
        lower = self.vqvae.lower.denormalise(self._part(self.lower, lower_vectors, before))
        if self.root is not None:
            velocity = self._part(self.root, lower_vectors, before)
            lower = torch.cat((velocity[..., :3], lower[..., 3:]), dim=-1)
        return upper, lower, upper_window, lower_window, seen

    def _part(self, decoder: WindowDecoder, vectors: Tensor, before: Tensor) -> Tensor:
        own = self.length - 1 - self.lookahead
        return cast(Tensor, decoder(vectors[:, own - decoder.past : own + decoder.future], before))


def official_gpt_graph(model: OfficialGPT, batch: int = 1, shift: int | None = None) -> StepGraph:
    """Return the published GPT's step for `batch` dancers, with its music transformer where it has one."""
    context = model.music_context
    if context is None:
        width = model.gpt.config.music_dim
        music, window = torch.zeros(batch, width), torch.zeros(batch, WINDOW_STEPS, width)
        return _gpt_graph(WindowGPTStep(model.gpt, shift), music, window)
    module = MusicWindowGPTStep(model.gpt, context, shift)
    width = context.config.frames_per_token * context.config.features
    music, window = torch.zeros(batch, CONTEXT_TOKENS * width), torch.zeros(batch, module.heard_tokens, width)
    return _gpt_graph(module, music, window)


def _gpt_graph(module: WindowGPTStep, music: Tensor, music_window: Tensor) -> StepGraph:
    """Return the graph of a step that takes `music` ``[B, M]`` and keeps `music_window` beside the codes."""
    code = torch.zeros(music.shape[0], dtype=torch.int64)
    window = torch.zeros(music.shape[0], WINDOW_STEPS, dtype=torch.int64)
    return StepGraph(
        name="gpt_step",
        module=module.eval().requires_grad_(False),
        inputs={"music": music, "upper_code": code, "lower_code": code.clone(), "style": code.clone()},
        outputs=("upper_logits", "lower_logits"),
        state={
            "music_window": music_window,
            "upper_window": window,
            "lower_window": window.clone(),
            "step": code.clone(),
        },
    )


def official_decoder_graph(vqvae: OfficialVQVAE, lookahead: int, batch: int = 1) -> StepGraph:
    """Return the published decoder's step for `batch` dancers; its frames are `lookahead` codes late."""
    module = WindowDecoderStep(vqvae, lookahead).eval().requires_grad_(False)
    code = torch.zeros(batch, dtype=torch.int64)
    window = torch.zeros(batch, module.length, dtype=torch.int64)
    return StepGraph(
        name="decoder_step",
        module=module,
        inputs={"upper_code": code, "lower_code": code.clone()},
        outputs=("upper_pose", "lower_pose"),
        state={"upper_window": window, "lower_window": window.clone(), "seen": code.clone()},
    )
