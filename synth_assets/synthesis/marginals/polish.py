"""Polish: bring the tables of a finite sample close to those of the model, by drawing values of some rows anew.

What belongs here: new draws. What does not: the model's probabilities (mixture.py), the first draw (sample.py). A row stays in its
component, and a new value comes from that component's own distribution, so it is as plausible as the old one; only the joint draw is
less random. Nothing but the model is read: free post-processing. Derivation and effect: docs/mechanisms/dp_marginals.md, "Polish".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synth_assets.synthesis.marginals.features import cumulative, inverse
from synth_assets.synthesis.marginals.model import MarginalModel

MOST_ROWS = 100_000
WORK = 80_000_000
MOST_SWEEPS = 80
LEAST_SWEEPS = 12
PARTNERS = 32
DRAWN = (0.1, 0.003)


def polish(
    model: MarginalModel, bins: Mapping[str, np.ndarray], component: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw values of the features anew within their components where that brings the pair tables closer to the model's.

    One sweep visits every column: a share of the rows draw another value from their component, and keep it where that lowers the
    squared distance, each cell in units of its sampling variance, of the column's tables with its partners. Draws of one visit do
    not know of each other, so only a few are made at once, fewer from sweep to sweep.

    Args:
        model: The model that the rows were drawn from.
        bins: Bins of every feature, shape (rows,), drawn without conditions.
        component: Component of each row.
        rng: Source of randomness.

    Returns:
        The bins of the same features; every row has values that its component allows.
    """
    names = [name for name in model.tables if len(model.tables[name]) > 1]
    partners = min(len(names) - 1, PARTNERS)
    drawn = len(component) * len(names) * partners * float(np.mean(np.geomspace(*DRAWN, MOST_SWEEPS)))
    sweeps = min(MOST_SWEEPS, int(WORK // max(1.0, drawn)))
    if partners < 1 or sweeps < LEAST_SWEEPS:
        return dict(bins)
    state = _Polish(model, names, bins, component, partners)
    for share in np.geomspace(*DRAWN, sweeps):
        for column in rng.permutation(len(names)):
            state.visit(int(column), float(share), rng)
    return {**bins, **state.bins()}


class _Polish:
    """Codes of all rows, and the distance of every cell of every pair table from its expectation.

    A code is the bin of a column plus the column's offset, so that one matrix holds all pair tables.
    """

    def __init__(
        self,
        model: MarginalModel,
        names: list[str],
        bins: Mapping[str, np.ndarray],
        component: np.ndarray,
        partners: int,
    ) -> None:
        self.names, self.component = names, component
        self.offsets = np.concatenate([[0], np.cumsum([len(model.tables[n]) for n in names])])
        self.total = int(self.offsets[-1])
        self.codes = np.stack([bins[n] + self.offsets[i] for i, n in enumerate(names)], axis=1).astype(np.int32)
        probabilities = np.concatenate([model.tables[n] for n in names]).astype(np.float64)
        weights = np.bincount(component, minlength=probabilities.shape[1]).astype(np.float64)
        expected = (probabilities * weights) @ probabilities.T
        mass = probabilities @ weights
        self.cumulative = [cumulative(model.tables[n]) for n in names]
        self.scale = (1 / (expected + 1)).astype(np.float32)
        self.away = -expected
        self.partners = [self._closest(i, expected, mass / max(len(component), 1), partners) for i in range(len(names))]
        for column in range(len(names)):
            self.away[self._rows(column)] += self._count(column, self.codes, range(len(names)))

    def _rows(self, column: int) -> slice:
        return slice(int(self.offsets[column]), int(self.offsets[column + 1]))

    def _closest(self, column: int, expected: np.ndarray, mass: np.ndarray, most: int) -> np.ndarray:
        """The columns that depend most on this one in the model, in order of the table."""
        here = self._rows(column)
        away = np.abs(expected[here] - np.outer(mass[here], mass) * expected[here].sum() / (len(self.names)))
        distance = np.add.reduceat(away.sum(0), self.offsets[:-1])
        distance[column] = -1.0
        return np.sort(np.argsort(-distance, kind="stable")[:most])

    def _count(self, column: int, codes: np.ndarray, others: range | np.ndarray) -> np.ndarray:
        """Rows per cell of the tables of one column with others, shape (bins, total)."""
        size = int(self.offsets[column + 1] - self.offsets[column])
        own = (codes[:, column].astype(np.int64) - self.offsets[column]) * self.total
        index = (own[:, None] + codes[:, list(others)]).ravel()
        return np.bincount(index, minlength=size * self.total).reshape(size, self.total).astype(np.float64)

    def visit(self, column: int, share: float, rng: np.random.Generator) -> None:
        """Draw the value of a share of the rows anew from their component, and keep it where that helps."""
        rows = np.flatnonzero(rng.random(len(self.component)) < share)
        drawn = inverse(self.cumulative[column], self.component[rows], rng.random(len(rows)))
        new = drawn.astype(np.int32) + np.int32(self.offsets[column])
        better = self._change(column, rows, new) < 0
        rows, new = rows[better], new[better]
        before = self._count(column, self.codes[rows], self.partners[column])
        self.codes[rows, column] = new
        moved = self._count(column, self.codes[rows], self.partners[column]) - before
        here = self._rows(column)
        self.away[here] += moved
        self.away[:, here] += moved.T

    def _change(self, column: int, rows: np.ndarray, new: np.ndarray) -> np.ndarray:
        """How the squared distance changes if each row takes its new code, every row on its own; 0 where it is the old one."""
        here, start = self._rows(column), self.offsets[column]
        away, scale = self.away[here].astype(np.float32), self.scale[here]
        old, others = self.codes[rows, column], self.codes[rows][:, self.partners[column]]
        joined = (scale * (2 * away + 1))[new[:, None] - start, others]
        left = (scale * (1 - 2 * away))[old[:, None] - start, others]
        out: np.ndarray = np.where(new != old, (joined + left).sum(axis=1), 0.0)
        return out

    def bins(self) -> dict[str, np.ndarray]:
        """Bins of every feature."""
        return {n: self.codes[:, i].astype(np.int64) - self.offsets[i] for i, n in enumerate(self.names)}
