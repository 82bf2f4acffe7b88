"""Intervals of pair trends, by measuring halves of the rows of all tables again.

The bins of a pair trend follow the range of each table, and which pairs count follows from the real one. Neither is smooth in the rows,
so subsamples tell how far the figure moves, where a bootstrap would meet the same extremes again and again. What does not belong here:
the trends themselves (`quality.py`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.fidelity.quality import mean_of, pair_trends, view
from synth_assets.audit.marginals import Clique
from synth_assets.audit.prepare import Integers, Part

DRAWS = 40
T = 2.0226909  # the 97.5 % point of Student's distribution with 39 degrees of freedom
SCOUTS = 4  # draws over all pairs; the others leave out pairs that none of these counted
ROWS = 25_000  # of each table, at most


@dataclass(frozen=True)
class _Urn:
    """Rows to draw from, in the order of their units, and the first row and the number of rows of each unit."""

    rows: Integers
    starts: Integers
    sizes: Integers

    @classmethod
    def of(cls, part: Part, groups: Integers | None) -> _Urn:
        if groups is None:
            return cls(np.arange(part.held), np.arange(part.held), np.ones(part.held, dtype=np.int64))
        sizes = np.bincount(groups)
        return cls(np.argsort(groups, kind="stable"), np.cumsum(sizes) - sizes, sizes)

    @property
    def units(self) -> int:
        """Units of a draw: half of them, or as many as hold about 25,000 rows."""
        return max(int(len(self.sizes) * min(ROWS / len(self.rows), 0.5)), 1)

    @property
    def scale(self) -> float:
        """What makes the error of a draw that of the whole table."""
        return math.sqrt(self.units / max(len(self.sizes) - self.units, 1))

    def draw(self, rng: np.random.Generator) -> Integers:
        """Row numbers of units drawn without replacement."""
        drawn = rng.choice(len(self.sizes), self.units, replace=False)
        sizes = self.sizes[drawn]
        first = np.repeat(self.starts[drawn] - (np.cumsum(sizes) - sizes), sizes)
        return self.rows[first + np.arange(len(first))]


def trend_halves(
    parts: Sequence[Part],
    groups: Sequence[Integers | None],
    categories: Mapping[str, int],
    times: Collection[str],
    pairs: Sequence[Clique],
    seed: int,
) -> list[float]:
    """Half the width of the 95 % interval of the mean pair trend of each table but the first; 0 where none of the pairs counts.

    Args:
        parts: The real table first.
        groups: Per table the unit of each row, from 0; whole units are drawn. None where every row is its own.
        categories: As for `view`.
        times: As for `view`.
        pairs: Pairs of columns.
        seed: Seed of the draws.

    Source:
        Politis, Romano, Wolf, "Subsampling" (1999), chapter 2; McCarthy, "Pseudo-replication: half samples", Review of the
        International Statistical Institute 37 (1969), 239-264.
    """
    rng = np.random.default_rng(seed)
    urns = [_Urn.of(part, whose) for part, whose in zip(parts, groups, strict=True)]
    means: list[list[float]] = [[] for _ in parts[1:]]
    counted: set[Clique] = set()
    for draw in range(DRAWS):
        used = pairs if draw < SCOUTS else [pair for pair in pairs if pair in counted]
        if not used:
            break
        views = [view(part.take(urn.draw(rng)), categories, times) for part, urn in zip(parts, urns, strict=True)]
        found = pair_trends(views, used)
        counted |= {pair for pair, row in zip(used, found, strict=True) if row[0] is not None}
        for i, drawn in enumerate(means):
            mean = mean_of([row[i] for row in found])
            drawn.extend([] if mean is None else [mean])
    return [
        T * float(np.std(made, ddof=1)) * max(urns[0].scale, urn.scale) if len(made) > 1 else 0.0
        for made, urn in zip(means, urns[1:], strict=True)
    ]
