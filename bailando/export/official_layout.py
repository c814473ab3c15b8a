"""Names of weights: the published layout against ours.

A layout maps each of our names to the published name, or to several whose tensors are joined along the
first axis (query, key and value are one projection here).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from bailando.errors import InputError
from bailando.export.official_pickle import OfficialCheckpoint

Layout = dict[str, tuple[str, ...]]


def affine(ours: str, theirs: str) -> Layout:
    """Map a layer with a weight and a bias."""
    return {f"{ours}.{part}": (f"{theirs}.{part}",) for part in ("weight", "bias")}


def encoder_layout(theirs: str, levels: int, depth: int) -> Layout:
    """Map a `PoseEncoder`."""
    layout: Layout = {}
    index = 0
    for level in range(levels):
        layout |= affine(f"encoder.layers.{index}.conv", f"{theirs}.{level}.0")
        layout |= _residual_layout("encoder", index + 1, f"{theirs}.{level}.1", depth)
        index += 1 + depth
    return layout | affine(f"encoder.layers.{index}.conv", f"{theirs}.{levels}")


def decoder_layout(ours: str, theirs: str, levels: int, depth: int) -> Layout:
    """Map a `PoseDecoder` named `ours`."""
    blocks = f"{theirs}.level_blocks.0.model"
    layout = affine(f"{ours}.layers.0.conv", f"{blocks}.0")
    index = 1
    for level in range(1, levels + 1):
        layout |= _residual_layout(ours, index, f"{blocks}.{level}.0", depth)
        layout |= affine(f"{ours}.layers.{index + depth}.conv", f"{blocks}.{level}.1")
        index += depth + 1
    return layout | affine(f"{ours}.layers.{index}.conv", f"{theirs}.out")


def _residual_layout(ours: str, first: int, theirs: str, depth: int) -> Layout:
    layout: Layout = {}
    for block in range(depth):
        layout |= affine(f"{ours}.layers.{first + block}.dilated.conv", f"{theirs}.model.{block}.model.1")
        layout |= affine(f"{ours}.layers.{first + block}.pointwise.conv", f"{theirs}.model.{block}.model.3")
    return layout


def blocks_layout(first: int, theirs: str, layers: int) -> Layout:
    """Map transformer blocks `first` ... of ours."""
    layout: Layout = {}
    for layer in range(layers):
        ours, block = f"blocks.{first + layer}", f"{theirs}.blocks.{layer}"
        layout |= affine(f"{ours}.attention_norm", f"{block}.ln1")
        layout |= affine(f"{ours}.mlp_norm", f"{block}.ln2")
        layout |= affine(f"{ours}.attention.output", f"{block}.attn.proj")
        layout |= affine(f"{ours}.mlp.0", f"{block}.mlp.0")
        layout |= affine(f"{ours}.mlp.2", f"{block}.mlp.2")
        for part in ("weight", "bias"):
            parts = tuple(f"{block}.attn.{name}.{part}" for name in ("query", "key", "value"))
            layout[f"{ours}.attention.query_key_value.{part}"] = parts
    return layout


def count(names: Iterable[str], prefix: str) -> int:
    """Return how many numbered children (0, 1, ...) stand after `prefix`."""
    children = {name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)}
    return len([child for child in children if child.isdigit()])


def require_names(
    checkpoint: OfficialCheckpoint, prefix: str, layout: Layout, unused: Iterable[str] = ()
) -> None:
    """Check that the tensors under `prefix` are those of `layout` and `unused`, no more, no fewer.

    Raises
    ------
    InputError
        Naming what is missing or unknown.
    """
    expected = {name for parts in layout.values() for name in parts} | set(unused)
    found = {name for name in checkpoint.tensors if name.startswith(prefix)}
    missing, unknown = sorted(expected - found), sorted(found - expected)
    if missing or unknown:
        raise InputError(
            f"{checkpoint.path}: missing weights {missing[:3]} ({len(missing)}), "
            f"unknown weights {unknown[:3]} ({len(unknown)}); expected the published layout"
        )


def require_known_parts(checkpoint: OfficialCheckpoint, parts: Iterable[str]) -> None:
    """Check that every tensor belongs to one of the named top-level parts."""
    known = set(parts)
    unknown = sorted(name for name in checkpoint.tensors if name.split(".")[0] not in known)
    if unknown:
        raise InputError(
            f"{checkpoint.path}: unknown weights {unknown[:3]} ({len(unknown)}), "
            f"expected parts {sorted(known)}"
        )


def shape_of(checkpoint: OfficialCheckpoint, name: str, dimensions: int) -> tuple[int, ...]:
    """Return the shape of a tensor that sizes are read from.

    Raises
    ------
    InputError
        If it is missing or has another number of dimensions.
    """
    tensor = checkpoint.tensors.get(name)
    if tensor is None or tensor.dim() != dimensions:
        got = "missing" if tensor is None else f"of shape {tuple(tensor.shape)}"
        raise InputError(f"{checkpoint.path}: weight {name} is {got}, expected {dimensions} dimensions")
    return tuple(tensor.shape)


def load_layout(
    model: nn.Module, checkpoint: OfficialCheckpoint, layout: Layout, extra: Mapping[str, Tensor]
) -> None:
    """Copy the published tensors, and `extra` ones under our names, into `model`; all must fit."""
    state = dict(extra)
    for ours, theirs in layout.items():
        parts = [checkpoint.tensors[name] for name in theirs]
        state[ours] = torch.cat(parts) if len(parts) > 1 else parts[0]
    own = model.state_dict()
    for name, tensor in state.items():
        if name not in own or own[name].shape != tensor.shape:
            expected = tuple(own[name].shape) if name in own else "no such weight"
            raise InputError(
                f"{checkpoint.path}: {layout.get(name, (name,))[0]} has shape {tuple(tensor.shape)}, "
                f"expected {expected}"
            )
    model.load_state_dict(own | state)
    model.eval().requires_grad_(False)
