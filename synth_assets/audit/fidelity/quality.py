"""Column shapes, column pair trends and the overall score of SDMetrics' quality report, equal to its figures on the same tables.

Written anew from its documentation and behaviour (release 0.32): shapes leave missing values out; trends count only pairs that are
correlated (above 0.5) or associated (Cramer's V above 0.3) in the real table, take a missing category as a category, and cut numbers
into ten bins of equal width over the range of their own table, a missing number in the last one. What has no figure there has none.
All rows are used: SDMetrics draws 50,000 of them for pairs with a category, unless it is told not to (`num_rows_subsample = None`).

Source: DataCebo, SDMetrics documentation, "Quality Report", "Column Shapes", "Column Pair Trends".
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.fidelity.columns import correlation, kolmogorov_smirnov, product, sway, unit
from synth_assets.audit.marginals import Clique, Codes, joint
from synth_assets.audit.prepare import Array, Floats, Integers, Part
from synth_assets.audit.spread import Spread

CORRELATED, ASSOCIATED = 0.5, 0.3
TENTHS = 10
_DECIMALS = 14  # SDMetrics rounds numbers so before it compares them
_UNSEEN = 1e-6  # what it adds to the count of a category that the real table lacks
_CLOSE = 1e-9  # of a cut-off: there the last digits decide
_TABLE = 4_000_000  # cells


@dataclass(frozen=True)
class View:
    """One table as pair trends see it.

    Args:
        numbers: Numeric column to float64, NaN missing.
        units: The numeric columns without missing values that vary, centred and of length one.
        codes: Column to category numbers, or to tenths of the table's own range; missing has the last number of a category column.
        sizes: Column to its number of codes; the same for all tables that are compared.
    """

    numbers: Mapping[str, Floats]
    units: Mapping[str, Floats]
    codes: Codes
    sizes: Mapping[str, int]


def view(part: Part, categories: Mapping[str, int], times: Collection[str] = ()) -> View:
    """A table as pair trends see it.

    Args:
        part: The table.
        categories: Category column to its number of categories; the other columns are numeric.
        times: Numeric columns that hold seconds of dates or times; bins are cut in nanoseconds, which matters for a constant one.
    """
    numbers = {name: values for name, values in part.values.items() if name not in categories}
    codes: dict[str, Integers] = {}
    sizes: dict[str, int] = {}
    for name, values in part.values.items():
        scale = 1e9 if name in times else 1.0
        made = _tenths(values * scale) if name in numbers else np.where(values < 0, categories[name], values)
        if made is not None:
            sizes[name] = TENTHS + 2 if name in numbers else categories[name] + 1
            codes[name] = made.astype(np.min_scalar_type(sizes[name]))
    scaled = {name: unit(values) for name, values in numbers.items() if not np.isnan(values).any()}
    return View(numbers, {name: values for name, values in scaled.items() if values is not None}, codes, sizes)


def _tenths(values: Floats) -> Integers | None:
    """Bins 1 to 11 over the range of the column, the largest and the missing number in the last; None where it cannot be cut."""
    known = values[~np.isnan(values)]
    if not np.isfinite(known).all():
        return None
    try:
        edges = np.histogram_bin_edges(known, TENTHS)
    except ValueError:  # the range is too narrow for ten different edges
        return None
    return np.searchsorted(edges, values, side="right")


def column_shape(real: Array, other: Array, *, numeric: bool) -> float | None:
    """1 - KS distance of numbers, or 1 - total variation distance of categories, over values that are there.

    Args:
        real: float64 with NaN for missing, or category numbers with -1 for missing.
        other: The same of the other table.
        numeric: Which of both.

    Returns:
        A similarity in [0, 1]; None where a side has no value.
    """
    if numeric:
        first, second = (_rounded(values[~np.isnan(values)]) for values in (real, other))
        return 1 - kolmogorov_smirnov(first, second).value if len(first) and len(second) else None
    first, second = real[real >= 0], other[other >= 0]
    if not len(first) or not len(second):
        return None
    most = int(max(first.max(), second.max())) + 1
    counts, made = (np.bincount(values, minlength=most).astype(np.float64) for values in (first, second))
    counts[(counts == 0) & (made > 0)] = _UNSEEN
    return float(1 - 0.5 * np.abs(counts / counts.sum() - made / made.sum()).sum())


def shape_sway(spread: Spread, other: int, real: Array, made: Array, *, numeric: bool) -> None:
    """Add the influences of the rows on one column's shape; nothing where it has none.

    Args:
        spread: Takes them.
        other: Number of the table that is compared.
        real: As for `column_shape`.
        made: The same of the other table.
        numeric: Which of both.
    """
    known = [~np.isnan(v) if numeric else v >= 0 for v in (real, made)]
    if not all(k.any() for k in known):
        return
    if numeric:
        values = [_rounded(v[k]) for v, k in zip((real, made), known, strict=True)]
        at = kolmogorov_smirnov(values[0], values[1]).at
        below = [_rounded(v) <= at for v in (real, made)]
        sign = np.sign(float(below[0][known[0]].mean() - below[1][known[1]].mean()))
        marks = [sign * b for b in below]
    else:
        most = int(max(real.max(), made.max())) + 1
        shares = [np.bincount(v[k], minlength=most) / k.sum() for v, k in zip((real, made), known, strict=True)]
        more = np.append(np.sign(shares[0] - shares[1]), 0.0) / 2
        marks = [more[v] for v in (real, made)]
    near, far = (np.where(k, m - m[k].mean(), 0.0) * (len(k) / k.sum()) for m, k in zip(marks, known, strict=True))
    spread.add(other, -spread.of_table(0, near), spread.of_table(other, far))


def _rounded(values: Array) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.round(values, _DECIMALS), dtype=np.float64)


def pair_trends(views: Sequence[View], pairs: Sequence[Clique]) -> list[list[float | None]]:
    """The similarity of each pair of columns, of every table but the first with the first one.

    Args:
        views: The real table first.
        pairs: Pairs of columns.

    Returns:
        Per pair one similarity per other table; None where the real table has no trend, or a side cannot show it.
    """
    return [
        _numbers(views, pair) if all(name in views[0].numbers for name in pair) else _table(views, pair)
        for pair in pairs
    ]


def pearson(table: View, pair: Clique) -> float | None:
    """Pearson correlation of two numeric columns over the rows that have both; None where it is not defined."""
    first, second = pair
    if first in table.units and second in table.units:
        return product(table.units[first], table.units[second])
    return correlation(table.numbers[first], table.numbers[second])


def correlation_sway(spread: Spread, views: Sequence[View], pair: Clique, other: int) -> None:
    """Add the influences of the rows on the absolute difference of two correlations.

    Args:
        spread: Takes them.
        views: The real table first.
        pair: Two numeric columns.
        other: Number of the table that is compared.
    """
    apart = (pearson(views[0], pair) or 0.0) - (pearson(views[other], pair) or 0.0)
    near, far = (sway(*(spread.of_table(i, views[i].numbers[name]) for name in pair)) for i in (0, other))
    spread.add(other, np.sign(apart) * near, -np.sign(apart) * far)


def _numbers(views: Sequence[View], pair: Clique) -> list[float | None]:
    others = len(views) - 1
    real = pearson(views[0], pair)
    if real is None or not _above(real, views[0], pair):
        return [None] * others
    found = [pearson(table, pair) for table in views[1:]]
    return [None if other is None else 1 - abs(real - other) / 2 for other in found]


def _above(real: float, table: View, pair: Clique) -> bool:
    """Whether two numeric columns are correlated; near the cut-off scipy's rounding decides, as it does there."""
    if abs(abs(real) - CORRELATED) > _CLOSE:
        return abs(real) > CORRELATED
    from scipy.stats import pearsonr

    first, second = (table.numbers[name] for name in pair)
    known = ~(np.isnan(first) | np.isnan(second))
    return bool(abs(pearsonr(first[known], second[known]).statistic) > CORRELATED)


def _table(views: Sequence[View], pair: Clique) -> list[float | None]:
    others: list[float | None] = [None] * (len(views) - 1)
    if any(name not in views[0].codes for name in pair):
        return others
    usable = [i for i, table in enumerate(views) if all(name in table.codes for name in pair)]
    marginal = joint([views[i].codes for i in usable], views[0].sizes, pair)
    if not _associated(marginal.cells, marginal.counts[0], views[0].sizes[pair[1]]):
        return others
    real = marginal.counts[0] / marginal.counts[0].sum()
    for i, counts in zip(usable[1:], marginal.counts[1:], strict=True):
        others[i - 1] = float(1 - 0.5 * np.abs(real - counts / counts.sum()).sum())
    return others


def _associated(cells: Integers, counts: Integers, columns: int) -> bool:
    """Whether Cramer's V of a contingency table is above the cut-off; False where a side has one category only."""
    full = np.flatnonzero(counts)
    rows, places = (np.unique(part, return_inverse=True)[1] for part in divmod(cells[full], columns))
    seen = counts[full].astype(np.float64)
    sides = np.bincount(rows, weights=seen), np.bincount(places, weights=seen)
    smallest = min(len(side) for side in sides)
    if smallest < 2:
        return False
    ratio = float((seen * seen / (sides[0][rows] * sides[1][places])).sum()) - 1
    strength = math.sqrt(max(ratio, 0.0) / (smallest - 1))
    if abs(strength - ASSOCIATED) > _CLOSE or len(sides[0]) * len(sides[1]) > _TABLE:
        return strength > ASSOCIATED
    from scipy.stats.contingency import association

    table = np.zeros((len(sides[0]), len(sides[1])), dtype=np.int64)
    table[rows, places] = counts[full]
    return bool(association(table, method="cramer") > ASSOCIATED)


def mean_of(scores: Sequence[float | None]) -> float | None:
    """The mean of the scores that there are; None without any."""
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None
