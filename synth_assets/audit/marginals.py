"""Binned tables and the distances between their marginals. Bins come from the real train table only.

Definitions: numeric columns in 20 quantile bins of the real train table, categories as they are; values that the real table does not
have share one more bin, missing values another. What does not belong here: which distances are reported (`fidelity.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed

BINS = 20
CATEGORY_LIMIT = 250
TRIPLES = 50
PAIR_LIMIT = 400
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
        edges: Numeric column to inner edges; bin i holds edges[i-1] <= x < edges[i].
        ranks: Category column to the bin of each category number.
        sizes: Column to its number of bins, with the bin of other values (categories) and the bin of missing values.
        merged: Category columns whose rarest categories share the bin of other values.
    """

    edges: Mapping[str, Floats]
    ranks: Mapping[str, Integers]
    sizes: Mapping[str, int]
    merged: tuple[str, ...] = ()

    def codes(self, part: Part) -> dict[str, Integers]:
        """Bin numbers of one table, column by column."""
        return {name: self._code(name, values) for name, values in part.values.items()}

    def _code(self, name: str, values: Array) -> Integers:
        last = self.sizes[name] - 1
        if name in self.edges:
            return np.where(np.isnan(values), last, np.searchsorted(self.edges[name], values, side="right"))
        ranks = np.append(self.ranks[name], last)  # -1, missing, picks the last entry
        return ranks[values]


def quantile_grid(prepared: Prepared, bins: int = BINS) -> Grid:
    """20 quantile bins of the real train table per numeric column; its categories, at most 250, per other column."""
    train = prepared.parts["train"]
    return _grid(
        prepared, {name: _quantiles(train.values[name], bins) for name in prepared.names if prepared.numeric(name)}
    )


def equal_width_grid(prepared: Prepared, bins: int = 10) -> Grid:
    """The same categories, and 10 bins of equal width over the real range per numeric column (for column pair trends)."""
    train = prepared.parts["train"]
    return _grid(
        prepared, {name: _widths(train.values[name], bins) for name in prepared.names if prepared.numeric(name)}
    )


def _quantiles(values: Floats, bins: int) -> Floats:
    known = values[~np.isnan(values)]
    return np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.empty(0)


def _widths(values: Floats, bins: int) -> Floats:
    known = values[np.isfinite(values)]
    return np.unique(np.linspace(known.min(), known.max(), bins + 1)[1:-1]) if len(known) else np.empty(0)


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


def joint_counts(tables: Sequence[Codes], grid: Grid, clique: Clique) -> list[Integers]:
    """Counts of one marginal in several tables, over the same cells.

    Args:
        tables: Bin numbers per table.
        grid: The grid they came from.
        clique: Columns of the marginal.

    Returns:
        One array per table; cells that no table has may be left out.
    """
    cells = math.prod(grid.sizes[name] for name in clique)
    keys = []
    for codes in tables:
        key = np.zeros(len(codes[clique[0]]), dtype=np.int64)
        for name in clique:
            key = key * grid.sizes[name] + codes[name]
        keys.append(key)
    if cells > _DENSE_CELLS:
        _, together = np.unique(np.concatenate(keys), return_inverse=True)
        cells = int(together.max()) + 1 if len(together) else 1
        keys = np.split(together, np.cumsum([len(key) for key in keys])[:-1])
    return [np.bincount(key, minlength=cells) for key in keys]


def workload(names: Sequence[str], seed: int) -> tuple[dict[int, list[Clique]], tuple[str, ...]]:
    """All 1-way and 2-way marginals and 50 fixed 3-way ones; of a wide table's pairs a seeded subset.

    Returns:
        Size of the marginal to its cliques, and notes about what was left out.
    """
    notes = []
    pairs: list[Clique] = list(itertools.combinations(names, 2))
    if len(pairs) > PAIR_LIMIT:
        notes.append(f"{PAIR_LIMIT} of the {len(pairs)} pairs of columns were drawn at random and compared.")
        pick = np.random.default_rng(child_seed(seed, "pairs")).choice(len(pairs), PAIR_LIMIT, replace=False)
        pairs = [pairs[i] for i in sorted(pick)]
    return {1: [(name,) for name in names], 2: pairs, 3: _triples(names)}, tuple(notes)


def _triples(names: Sequence[str]) -> list[Clique]:
    """50 triples, the same for every table with as many columns (legacy generator: the draw of the public benchmark harness)."""
    total = math.comb(len(names), 3)
    if total > 200_000:  # too many to list: draw columns
        rng = np.random.default_rng(0)
        drawn = {tuple(sorted(rng.choice(len(names), 3, replace=False).tolist())) for _ in range(TRIPLES)}
        return [(names[i], names[j], names[k]) for i, j, k in sorted(drawn)]
    triples = list(itertools.combinations(names, 3))
    return [triples[i] for i in np.random.RandomState(0).permutation(total)[:TRIPLES]]


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
