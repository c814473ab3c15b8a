"""What a dancer makes of its codebooks: how many codes, how evenly, in how long loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError

CodeArray = npt.NDArray[Any]


def codebook_perplexity(codes: CodeArray, codebook_size: int) -> float:
    """Return exp of the entropy of code frequencies: the number of codes that are used in effect.

    exp(-Σ p log p), as in van den Oord et al., NeurIPS 2017. NaN for no codes.

    Parameters
    ----------
    codes : ndarray of int, any shape
        0 to codebook_size - 1.
    codebook_size : int
        Number of codes.

    Raises
    ------
    InputError
        If a code lies outside the codebook.
    """
    counts = _counts(codes, codebook_size)
    if counts.sum() == 0:
        return float("nan")
    share = counts[counts > 0] / counts.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def codebook_usage(codes: CodeArray, codebook_size: int) -> float:
    """Return the share of the codebook that occurs at least once, 0 to 1."""
    return float((_counts(codes, codebook_size) > 0).mean())


def longest_repeat(*streams: CodeArray) -> int:
    """Return the length of the longest code sequence that comes twice, in tokens.

    The longest repeated substring; the two may overlap, so that one loop of p tokens for a
    whole song of n gives n - p. Given several streams (upper and lower codes), all must repeat at once.

    Parameters
    ----------
    *streams : ndarray of int, shape (tokens,)
        Codes, all of one length.
    """
    if not streams or any(np.shape(stream) != (len(streams[0]),) for stream in streams):
        raise InputError("codes have different lengths; expected streams (tokens,) of one length")
    _, tokens = np.unique(np.stack(streams, axis=1), axis=0, return_inverse=True)
    tokens = tokens.reshape(-1)
    longest = 0
    for lag in range(1, len(tokens)):
        if len(tokens) - lag <= longest:
            break
        longest = max(longest, _longest_run(tokens[lag:] == tokens[:-lag]))
    return longest


def _longest_run(held: npt.NDArray[np.bool_]) -> int:
    breaks = np.flatnonzero(np.concatenate([[True], ~held, [True]]))
    return int(np.diff(breaks).max()) - 1


def token_accuracy(codes: CodeArray, reference: CodeArray) -> float:
    """Return the share of codes that equal the reference's, two arrays of one shape."""
    one, other = np.asarray(codes), np.asarray(reference)
    if one.shape != other.shape or one.size == 0:
        raise InputError(f"codes have shapes {one.shape} and {other.shape}; expected the same, not empty")
    return float((one == other).mean())


def _counts(codes: CodeArray, codebook_size: int) -> npt.NDArray[np.intp]:
    flat = np.asarray(codes).reshape(-1).astype(np.int64)
    if flat.size and not (flat.min() >= 0 and flat.max() < codebook_size):
        raise InputError(
            f"codes run from {flat.min()} to {flat.max()}; expected 0 to {codebook_size - 1}: "
            "give the codebook they come from"
        )
    return np.bincount(flat, minlength=codebook_size)
