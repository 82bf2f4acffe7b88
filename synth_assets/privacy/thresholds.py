"""Stability-based selection of categories that nobody declared: show a category only when its noisy count reaches a threshold.

What belongs here: the threshold for a delta, and the delta of a threshold. What does not: the counts and their noise. The noisy counts
are recorded as a `GaussianEvent`, the threshold as a `ThresholdEvent`. Proof: docs/mechanisms/threshold_selection.md.
"""

from __future__ import annotations

import math

import numpy as np

from synth_assets.errors import InputError

REACH_SIGMAS = 40


def threshold_delta(*, sigma: float, threshold: int, rows_per_unit: int = 1) -> float:
    """Probability, rounded up, that a category of one unit of privacy alone is shown.

    With m rows a unit brings new categories of c_1 + c_2 + ... <= m rows; the sum of P[Y >= threshold - c_i] is at most
    m * max_c P[Y >= threshold - c] / c.

    Args:
        sigma: Scale of the discrete Gaussian noise, as drawn.
        threshold: A category is shown when its noisy count is at least this.
        rows_per_unit: Most rows of one unit of privacy in the table (m).

    Returns:
        In [1e-300, 1]; 1 where the threshold protects nothing.

    Raises:
        InputError: sigma, threshold or rows_per_unit is out of range.
    """
    _check(sigma, rows_per_unit)
    tail = _tail(sigma)
    shares = [_at_least(tail, threshold - c) / c for c in range(1, rows_per_unit + 1)]
    return min(1.0, rows_per_unit * max(*shares, 1e-300) * (1 + 1e-9))


def threshold_for(*, sigma: float, delta: float, rows_per_unit: int = 1) -> int:
    """The smallest threshold whose `threshold_delta` is at most delta.

    Raises:
        InputError: sigma, delta or rows_per_unit is out of range.
    """
    _check(sigma, rows_per_unit)
    if not 1e-300 < delta < 1:
        raise InputError(f"the delta of a threshold must lie between 0 and 1, it is {delta!r}.", key="delta")
    low, high = 0, rows_per_unit + math.ceil(REACH_SIGMAS * sigma) + 1
    while high - low > 1:
        middle = (low + high) // 2
        fits = threshold_delta(sigma=sigma, threshold=middle, rows_per_unit=rows_per_unit) <= delta
        low, high = (low, middle) if fits else (middle, high)
    return high


def _tail(sigma: float) -> np.ndarray:
    """P[Y >= k] of the discrete Gaussian for k = 0, 1, ... up to REACH_SIGMAS standard deviations."""
    k = np.arange(math.ceil(REACH_SIGMAS * sigma) + 2, dtype=np.float64)
    weight = np.exp(-(k**2) / (2 * sigma**2))
    upper: np.ndarray = np.cumsum(weight[::-1])[::-1] / (2 * weight.sum() - 1)
    return upper


def _at_least(tail: np.ndarray, k: int) -> float:
    """P[Y >= k]; beyond the table the last entry, which is larger."""
    if k <= 0:
        return 1.0
    return float(tail[min(k, len(tail) - 1)])


def _check(sigma: float, rows_per_unit: int) -> None:
    if not (math.isfinite(sigma) and 0 < sigma <= 1e6):
        raise InputError(f"the noise scale of a threshold must lie in (0, 1e6], it is {sigma!r}.")
    if not 1 <= rows_per_unit <= 10_000:
        raise InputError(f"the rows per unit of privacy must lie between 1 and 10,000, they are {rows_per_unit!r}.")
