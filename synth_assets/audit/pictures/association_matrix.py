"""How strongly columns go together: one matrix over numbers and categories, from columns in memory.

Two numbers: Spearman's rank correlation. A number and a category: the correlation ratio of the ranks. Two categories: Cramer's V.
Pairs of rows with both values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synth_assets.audit.marginals import cramers_v
from synth_assets.audit.prepare import Array, Floats, Integers

FEWEST_ROWS = 2


def association_matrix(columns: Sequence[Array], numbers: Sequence[bool]) -> tuple[tuple[float | None, ...], ...]:
    """Associations of every pair of columns.

    Args:
        columns: Per column the values of all rows: numbers as float64 (NaN missing), categories as int64 (-1 missing).
        numbers: Which columns are numbers.

    Returns:
        Row by row: correlations in [-1, 1], the others in [0, 1]; None where one of the two does not vary.

    Source:
        Spearman 1904; Fisher 1925 for the correlation ratio; Cramer 1946, p. 282.
    """
    ready = [_ranks(c) if number else c for c, number in zip(columns, numbers, strict=True)]
    size = len(ready)
    matrix: list[list[float | None]] = [[1.0 if i == j else None for j in range(size)] for i in range(size)]
    for i in range(size):
        for j in range(i):
            found = _association(ready[i], ready[j], numbers[i], numbers[j])
            matrix[i][j] = matrix[j][i] = found
    return tuple(tuple(row) for row in matrix)


def _ranks(values: Floats) -> Floats:
    """Ranks with ties averaged; missing stays NaN."""
    from scipy.stats import rankdata

    ranks = np.full(len(values), np.nan)
    known = np.isfinite(values)
    ranks[known] = rankdata(values[known])
    return ranks


def _association(first: Array, second: Array, number: bool, other: bool) -> float | None:
    both = (np.isfinite(first) if number else first >= 0) & (np.isfinite(second) if other else second >= 0)
    one, two = (first, second) if both.all() else (first[both], second[both])
    if len(one) < FEWEST_ROWS:
        return None
    if number and other:
        return _correlation(one, two)
    if number or other:
        return _ratio(one, two) if number else _ratio(two, one)
    width = int(two.max()) + 1
    table = np.bincount(one * width + two, minlength=(int(one.max()) + 1) * width).reshape(-1, width)
    return cramers_v(table) if (table.sum(axis=0) > 0).sum() > 1 and (table.sum(axis=1) > 0).sum() > 1 else None


def _correlation(first: Floats, second: Floats) -> float | None:
    x, y = first - first.mean(), second - second.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return None if scale == 0 else float(np.clip(float(x @ y) / scale, -1.0, 1.0))


def _ratio(ranks: Floats, codes: Integers) -> float | None:
    """Square root of the share of the variance that the groups explain."""
    centred = ranks - ranks.mean()
    total = float(centred @ centred)
    counts = np.bincount(codes)
    if total == 0 or (counts > 0).sum() < FEWEST_ROWS:
        return None
    sums = np.bincount(codes, weights=centred)
    between = float((sums[counts > 0] ** 2 / counts[counts > 0]).sum())
    return math.sqrt(min(between / total, 1.0))
