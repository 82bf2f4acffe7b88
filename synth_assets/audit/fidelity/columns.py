"""Distances between one column of two tables: Kolmogorov-Smirnov, chi-square, and Pearson's correlation of two columns.

What belongs here: numbers in, numbers out. What does not: which columns are compared and what the figures mean (`measures.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.intervals import Pair, newcombe
from synth_assets.audit.marginals import cramers_v
from synth_assets.audit.prepare import Floats, Integers
from synth_assets.errors import InputError


@dataclass(frozen=True)
class Gap:
    """A distance in [0, 1] and its 95 % interval."""

    value: float
    interval: Pair


def kolmogorov_smirnov(real: Floats, synthetic: Floats) -> Gap:
    """Largest distance between two empirical distribution functions.

    Args:
        real: Numbers; NaN is left out.
        synthetic: Numbers; NaN is left out.

    Returns:
        The distance; its interval is that of the difference of the two shares at the number where they differ most (Newcombe).

    Raises:
        InputError: one side has no number.

    Source:
        Conover, "Practical Nonparametric Statistics", 3rd ed., section 6.3.
    """
    first, second = np.sort(real[~np.isnan(real)]), np.sort(synthetic[~np.isnan(synthetic)])
    if not len(first) or not len(second):
        raise InputError("a column without numbers has no distribution to compare.")
    here, there = _largest_step(first, second)
    if here / len(first) < there / len(second):
        first, second, here, there = second, first, there, here
    low, high = newcombe((here, len(first)), (there, len(second)))
    return Gap(here / len(first) - there / len(second), (max(low, 0.0), high))


def _largest_step(first: Floats, second: Floats) -> tuple[int, int]:
    """How many of each side lie at or below the number where the shares differ most; both sorted."""
    best, found = -1.0, (0, 0)
    for steps in (first, second):
        below = np.searchsorted(first, steps, side="right"), np.searchsorted(second, steps, side="right")
        gaps = np.abs(below[0] / len(first) - below[1] / len(second))
        at = int(np.argmax(gaps))
        if gaps[at] > best:
            best, found = float(gaps[at]), (int(below[0][at]), int(below[1][at]))
    return found


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test of two samples over the same categories; `effect` (Cramer's V) does not grow with the sample."""

    statistic: float
    degrees: int
    p_value: float
    effect: float


def chi_square(real: Sequence[int] | Integers, synthetic: Sequence[int] | Integers) -> ChiSquare:
    """Pearson's chi-square test of homogeneity of two histograms.

    Args:
        real: Row counts, shape (k,).
        synthetic: Row counts, shape (k,).

    Returns:
        Statistic, degrees of freedom, p-value and Cramer's V of the 2 x k table.

    Source:
        Pearson, "On the criterion ...", Philosophical Magazine 50 (1900), 157-175.
    """
    from scipy.stats import chi2

    table = np.array([real, synthetic], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    degrees = table.shape[1] - 1
    effect = cramers_v(table)
    statistic = effect**2 * float(table.sum())
    return ChiSquare(statistic, degrees, float(chi2.sf(statistic, degrees)) if degrees else 1.0, effect)


def unit(values: Floats) -> Floats | None:
    """Numbers centred and scaled to length one; None where they are constant, too few or not finite."""
    if len(values) < 2 or not np.isfinite(values).all() or values.min() == values.max():
        return None
    centred = values - values.mean()
    largest = np.abs(centred).max()
    if largest == 0:
        return None
    centred /= largest
    scaled: Floats = centred / np.sqrt((centred * centred).sum())
    return scaled


def correlation(first: Floats, second: Floats) -> float | None:
    """Pearson correlation over the rows that have both numbers (NaN is missing); None where it is not defined."""
    known = ~(np.isnan(first) | np.isnan(second))
    x, y = unit(first[known]), unit(second[known])
    return None if x is None or y is None else product(x, y)


def product(first: Floats, second: Floats) -> float:
    """Pearson correlation of two columns that `unit` made; the sum does not depend on the number of threads."""
    return float(np.clip((first * second).sum(), -1, 1))
