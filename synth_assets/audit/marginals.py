"""Binned tables and the distances between their marginals. Bins come from the real train table only.

Definitions: numeric columns in 20 quantile bins of the real train table, categories as they are; values that the real table does not
have share one more bin, missing values another. What does not belong here: which marginals are compared (`workload.py`), which
distances are reported (`fidelity/measures.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from synth_assets.audit.intervals import Pair
from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared
from synth_assets.errors import InputError

BINS = 20
CATEGORY_LIMIT = 250
Z = 1.959963984540054  # the 97.5 % point of the normal distribution
_DENSE_CELLS = 4_000_000
Codes = Mapping[str, Integers]
Clique = tuple[str, ...]


def total_variation_distance(real: npt.ArrayLike, synthetic: npt.ArrayLike) -> float:
    """Half the L1 distance between two histograms over the same cells.

    Args:
        real: Counts or shares, shape (k,), each >= 0, not all 0.
        synthetic: The same for the other table, cells in the same order.

    Returns:
        A fraction in [0, 1]: 0 is identical, 1 is disjoint.

    Raises:
        InputError: the lengths differ, or one side has no rows.

    Source:
        Levin, Peres, Wilmer, "Markov Chains and Mixing Times", 2nd ed., Prop. 4.2.
    """
    first, second = np.asarray(real, dtype=np.float64), np.asarray(synthetic, dtype=np.float64)
    if first.shape != second.shape:
        raise InputError(f"histograms differ in length: {first.size} and {second.size}.")
    if not first.sum() > 0 or not second.sum() > 0:
        raise InputError("a histogram without rows has no distance to another.")
    return float(min(0.5 * np.abs(first / first.sum() - second / second.sum()).sum(), 1.0))


@dataclass(frozen=True)
class Grid:
    """Bins per column.

    Args:
        edges: Numeric column to inner edges; bin i holds edges[i-1] <= x < edges[i] (right_closed: edges[i-1] < x <= edges[i]).
        ranks: Category column to the bin of each category number.
        sizes: Column to its number of bins, with the bin of other values (categories) and the bin of missing values.
        merged: Category columns whose rarest categories share the bin of other values.
        right_closed: Whether an edge belongs to the bin below it.
    """

    edges: Mapping[str, Floats]
    ranks: Mapping[str, Integers]
    sizes: Mapping[str, int]
    merged: tuple[str, ...] = ()
    right_closed: bool = False

    def codes(self, part: Part) -> dict[str, Integers]:
        """Bin numbers of one table, column by column, in the smallest type that holds them."""
        return {
            name: self.code(name, values).astype(np.min_scalar_type(self.sizes[name]))
            for name, values in part.values.items()
        }

    def code(self, name: str, values: Array) -> Integers:
        """Bin numbers of one column."""
        last = self.sizes[name] - 1
        if name in self.edges:
            side: Literal["left", "right"] = "left" if self.right_closed else "right"
            return np.where(np.isnan(values), last, np.searchsorted(self.edges[name], values, side=side))
        ranks = np.append(self.ranks[name], last)  # -1, missing, picks the last entry
        return ranks[values]


def quantile_grid(prepared: Prepared, bins: int = BINS) -> Grid:
    """20 quantile bins of the real train table per numeric column; its categories, at most 250, per other column."""
    train = prepared.parts["train"]
    return _grid(
        prepared, {name: _quantiles(train.values[name], bins) for name in prepared.names if prepared.numeric(name)}
    )


def rank_grid(prepared: Prepared, declared: Mapping[str, Sequence[float]] | None = None, bins: int = BINS) -> Grid:
    """Bins of SDNist: a number belongs to the twentieth of its rank in the real train table, equal numbers to one.

    Args:
        prepared: With a train table.
        declared: Inner edges of columns that have bins of their own; an edge belongs to the bin below it.
        bins: Number of bins.

    Source:
        NIST, SDNist 2.4, `report/dataset/binning.py` (percentile ranks of the target data).
    """
    train, given = prepared.parts["train"], declared or {}
    edges = {
        name: np.asarray(given[name], dtype=np.float64) if name in given else _rank_edges(train.values[name], bins)
        for name in prepared.names
        if prepared.numeric(name)
    }
    return replace(_grid(prepared, edges), right_closed=True)


def _rank_edges(values: Floats, bins: int) -> Floats:
    """The largest number of every bin but the last."""
    known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if not len(known):
        return np.empty(0)
    below = np.cumsum(counts)
    ranks = (below - counts + (counts + 1) / 2) / below[-1]
    places = np.minimum((bins * ranks).astype(np.int64), bins - 1)
    return np.asarray(known[np.flatnonzero(np.diff(places))], dtype=np.float64)


def _quantiles(values: Floats, bins: int) -> Floats:
    known = values[~np.isnan(values)]
    return np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.empty(0)


def _grid(prepared: Prepared, edges: Mapping[str, Floats]) -> Grid:
    train = prepared.parts["train"]
    ranks, merged = {}, []
    sizes = {name: len(inner) + 2 for name, inner in edges.items()}
    for name, labels in prepared.labels.items():
        counts = np.bincount(train.values[name][train.values[name] >= 0], minlength=len(labels))
        kept = np.sort(np.argsort(-counts, kind="stable")[: min(CATEGORY_LIMIT, int((counts > 0).sum()))])
        rank = np.full(len(labels), len(kept), dtype=np.int64)
        rank[kept] = np.arange(len(kept))
        ranks[name], sizes[name] = rank, len(kept) + 2
        if int((counts > 0).sum()) > CATEGORY_LIMIT:
            merged.append(name)
    return Grid(edges, ranks, sizes, tuple(merged))


def clustered_variance(values: Array, groups: Integers | None) -> float:
    """Variance of a mean over rows; rows of one group may hang together.

    Args:
        values: One number per row.
        groups: Group number of each row, from 0; None where rows are independent.
    """
    centred = values - values.mean(dtype=np.float64)
    if groups is not None:
        centred = np.bincount(groups, weights=centred)
    return float((centred.astype(np.float64) ** 2).sum()) / len(values) ** 2


@dataclass(frozen=True)
class Joint:
    """One marginal of several tables.

    Args:
        cells: Number of each cell that is counted: position of the row's bins in the full table, the last column fastest.
        counts: Rows per cell, one array per table, shape (len(cells),).
        keys: Position in `cells` of each row, one array per table.
    """

    cells: Integers
    counts: list[Integers]
    keys: list[Integers]


def joint(tables: Sequence[Codes], sizes: Mapping[str, int], clique: Clique) -> Joint:
    """Count one marginal in several tables, over the same cells.

    Args:
        tables: Bin numbers per table.
        sizes: Column to its number of bins.
        clique: Columns of the marginal.

    Returns:
        Cells that no table has may be left out.
    """
    cells = math.prod(sizes[name] for name in clique)
    keys = []
    for codes in tables:
        key = codes[clique[0]].astype(np.int64)
        for name in clique[1:]:
            key *= sizes[name]
            key += codes[name]
        keys.append(key)
    numbers = np.arange(cells if cells <= _DENSE_CELLS else 0)
    if cells > _DENSE_CELLS:
        numbers, together = np.unique(np.concatenate(keys), return_inverse=True)
        keys = np.split(together, np.cumsum([len(key) for key in keys])[:-1])
    return Joint(numbers, [np.bincount(key, minlength=len(numbers)) for key in keys], keys)


@dataclass(frozen=True)
class Distance:
    """A mean total variation distance, its 95 % interval, and the largest of the distances in it."""

    value: float
    interval: Pair
    largest: float


def count_distance(real: Integers, other: Integers) -> Distance:
    """Total variation distance of two histograms with its 95 % interval (the delta method, as in `MeanDistance`).

    Args:
        real: Counts, shape (k,), not all 0.
        other: Counts over the same cells.
    """
    value = total_variation_distance(real, other)
    first, second = (np.asarray(counts, dtype=np.float64) for counts in (real, other))
    more = np.sign(first / first.sum() - second / second.sum())
    spread = sum(
        float((more**2 * side).sum() / side.sum() - ((more * side).sum() / side.sum()) ** 2) / float(side.sum())
        for side in (first, second)
    )
    half = Z * math.sqrt(max(spread, 0.0)) / 2
    return Distance(value, (max(value - half, 0.0), min(value + half, 1.0)), value)


class MeanDistance:
    """Mean total variation distance of some tables from the first one, over many marginals, with its sampling error.

    The mean is a difference of two means over rows, of how often a row lies in cells that one table has more of; so its variance
    follows from the variances over rows, whatever the marginals share (the delta method; cells with equal shares count for neither).
    """

    def __init__(self, rows: Sequence[int], groups: Sequence[Integers | None] | None = None) -> None:
        """Start with no marginal.

        Args:
            rows: Rows of each table, the one that the others are compared with first.
            groups: Per table the group of each row, where rows of one group hang together (a sequence, a person).
        """
        self._groups: Sequence[Integers | None] = groups or [None] * len(rows)
        self._near = [np.zeros(rows[0], dtype=np.int16) for _ in rows[1:]]
        self._far = [np.zeros(count, dtype=np.int16) for count in rows[1:]]
        self._values: list[list[float]] = [[] for _ in rows[1:]]

    def add(self, marginal: Joint) -> None:
        """Take in one marginal."""
        real = marginal.counts[0] / marginal.counts[0].sum()
        for i, counts in enumerate(marginal.counts[1:]):
            difference = real - counts / counts.sum()
            more = np.sign(difference).astype(np.int8)
            self._near[i] += more[marginal.keys[0]]
            self._far[i] += more[marginal.keys[i + 1]]
            self._values[i].append(float(min(0.5 * np.abs(difference).sum(), 1.0)))

    def results(self) -> list[Distance]:
        """One distance per table but the first."""
        first, *others = self._groups
        made = []
        for values, near, far, groups in zip(self._values, self._near, self._far, others, strict=True):
            spread = clustered_variance(near, first) + clustered_variance(far, groups)
            made.append(self._result(values, spread))
        return made

    @staticmethod
    def _result(values: Sequence[float], spread: float) -> Distance:
        mean = float(np.mean(values))
        half = Z * math.sqrt(spread) / (2 * len(values))
        return Distance(mean, (max(mean - half, 0.0), min(mean + half, 1.0)), max(values))


def association_sway(table: npt.ArrayLike) -> Floats:
    """Influence of a row of each cell on Cramer's V of a contingency table, in the shape of the table; 0 without association.

    Source:
        Agresti, "Categorical Data Analysis", 3rd ed., section 16.1 (the delta method for measures of association).
    """
    counts = np.asarray(table, dtype=np.float64)
    made, strength = np.zeros(counts.shape), cramers_v(counts)
    smallest = min(int((counts.sum(axis=1) > 0).sum()), int((counts.sum(axis=0) > 0).sum()))
    if strength == 0 or smallest < 2:
        return made
    shares = counts / counts.sum()
    rows, columns = shares.sum(axis=1, keepdims=True), shares.sum(axis=0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(shares > 0, shares / (rows * columns), 0.0)
        within_rows = np.where(rows > 0, (shares * ratio).sum(axis=1, keepdims=True) / rows, 0.0)
        within_columns = np.where(columns > 0, (shares * ratio).sum(axis=0, keepdims=True) / columns, 0.0)
    moved = np.where(shares > 0, 2 * ratio - within_rows - within_columns, 0.0)
    return np.asarray(moved / (2 * strength * (smallest - 1)), dtype=np.float64)


def cramers_v(table: npt.ArrayLike) -> float:
    """Cramer's V of a contingency table: association in [0, 1]; 0 where a side has one category only.

    Source:
        Cramer, "Mathematical Methods of Statistics" (1946), p. 282.
    """
    counts = np.asarray(table, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape, default=0) < 2:
        return 0.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return math.sqrt(min(statistic / (counts.sum() * (min(counts.shape) - 1)), 1.0))
