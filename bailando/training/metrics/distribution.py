"""How a set of dances compares with another: Fréchet distance and diversity of their features."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bailando.errors import InputError

FloatArray = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating[Any]]


def normalise_features(features: AnyFloats, reference: AnyFloats) -> FloatArray:
    """Return ``(features - mean) / deviation`` with the reference's mean and deviation.

    Source: the protocol of the AIST++ benchmark (Li et al., ICCV 2021) as used since; a feature that never
    varies in the reference is divided by 1e-10, as there.

    Parameters
    ----------
    features : ndarray, shape (N, D)
    reference : ndarray, shape (M, D)
        Of the ground truth.
    """
    values, truth = _matrix(features), _matrix(reference)
    normalised: FloatArray = (values - truth.mean(0)) / (truth.std(0) + 1e-10)
    return normalised


def frechet_distance(features: AnyFloats, reference: AnyFloats) -> float:
    """Return the Fréchet distance between two sets of features taken as Gaussian.

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁Σ₂)^½), with (Σ₁Σ₂)^½ by way of the symmetric Σ₁^½ Σ₂ Σ₁^½, which stays
    real when the sets are smaller than the feature space.

    Source: Heusel et al., NeurIPS 2017; FID_k and FID_g of Li et al., ICCV 2021.

    Parameters
    ----------
    features : ndarray, shape (N, D)
        Normalised (`normalise_features`), N at least 2.
    reference : ndarray, shape (M, D)
        Normalised by itself, M at least 2.

    Raises
    ------
    InputError
        If a set has fewer than two members.
    """
    one, other = _matrix(features), _matrix(reference)
    if min(len(one), len(other)) < 2:
        raise InputError(f"got {len(one)} and {len(other)} dances; a Fréchet distance needs 2 of each")
    shift = one.mean(0) - other.mean(0)
    covariance, truth_covariance = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (one, other))
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ truth_covariance @ root)
    overlap = np.sqrt(np.maximum(cross, 0.0)).sum()
    return float(shift @ shift + np.trace(covariance) + np.trace(truth_covariance) - 2.0 * overlap)


def diversity(features: AnyFloats) -> float:
    """Return the mean Euclidean distance between all pairs of normalised features (N, D).

    Source: Div_k and Div_g of Siyao et al., CVPR 2022. NaN for fewer than two.
    """
    values = _matrix(features)
    count = len(values)
    if count < 2:
        return float("nan")
    total = sum(
        float(np.linalg.norm(values[row + 1 :] - values[row], axis=1).sum()) for row in range(count - 1)
    )
    return total / (count * (count - 1) / 2)


def _matrix(features: AnyFloats) -> FloatArray:
    array = np.asarray(features, np.float64)
    if array.ndim != 2 or len(array) == 0:
        raise InputError(f"features have shape {array.shape}; expected (dances, features)")
    return array
