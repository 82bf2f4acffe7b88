"""The sampling error of figures that are sums over rows to first order: each row's influence, added up, and its variance.

When other rows are drawn, a share, a largest step, a correlation or a Cramer's V moves by the mean of its influence over the rows; so
its variance follows from that of the influences. Rows of one unit hang together: their influences are added up first. What does not
belong here: which figures there are.

Source: Hampel, "The influence curve and its role in robust estimation", JASA 69 (1974), 383-393; Jaeckel, "The infinitesimal
jackknife", Bell Laboratories (1972); Rao, Scott, "The analysis of categorical data from complex sample surveys", JASA 76 (1981),
221-230 (units).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synth_assets.audit.intervals import Pair
from synth_assets.audit.marginals import Z, clustered_variance
from synth_assets.audit.prepare import Array, Floats, Integers

ROWS = 50_000  # of each table; of more, a seeded sample of whole units tells the variance of the influences as well


def numbered(units: Integers | None) -> Integers | None:
    """Units as numbers from 0; None where every row is a unit of its own."""
    if units is None:
        return None
    known, numbers = np.unique(units, return_inverse=True)
    return None if len(known) == len(units) else np.asarray(numbers, dtype=np.int64)


def around(value: float, half: float) -> Pair:
    """An interval around a figure in [0, 1], from half its width."""
    return max(value - half, 0.0), min(value + half, 1.0)


class Spread:
    """The influences of the rows of some tables on a mean of figures that compare each of them with the first one."""

    def __init__(self, rows: Sequence[int], groups: Sequence[Integers | None] | None = None, *, seed: int = 0) -> None:
        """Start with no figure.

        Args:
            rows: Rows of each table, the one that the others are compared with first.
            groups: Per table the unit of each row, from 0; None where every row is its own.
            seed: Seed of the samples of large tables.
        """
        self._rows = list(rows)
        self._groups: list[Integers | None] = list(groups) if groups is not None else [None] * len(self._rows)
        self._picks = [_pick(n, g, seed) for n, g in zip(self._rows, self._groups, strict=True)]
        held = [n if pick is None else len(pick) for n, pick in zip(self._rows, self._picks, strict=True)]
        self._near = [np.zeros(held[0]) for _ in self._rows[1:]]
        self._far = [np.zeros(n) for n in held[1:]]
        self._terms = [0.0] * (len(self._rows) - 1)

    def of_table(self, table: int, values: Array) -> Array:
        """The values of the rows of a table whose influences are asked for."""
        pick = self._picks[table]
        return values if pick is None else values[pick]

    def add(self, other: int, near: Floats, far: Floats, weight: float = 1.0) -> None:
        """Take in one figure that compares a table with the first one.

        Args:
            other: Number of the table, at least 1.
            near: Influence of each row of the first table (of those that `of_table` picks).
            far: Influence of each row of the other table.
            weight: Of the figure in the mean.
        """
        self._near[other - 1] += weight * near
        self._far[other - 1] += weight * far
        self._terms[other - 1] += weight

    def half(self, other: int) -> float:
        """Half the width of the 95 % interval of the mean; 0 without a figure."""
        if not self._terms[other - 1]:
            return 0.0
        sides = ((0, self._near[other - 1]), (other, self._far[other - 1]))
        return Z * math.sqrt(sum(self._variance(table, values) for table, values in sides)) / self._terms[other - 1]

    def interval(self, other: int, value: float) -> Pair:
        """The 95 % interval of a mean in [0, 1]."""
        return around(value, self.half(other))

    def _variance(self, table: int, values: Floats) -> float:
        groups = self._groups[table]
        kept = groups if groups is None else numbered(self.of_table(table, groups))
        return clustered_variance(values, kept) * len(values) / self._rows[table]


def _pick(rows: int, groups: Integers | None, seed: int) -> Integers | None:
    if rows <= ROWS:
        return None
    rng = np.random.default_rng([seed, rows])
    if groups is None:
        return np.sort(rng.choice(rows, ROWS, replace=False))
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    kept = np.zeros(len(sizes), dtype=np.bool_)
    kept[order[np.cumsum(sizes[order]) - sizes[order] < ROWS]] = True
    return np.flatnonzero(kept[groups])


def design_effect(codes: Integers, groups: Integers | None) -> float:
    """By how much the variance of category shares grows because rows of one unit hang together, on average; 1 without units.

    Args:
        codes: Category number of each row.
        groups: Unit of each row, from 0.

    Source:
        Rao, Scott 1981, section 3: the mean of the generalised design effects, estimated with units as clusters.
    """
    if groups is None or not len(codes):
        return 1.0
    rows, k = len(codes), int(codes.max()) + 1
    shares = np.bincount(codes, minlength=k) / rows
    alone = float((shares * (1 - shares)).sum()) / rows
    if alone == 0:
        return 1.0
    cells, counts = np.unique(groups * k + codes, return_counts=True)
    sizes = np.bincount(groups).astype(np.float64)
    whole = float((counts.astype(np.float64) ** 2).sum() - 2 * (counts * shares[cells % k] * sizes[cells // k]).sum())
    together = (whole + float((sizes**2).sum() * (shares**2).sum())) / rows**2
    return max(together / alone, 1.0)
