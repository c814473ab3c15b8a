"""The one file that training saves and export reads: configurations, weights, provenance.

It is a `torch.save` of plain dictionaries, lists and tensors, so that it loads with
``weights_only=True``: loading runs nothing from the file.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bailando.engine.groove import GrooveSpec
from bailando.errors import BailandoError, InputError
from bailando.models.code_movement import CodeMovement, CodeMovementConfig
from bailando.models.gpt import CrossConditionalGPT, GPTConfig
from bailando.models.residual import PoseResidual, PoseResidualConfig
from bailando.models.vqvae import PoseVQVAE, PoseVQVAEConfig

FORMAT = "bailando-dancer"
VERSION = 4
READABLE_VERSIONS = (1, 2, 3, VERSION)
"""Version 1 has no residual codes, version 2 no shares of styles, version 3 no movement of codes."""
MAX_BYTES = 4 << 30
_MODELS = ("upper_vqvae", "lower_vqvae", "gpt")
_RESIDUAL = "residual"
_MOVEMENT = "movement"
_SAMPLING = {"temperature", "top_k", "top_p"}


@dataclass(frozen=True)
class Provenance:
    """What a checkpoint says of itself and of its data.

    Parameters
    ----------
    name, description, licence
        Of the dancer.
    data
        One mapping ``name``, ``licence``, ``credit`` per source of training data.
    """

    name: str
    description: str
    licence: str
    data: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class DancerCheckpoint:
    """A trained dancer: its models and what is needed to dance with them.

    Parameters
    ----------
    upper_vqvae, lower_vqvae, gpt
        The trained modules.
    features, skeleton
        ``to_dict()`` of the feature definition and of the skeleton the poses are of.
    styles
        Names of the styles, ``open`` first.
    style_shares
        How often each is danced when none is asked for, summing to 1; by default it is left ``open``.
    start_codes
        Code pairs (upper, lower) a dance may start from.
    provenance
        Name, licence and data.
    sampling
        ``temperature``, ``top_k`` and ``top_p`` recommended.
    residual
        Residual codes of the VQ-VAEs, or None.
    movement, groove
        How fast codes move, and how much the beat counts, or None.
    """

    upper_vqvae: PoseVQVAE
    lower_vqvae: PoseVQVAE
    gpt: CrossConditionalGPT
    features: Mapping[str, Any]
    skeleton: Mapping[str, Any]
    styles: tuple[str, ...]
    start_codes: tuple[tuple[int, int], ...]
    provenance: Provenance
    sampling: Mapping[str, float] = field(
        default_factory=lambda: {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    )
    residual: PoseResidual | None = None
    style_shares: tuple[float, ...] = ()
    movement: CodeMovement | None = None
    groove: GrooveSpec | None = None

    def __post_init__(self) -> None:
        if set(self.sampling) != _SAMPLING:
            raise InputError(f"sampling has keys {sorted(self.sampling)}, expected {sorted(_SAMPLING)}")
        if not self.styles or self.styles[0] != "open":
            raise InputError(f"styles are {list(self.styles)}, expected 'open' first; put it there")
        embedded = self.gpt.config.styles
        if len(self.styles) != max(embedded, 1):
            raise InputError(f"{len(self.styles)} styles named, the model has {embedded}; name each one")
        if not self.style_shares:
            object.__setattr__(self, "style_shares", (1.0,) + (0.0,) * (len(self.styles) - 1))
        if len(self.style_shares) != len(self.styles) or not _is_distribution(self.style_shares):
            raise InputError(f"style_shares {self.style_shares} are no shares of {len(self.styles)} styles")
        sizes = self.upper_vqvae.config.codebook_size, self.lower_vqvae.config.codebook_size
        if sizes != (self.gpt.config.codebook_size,) * 2:
            raise InputError(
                f"codebooks hold {sizes}, the GPT speaks of {self.gpt.config.codebook_size} codes"
            )
        if (self.movement is None) != (self.groove is None):
            raise InputError("movement and groove belong together: give both or neither")
        channels = self.upper_vqvae.config.channels + self.lower_vqvae.config.channels
        if self.movement is not None and (
            self.movement.config.codes != sizes[0] or self.movement.config.pose_channels != channels
        ):
            raise InputError(f"movement does not fit codebooks of {sizes[0]} and {channels} channels")
        if not self.start_codes or any(
            not (0 <= upper < sizes[0] and 0 <= lower < sizes[1]) for upper, lower in self.start_codes
        ):
            raise InputError(
                f"start_codes are missing or outside codebooks of {sizes[0]}: take some from the data"
            )


def save_checkpoint(path: str | Path, checkpoint: DancerCheckpoint) -> None:
    """Write `checkpoint` to `path`, whole or not at all (a temporary file is renamed)."""
    path = Path(path)
    models = {name: getattr(checkpoint, name) for name in (*_MODELS, _RESIDUAL, _MOVEMENT)}
    models = {name: model for name, model in models.items() if model is not None}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "configs": {name: model.config.to_dict() for name, model in models.items()}
        | {"features": dict(checkpoint.features), "skeleton": dict(checkpoint.skeleton)},
        "state": {name: _cpu_state(model) for name, model in models.items()},
        "styles": list(checkpoint.styles),
        "style_shares": list(checkpoint.style_shares),
        "start_codes": [list(pair) for pair in checkpoint.start_codes],
        "data": [dict(source) for source in checkpoint.provenance.data],
        "name": checkpoint.provenance.name,
        "description": checkpoint.provenance.description,
        "licence": checkpoint.provenance.licence,
        "sampling": dict(checkpoint.sampling),
        "groove": None if checkpoint.groove is None else asdict(checkpoint.groove),
    }
    partial = path.with_name(path.name + ".partial")
    torch.save(content, partial)
    os.replace(partial, path)


def load_checkpoint(path: str | Path) -> DancerCheckpoint:
    """Read a checkpoint; the models come back on the CPU in evaluation mode.

    Raises
    ------
    InputError
        If the file is missing, too large, corrupt, foreign, of another version, or its weights do
        not fit its configurations.
    """
    content = _load_plain(Path(path))
    if content.get("format") != FORMAT:
        raise InputError(
            f"{path} is no dancer checkpoint (format {content.get('format')!r}): train one first"
        )
    if content.get("version") not in READABLE_VERSIONS:
        raise InputError(
            f"{path} has version {content.get('version')!r}, expected {VERSION}: "
            "use the bailando release that wrote it, or train again"
        )
    try:
        return _build(content)
    except BailandoError as error:
        raise InputError(f"{path} is damaged: {error}") from None
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is damaged ({type(error).__name__}: {reason}): save it again") from None


def _load_plain(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}: give the .pt file that training saved")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes, at most {MAX_BYTES} are read")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no checkpoint, or is cut short: give the .pt file that training saved")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path} cannot be loaded safely ({reason}): save it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no dictionary: give the .pt file that training saved")
    return content


def _build(content: Mapping[str, Any]) -> DancerCheckpoint:
    configs, state = content["configs"], content["state"]
    upper = PoseVQVAE(PoseVQVAEConfig.from_dict(configs["upper_vqvae"]))
    lower = PoseVQVAE(PoseVQVAEConfig.from_dict(configs["lower_vqvae"]))
    gpt = CrossConditionalGPT(GPTConfig.from_dict(configs["gpt"]))
    for name, model in zip(_MODELS, (upper, lower, gpt), strict=True):
        _load_state(model, state[name])
    residual = None
    if _RESIDUAL in configs:
        sizes = PoseResidualConfig.from_dict(configs[_RESIDUAL])
        residual = PoseResidual(sizes, upper.config, lower.config)
        _load_state(residual, state[_RESIDUAL])
    movement = None
    if _MOVEMENT in configs:
        movement = CodeMovement(CodeMovementConfig.from_dict(configs[_MOVEMENT]))
        _load_state(movement, state[_MOVEMENT])
    return DancerCheckpoint(
        upper_vqvae=upper,
        lower_vqvae=lower,
        gpt=gpt,
        features=configs["features"],
        skeleton=configs["skeleton"],
        styles=tuple(content["styles"]),
        style_shares=tuple(float(share) for share in content.get("style_shares", ())),
        start_codes=_pairs(content["start_codes"]),
        provenance=Provenance(
            content["name"], content["description"], content["licence"], tuple(content["data"])
        ),
        sampling=content["sampling"],
        residual=residual,
        movement=movement,
        groove=GrooveSpec(**content["groove"]) if content.get("groove") else None,
    )


def _is_distribution(shares: Sequence[float]) -> bool:
    return all(share >= 0 for share in shares) and abs(sum(shares) - 1) < 1e-3


def _pairs(values: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(upper), int(lower)) for upper, lower in values)


def _cpu_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    model.load_state_dict(state, strict=True)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"weight {name} is not finite; training diverged")
    model.eval()
