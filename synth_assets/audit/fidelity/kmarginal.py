"""NIST's k-marginal score, and how large a random part of the real rows would score the same.

The score is 1000 x (1 - mean total variation distance) over pairs of columns, numbers in twentieths of their rank in the real table;
with group columns, over every pair within the groups. The subsample reading has a closed form: the expected distance of a part drawn
without replacement is that of the hypergeometric distribution in every cell, so no curve has to be sampled, only its spread.

Source: NIST, SDNist 2.4, `metrics/kmarginal.py`; Diaconis, Zabell, "Closed form summation for classical distributions", Statistical
Science 6 (1991), 284-302 (mean deviation of the hypergeometric distribution).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.intervals import Pair
from synth_assets.audit.marginals import Clique, Codes, Distance, Grid, MeanDistance, Z, joint
from synth_assets.audit.prepare import Floats, Integers

BEST = 1000.0
DRAWS = 12


@dataclass(frozen=True)
class Score:
    """A k-marginal score in [0, 1000], 1000 is best, and its 95 % interval."""

    value: float
    interval: Pair

    @classmethod
    def of(cls, distance: Distance) -> Score:
        """The score that a mean total variation distance makes."""
        low, high = distance.interval
        return cls(BEST * (1 - distance.value), (BEST * (1 - high), BEST * (1 - low)))


def cliques_of(names: Sequence[str], groups: Sequence[str] = ()) -> list[Clique]:
    """All pairs of columns, each together with the group columns; a single column stands for itself."""
    kept = [name for name in names if name not in groups]
    pairs: list[Clique] = list(itertools.combinations(kept, 2)) if len(kept) > 1 else [(name,) for name in kept]
    return [(*groups, *pair) for pair in pairs]


def k_marginal(
    tables: Sequence[Codes],
    grid: Grid,
    cliques: Sequence[Clique],
    groups: Sequence[Integers | None] | None = None,
) -> tuple[list[Score], Curve]:
    """Score tables against the first one.

    Args:
        tables: Bin numbers per table, the real train table first.
        grid: The grid they came from (`rank_grid` for NIST's bins).
        cliques: Marginals (`cliques_of`); at least one.
        groups: Per table the unit of each row, from 0, where rows of one unit hang together.

    Returns:
        One score per table but the first, and what random parts of the first one would score.
    """
    rows = [len(codes[cliques[0][0]]) for codes in tables]
    distances = MeanDistance(rows, groups)
    sizes = np.zeros(rows[0] + 1, dtype=np.int64)
    for clique in cliques:
        marginal = joint(tables, grid.sizes, clique)
        distances.add(marginal)
        held, cells = np.unique(marginal.counts[0][marginal.counts[0] > 0], return_counts=True)
        sizes[held] += cells
    full = np.flatnonzero(sizes)
    curve = Curve(rows[0], full.astype(np.float64), sizes[full] / len(cliques))
    return [Score.of(distance) for distance in distances.results()], curve


@dataclass(frozen=True)
class Curve:
    """The expected score of a random part of a table.

    Args:
        rows: Rows of the table.
        counts: Different numbers of rows in a cell, shape (k,).
        weights: How many cells of a marginal hold so many, on average, shape (k,).
    """

    rows: int
    counts: Floats
    weights: Floats

    def score(self, part: float) -> float:
        """Expected score of `part` rows drawn without replacement, 1 <= part <= rows; between whole numbers it is interpolated."""
        low = int(np.floor(part))
        first = self._whole(low)
        return first if low == part else first + (part - low) * (self._whole(low + 1) - first)

    def _whole(self, part: int) -> float:
        from scipy.special import gammaln

        held, rows = self.counts, float(self.rows)
        above = np.floor(part * held / rows) + 1  # the smallest number above the mean

        def ways(of: Floats | float, take: Floats | float) -> Floats:
            made: Floats = gammaln(of + 1) - gammaln(take + 1) - gammaln(np.asarray(of) - take + 1)
            return made

        fits = (above <= np.minimum(held, part)) & (part - above <= rows - held)
        at = np.where(fits, above, np.maximum(0.0, part - (rows - held)))
        share = np.exp(ways(held, at) + ways(rows - held, part - at) - ways(rows, part))
        deviation = np.where(fits, 2 * above * (rows - held - part + above) / rows * share, 0.0)
        return BEST * (1 - 0.5 * float((self.weights * deviation).sum()) / part)

    def share(self, score: float) -> float:
        """The share of the rows whose expected score is `score`; 1 where no true part scores so high, 1 / rows where none so low."""
        low, high = 1.0, float(self.rows)
        if score >= self.score(high):
            return 1.0
        if score <= self.score(low):
            return 1 / self.rows
        while high - low > max(1e-6 * self.rows, 1e-3):
            middle = (low + high) / 2
            low, high = (middle, high) if self.score(middle) < score else (low, middle)
        return (low + high) / 2 / self.rows


def subsample_share(
    score: float, curve: Curve, table: Codes, grid: Grid, cliques: Sequence[Clique], *, seed: int, draws: int = DRAWS
) -> tuple[float, Pair]:
    """What share of the real rows, drawn at random, scores the same.

    Args:
        score: A k-marginal score.
        curve: Of the real table.
        table: Bin numbers of the real table.
        grid: The grid they came from.
        cliques: Marginals of the score.
        seed: Seed of the draws.
        draws: Random parts of the size found, whose scores show how far one part is from the expected score.

    Returns:
        The share, and the range of shares whose parts score so in 95 of 100 draws.
    """
    share = curve.share(score)
    part = max(round(share * curve.rows), 1)
    rng = np.random.default_rng(seed)
    picks = [rng.choice(curve.rows, part, replace=False) for _ in range(draws if part < curve.rows else 0)]
    scores = BEST * (1 - np.mean([_distances(table, grid, clique, picks) for clique in cliques], axis=0))
    spread = Z * float(np.std(scores, ddof=1)) if len(picks) > 1 else 0.0
    return share, (curve.share(score - spread), curve.share(score + spread))


def _distances(table: Codes, grid: Grid, clique: Clique, picks: Sequence[Integers]) -> list[float]:
    """Total variation distance of parts of a table from the whole, over one marginal."""
    whole = joint([table], grid.sizes, clique)
    real = whole.counts[0] / whole.counts[0].sum()
    parts = [np.bincount(whole.keys[0][rows], minlength=len(real)) for rows in picks]
    return [float(0.5 * np.abs(real - counts / counts.sum()).sum()) for counts in parts]
