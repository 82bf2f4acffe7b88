"""Distances between one column of two tables: Kolmogorov-Smirnov, chi-square, and Pearson's correlation of two columns.

What belongs here: numbers in, numbers out. What does not: which columns are compared and what the figures mean (`measures.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.intervals import Pair, chi_square_effect, newcombe
from synth_assets.audit.marginals import cramers_v
from synth_assets.audit.prepare import Floats, Integers
from synth_assets.audit.spread import design_effect, numbered
from synth_assets.errors import InputError


@dataclass(frozen=True)
class Gap:
    """A distance in [0, 1], its 95 % interval, and the number at or below which the two shares differ so."""

    value: float
    interval: Pair
    at: float


def kolmogorov_smirnov(
    real: Floats, synthetic: Floats, groups: tuple[Integers | None, Integers | None] = (None, None)
) -> Gap:
    """Largest distance between two empirical distribution functions.

    Args:
        real: Numbers; NaN is left out.
        synthetic: Numbers; NaN is left out.
        groups: Unit of each row of either side, from 0; None where every row is its own.

    Returns:
        The distance; its interval is that of the difference of the two shares at the number where they differ most (Newcombe), on as
        many rows as the units are worth (their design effect).

    Raises:
        InputError: one side has no number.

    Source:
        Conover, "Practical Nonparametric Statistics", 3rd ed., section 6.3.
    """
    first, second = np.sort(real[~np.isnan(real)]), np.sort(synthetic[~np.isnan(synthetic)])
    if not len(first) or not len(second):
        raise InputError("a column without numbers has no distribution to compare.")
    at = _largest_step(first, second)
    one, two = (_worth(side, at, whose) for side, whose in zip((real, synthetic), groups, strict=True))
    if one[0] / one[1] < two[0] / two[1]:
        one, two = two, one
    low, high = newcombe(one, two)
    return Gap(one[0] / one[1] - two[0] / two[1], (max(low, 0.0), high), at)


def _worth(values: Floats, at: float, groups: Integers | None) -> Pair:
    """Rows at or below a number, and all rows, both divided by the design effect of the units."""
    known = ~np.isnan(values)
    below = (values[known] <= at).astype(np.int64)
    effect = design_effect(below, None if groups is None else numbered(groups[known]))
    return float(below.sum()) / effect, len(below) / effect


def _largest_step(first: Floats, second: Floats) -> float:
    """The number at or below which the shares differ most; both sorted."""
    best, found = -1.0, 0.0
    for steps in (first, second):
        below = np.searchsorted(first, steps, side="right"), np.searchsorted(second, steps, side="right")
        gaps = np.abs(below[0] / len(first) - below[1] / len(second))
        at = int(np.argmax(gaps))
        if gaps[at] > best:
            best, found = float(gaps[at]), float(steps[at])
    return found


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test of two samples over the same categories; `effect` (Cramer's V) does not grow with the sample.

    `interval` is the 95 % interval of the effect.
    """

    statistic: float
    degrees: int
    p_value: float
    effect: float
    interval: Pair


def chi_square(
    real: Sequence[int] | Integers, synthetic: Sequence[int] | Integers, effects: Pair = (1.0, 1.0)
) -> ChiSquare:
    """Pearson's chi-square test of homogeneity of two histograms.

    Args:
        real: Row counts, shape (k,).
        synthetic: Row counts, shape (k,).
        effects: Design effect of the units of either side; 1 where every row is its own.

    Returns:
        Statistic, degrees of freedom, p-value and Cramer's V of the 2 x k table, with the interval of the latter.

    Source:
        Pearson, "On the criterion ...", Philosophical Magazine 50 (1900), 157-175.
    """
    from scipy.stats import chi2

    table = np.array([real, synthetic], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    degrees = table.shape[1] - 1
    effect = cramers_v(table)
    statistic = effect**2 * float(table.sum())
    worth = 1 / sum(e / max(float(n), 1.0) for e, n in zip(effects, table.sum(axis=1), strict=True))
    plain = 1 / sum(1 / max(float(n), 1.0) for n in table.sum(axis=1))
    trials = float(table.sum()) * worth / plain
    return ChiSquare(
        statistic,
        degrees,
        float(chi2.sf(statistic, degrees)) if degrees else 1.0,
        effect,
        chi_square_effect(effect, degrees, trials),
    )


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


def sway(first: Floats, second: Floats) -> Floats:
    """Influence of each row on Pearson's correlation of two columns; 0 for a row that lacks a number, and where it is not defined.

    Source:
        Hampel, "The influence curve and its role in robust estimation", JASA 69 (1974); for the correlation: Devlin, Gnanadesikan,
        Kettenring, "Robust estimation and outlier detection with correlation coefficients", Biometrika 62 (1975), 531-545.
    """
    made = np.zeros(len(first))
    known = ~(np.isnan(first) | np.isnan(second))
    x, y = unit(first[known]), unit(second[known])
    if x is not None and y is not None:
        of_all = len(first) / len(x)
        made[known] = len(x) * (x * y - product(x, y) * (x * x + y * y) / 2) * of_all
    return made


def product(first: Floats, second: Floats) -> float:
    """Pearson correlation of two columns that `unit` made; the sum does not depend on the number of threads."""
    return float(np.clip((first * second).sum(), -1, 1))
