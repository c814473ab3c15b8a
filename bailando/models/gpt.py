"""Cross-conditional GPT: music and the two half bodies' codes so far give the next code pair.

Source: Siyao et al., Bailando, CVPR 2022, section 3.3. Three streams run in parallel (music, upper,
lower); each step sees all three of the last ``window + 1`` steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from bailando.errors import ConfigError
from bailando.models.attention import (
    TransformerBlock,
    Window,
    alibi_slopes,
    banded_mask,
    rotation_table,
)
from bailando.models.config import ModelConfig
from bailando.models.streaming import State

Positions = Literal["alibi", "rotary", "learned", "sinusoidal"]
_INITIAL_STD = 0.02
POSITIONS: tuple[Positions, ...] = ("alibi", "rotary", "learned", "sinusoidal")
STREAMS = ("music", "upper", "lower")


@dataclass(frozen=True)
class GPTConfig(ModelConfig):
    """Sizes of a cross-conditional GPT.

    Parameters
    ----------
    codebook_size
        Codes of each half body.
    music_dim
        Music features per token, ``music_frames`` frames concatenated.
    music_frames
        Feature frames in one music token; the normaliser is per feature of one frame.
    width, heads, base_layers, head_layers
        Of the transformer; ``base_layers`` are what the critic sees too.
    window
        Past steps that a step sees, and the length of the cache.
    positions
        ``alibi`` and ``rotary`` (distances: any length) or ``learned`` and ``sinusoidal`` (places in a
        block of ``window + 1`` steps).
    music_lead
        1 if step j is given the music of the step it predicts, 0 if only music before it.
    styles
        Dance styles, style 0 = open; 0 for a model without styles.
    music_clip
        Bound of the normalised music features; 0 for none.
    dropout
        Of embeddings, attention and residual branches.
    """

    codebook_size: int
    music_dim: int
    music_frames: int = 8
    width: int = 256
    heads: int = 8
    base_layers: int = 3
    head_layers: int = 3
    window: int = 64
    positions: Positions = "alibi"
    music_lead: int = 0
    styles: int = 1
    music_clip: float = 5.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        self._require_at_least(1, "codebook_size", "music_dim", "music_frames", "width", "heads")
        self._require_at_least(1, "base_layers", "head_layers", "window")
        self._require_at_least(0, "styles")
        self._require_one_of("positions", POSITIONS)
        self._require_one_of("music_lead", (0, 1))
        self._require_fraction("dropout")
        if self.width % (2 * self.heads):
            raise ConfigError(f"GPTConfig: width {self.width} is no multiple of twice the {self.heads} heads")
        if self.music_dim % self.music_frames:
            raise ConfigError(
                f"GPTConfig: music_dim {self.music_dim} is no multiple of music_frames {self.music_frames}"
            )
        if self.music_clip < 0:
            raise ConfigError(f"GPTConfig: music_clip is {self.music_clip}, expected 0 (none) or more")

    @property
    def layers(self) -> int:
        """Number of transformer blocks."""
        return self.base_layers + self.head_layers

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads

    @property
    def slots(self) -> int:
        """Steps that one step sees, itself among them: so many slots has a cache."""
        return self.window + 1

    @property
    def has_places(self) -> bool:
        """Whether positions are places in a block, which bounds the length."""
        return self.positions in ("learned", "sinusoidal")


def run_stream_blocks(blocks: Iterable[nn.Module], x: Tensor, config: GPTConfig) -> Tensor:
    """Run transformer blocks offline over streams ``[B, 3 T, width]``, each step within its window."""
    streams = len(STREAMS)
    steps = x.shape[1] // streams
    allowed = banded_mask(steps, config.window, device=x.device)
    mask, rotation = allowed.repeat(streams, streams), None
    if config.positions == "alibi":
        step = torch.arange(steps, device=x.device)
        slopes = alibi_slopes(config.heads).to(x)[:, None, None]
        bias = ((step[None, :] - step[:, None]) * slopes).masked_fill(~allowed, float("-inf"))
        mask = bias.repeat(1, streams, streams)
    if config.positions == "rotary":
        cosine, sine = rotation_table(steps, config.head_dim)
        rotation = (cosine.repeat(streams, 1).to(x), sine.repeat(streams, 1).to(x))
    for block in blocks:
        x = block(x, mask, rotation)
    return x


class MusicNormaliser(nn.Module):
    """Scales each feature by statistics kept in buffers and clips; frames are concatenated in a token."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: int, frames: int, clip: float) -> None:
        super().__init__()
        self.frames = frames
        self.clip = clip
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set the mean and deviation ``[F]`` of one frame's features."""
        if mean.shape != self.mean.shape or std.shape != self.std.shape:
            raise ConfigError(
                f"music statistics have shapes {tuple(mean.shape)} and {tuple(std.shape)}, "
                f"expected {tuple(self.mean.shape)} for both"
            )
        if not bool((std > 0).all()):
            raise ConfigError("music statistics have a deviation of zero or less; floor them first")
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, music: Tensor) -> Tensor:
        """Normalise tokens ``[..., frames * F]``."""
        scaled = (music - self.mean.repeat(self.frames)) / self.std.repeat(self.frames)
        return scaled.clamp(-self.clip, self.clip) if self.clip else scaled


class CrossConditionalGPT(nn.Module):
    """The GPT over the three streams; `forward` offline, `step` with a rolling cache.

    With distances as positions, stepping equals `forward` at any length. With places, it does for the
    ``window + 1`` steps of a block.
    """

    slopes: Tensor
    places: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.music_normaliser = MusicNormaliser(
            config.music_dim // config.music_frames, config.music_frames, config.music_clip
        )
        self.music_embedding = nn.Linear(config.music_dim, width)
        self.upper_embedding = nn.Embedding(config.codebook_size, width)
        self.lower_embedding = nn.Embedding(config.codebook_size, width)
        self.style_embedding = nn.Embedding(config.styles, width) if config.styles else None
        self._add_positions(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.upper_head = nn.Linear(width, config.codebook_size, bias=False)
        self.lower_head = nn.Linear(width, config.codebook_size, bias=False)
        self._initialise()

    def _add_positions(self, config: GPTConfig) -> None:
        slopes = alibi_slopes(config.heads) if config.positions == "alibi" else torch.zeros(config.heads)
        self.register_buffer("slopes", slopes, persistent=False)
        shape = (len(STREAMS), config.window + 1 if config.positions == "learned" else 1, config.width)
        # Learned places tell the streams apart as well; otherwise each stream has one vector.
        self.stream_embedding = nn.Parameter(torch.zeros(shape))
        cosine, sine = rotation_table(config.window + 1, config.width)
        half = config.width // 2
        places = torch.cat((sine[:, :half], cosine[:, half:]), dim=-1)
        # As large as the embeddings that they are added to; the Transformer scales those up instead.
        self.register_buffer("places", places * (_INITIAL_STD * 2**0.5), persistent=False)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=_INITIAL_STD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.stream_embedding, std=_INITIAL_STD)

    def forward(
        self, music: Tensor, upper: Tensor, lower: Tensor, style: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of the codes after each step.

        Parameters
        ----------
        music : Tensor, ``[B, T, music_dim]``
        upper, lower : Tensor, ``[B, T]`` int64
            Codes of steps j; the logits at j are of step j + 1.
        style : Tensor, ``[B]`` int64, optional
            Needed by a model with styles; None means open.

        Returns
        -------
        upper_logits, lower_logits : Tensor, ``[B, T, codebook_size]``
        """
        return self.logits(self.base_state(music, upper, lower, style))

    def base_state(self, music: Tensor, upper: Tensor, lower: Tensor, style: Tensor | None = None) -> Tensor:
        """Return the state after the base layers, ``[B, 3 T, width]``, streams one after the other."""
        steps = music.shape[1]
        if self.config.has_places and steps > self.config.window + 1:
            raise ConfigError(
                f"{steps} steps exceed the block of {self.config.window + 1}; cut the sequence into blocks"
            )
        streams = torch.stack(self._embed(music, upper, lower, style, dim=1), dim=1)
        streams = streams + self._stream_places(steps)
        return self._run(self.dropout(streams.flatten(1, 2)), 0, self.config.base_layers)

    def logits(self, base_state: Tensor) -> tuple[Tensor, Tensor]:
        """Return both logits ``[B, T, codebook_size]`` from the base state."""
        hidden = self.norm(self._run(base_state, self.config.base_layers, self.config.layers))
        _, upper, lower = hidden.unflatten(1, (len(STREAMS), -1)).unbind(1)
        return self.upper_head(upper), self.lower_head(lower)

    def _embed(
        self, music: Tensor, upper: Tensor, lower: Tensor, style: Tensor | None, dim: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        embedded = (
            self.music_embedding(self.music_normaliser(music)),
            self.upper_embedding(upper),
            self.lower_embedding(lower),
        )
        if self.style_embedding is None:
            return embedded
        if style is None:
            style = torch.zeros(music.shape[0], dtype=torch.int64, device=music.device)
        offset = self.style_embedding(style)
        offset = offset.unsqueeze(1) if dim else offset
        return embedded[0] + offset, embedded[1] + offset, embedded[2] + offset

    def _stream_places(self, steps: int) -> Tensor:
        if self.config.positions == "learned":
            return self.stream_embedding[:, :steps]
        if self.config.positions == "sinusoidal":
            return self.stream_embedding + self.places[:steps]
        return self.stream_embedding

    def _run(self, x: Tensor, first: int, last: int) -> Tensor:
        return run_stream_blocks(self.blocks[first:last], x, self.config)

    def initial_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Return zeros: of each layer l its ``key_cache_l`` and ``value_cache_l`` ``[B, H, 3, W + 1, D]``.

        And ``steps_taken`` ``[B]``. Step n lies in slot n modulo W + 1, where the one that falls out of the
        window lay: a step copies each cache once, while keeping the newest last would take two copies. A
        tensor a layer: a runtime reads and writes each where it lies.
        """
        config = self.config
        shape = (batch, config.heads, len(STREAMS), config.slots, config.head_dim)
        caches = {
            f"{kind}_cache_{layer}": torch.zeros(shape, device=device, dtype=dtype)
            for layer in range(config.layers)
            for kind in ("key", "value")
        }
        return {**caches, "steps_taken": torch.zeros(batch, device=device, dtype=torch.int64)}

    def step(
        self, music: Tensor, upper_code: Tensor, lower_code: Tensor, style: Tensor | None, state: State
    ) -> tuple[tuple[Tensor, Tensor], State]:
        """Take one step and return the next codes' logits.

        Parameters
        ----------
        music : Tensor, ``[B, music_dim]``
        upper_code, lower_code, style : Tensor, ``[B]`` int64
        state
            As `initial_state`; ``steps_taken`` goes back by W + 1 at 2 (W + 1), so that it never grows large.

        Returns
        -------
        (upper_logits, lower_logits), state
            Logits ``[B, codebook_size]``.
        """
        taken = state["steps_taken"]
        x = torch.stack(self._embed(music, upper_code, lower_code, style, dim=0), dim=1)
        x = (x + self._place_of(taken.clamp_max(self.config.window))).flatten(0, 1)
        distances = self._distances(taken)
        valid = distances <= taken[:, None]
        window = self._window(taken, distances, valid)
        next_state: State = {}
        for layer, block in enumerate(self.blocks):
            names = f"key_cache_{layer}", f"value_cache_{layer}"
            caches = [state[name] for name in names]
            if not torch.compiler.is_exporting():
                # Whatever lies in an empty slot (NaN times 0 is NaN). A bundle's state starts as zeros: there
                # it would only cost time.
                empty = ~valid[:, None, None, :, None]
                caches = [cache.masked_fill(empty, 0.0) for cache in caches]
            x, *caches = cast(TransformerBlock, block).step(x, caches[0], caches[1], window)
            next_state |= zip(names, caches, strict=True)
        slots = self.config.slots
        next_state["steps_taken"] = torch.where(taken + 1 < 2 * slots, taken + 1, taken + 1 - slots)
        _, upper, lower = self.norm(x).unflatten(0, (-1, len(STREAMS))).unbind(1)
        return (self.upper_head(upper), self.lower_head(lower)), next_state

    def _place_of(self, length: Tensor) -> Tensor:
        """Return the vectors ``[B or 1, 3, width]`` added to a step after `length` others."""
        if self.config.positions == "learned":
            return self.stream_embedding[:, length].transpose(0, 1)
        if self.config.positions == "sinusoidal":
            return self.stream_embedding.transpose(0, 1) + self.places[length].unsqueeze(1)
        return self.stream_embedding.transpose(0, 1)

    def _slot(self, taken: Tensor) -> Tensor:
        """Return where the new step goes, ``[B]``."""
        return torch.where(taken < self.config.slots, taken, taken - self.config.slots)

    def _distances(self, taken: Tensor) -> Tensor:
        """Return how many steps before the new one that of each slot was, or would be, ``[B, W + 1]``."""
        slots = torch.arange(self.config.slots, device=taken.device)
        return torch.remainder(slots[:, None] - slots, self.config.slots)[self._slot(taken)]

    def _window(self, taken: Tensor, distances: Tensor, valid: Tensor) -> Window:
        config = self.config
        past = -self.slopes[:, None] * distances[:, None]
        bias = past.masked_fill(~valid[:, None], float("-inf"))
        rotation = None
        if config.positions == "rotary":
            cosine, sine = (
                table.to(self.slopes)[distances][:, None, None]
                for table in rotation_table(config.slots, config.head_dim)
            )
            rotation = (cosine, -sine)
        device = taken.device
        return Window(
            place=(
                torch.arange(taken.shape[0], device=device)[:, None, None],
                torch.arange(config.heads, device=device)[:, None],
                torch.arange(len(STREAMS), device=device),
                self._slot(taken)[:, None, None],
            ),
            bias=bias.repeat(1, 1, len(STREAMS)).unsqueeze(2),
            rotation=rotation,
        )
