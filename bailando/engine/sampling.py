"""Draw codes from logits: temperature, top-k, nucleus (top-p), greedy at temperature zero.

The random generator is counter based (Philox), so its whole state is a few integers that belong to
the session and travel with its snapshots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailando.errors import ConfigError

GeneratorState = dict[str, Any]


@dataclass(frozen=True)
class SamplingConfig:
    """How a code is drawn from its logits.

    Parameters
    ----------
    temperature : float
        Logits are divided by it; 0 means greedy (the most likely code).
    top_k : int
        Only the ``top_k`` most likely codes can be drawn; 0 means all of them.
    top_p : float
        Only the smallest set of codes whose probabilities sum to at least ``top_p`` can be drawn
        (nucleus sampling, Holtzman et al. 2020); 1 means all of them.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 100.0:
            raise ConfigError(f"temperature is {self.temperature}; give a number from 0 (greedy) to 100")
        if self.top_k < 0:
            raise ConfigError(f"top_k is {self.top_k}; give 0 (all codes) or a positive number of codes")
        if not 0.0 < self.top_p <= 1.0:
            raise ConfigError(f"top_p is {self.top_p}; give a number above 0 and up to 1")


def new_generator(seed: int) -> np.random.Generator:
    """Return the generator of a session with this seed.

    Raises
    ------
    ConfigError
        If the seed is negative.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; give a whole number of 0 or more")
    return np.random.Generator(np.random.Philox(seed))


def code_probabilities(logits: NDArray[np.float32], config: SamplingConfig) -> NDArray[np.float64]:
    """Return the distribution the next code is drawn from.

    Parameters
    ----------
    logits : (K,) float32
        Unnormalised log probabilities. Non-finite entries are impossible codes, except that positive
        infinity counts as the largest float.
    config : SamplingConfig

    Returns
    -------
    (K,) float64
        Sums to one, or is all zero when no code is possible (every logit NaN or minus infinity).
    """
    scores = logits.astype(np.float64)
    if not np.isfinite(scores).all():
        scores = np.nan_to_num(scores, nan=-np.inf, posinf=1e30, neginf=-np.inf)
    peak = scores.max(initial=-np.inf)
    if not np.isfinite(peak):
        return np.zeros_like(scores)
    if config.temperature == 0.0:
        greedy = np.zeros_like(scores)
        greedy[int(np.argmax(scores))] = 1.0
        return greedy
    probabilities = np.exp((scores - peak) / config.temperature)
    probabilities /= probabilities.sum()
    return _truncate(probabilities, config)


def _truncate(probabilities: NDArray[np.float64], config: SamplingConfig) -> NDArray[np.float64]:
    """Keep the top-k codes, then the nucleus, and normalise again."""
    if config.top_k == 0 and config.top_p == 1.0:
        return probabilities
    order = np.argsort(-probabilities, kind="stable")
    kept = len(order) if config.top_k == 0 else min(config.top_k, len(order))
    if config.top_p < 1.0:
        mass = np.cumsum(probabilities[order[:kept]])
        kept = int(np.searchsorted(mass, config.top_p * mass[-1])) + 1
    truncated = np.zeros_like(probabilities)
    truncated[order[:kept]] = probabilities[order[:kept]]
    return np.asarray(truncated / truncated.sum(), dtype=np.float64)


def sample_code(
    logits: NDArray[np.float32], config: SamplingConfig, generator: np.random.Generator
) -> int | None:
    """Draw one code, or return None when the logits allow none.

    Exactly one number is drawn from the generator in every case, so that a session's later draws do
    not depend on whether an earlier one was greedy or failed.

    Parameters
    ----------
    logits : (K,) float32
    config : SamplingConfig
    generator : numpy.random.Generator
        Advanced by one draw.
    """
    draw = generator.random()
    cumulative = np.cumsum(code_probabilities(logits, config))
    if cumulative[-1] == 0.0:
        return None
    return int(np.searchsorted(cumulative, draw * cumulative[-1], side="right"))


def generator_state(generator: np.random.Generator) -> GeneratorState:
    """Return a copy of the generator's state, for a snapshot."""
    return dict(generator.bit_generator.state)


def restore_generator(state: GeneratorState) -> np.random.Generator:
    """Return a generator that goes on from ``state``."""
    generator = new_generator(0)
    generator.bit_generator.state = state
    return generator
