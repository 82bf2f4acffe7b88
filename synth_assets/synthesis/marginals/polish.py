"""Polish: bring the tables of a finite sample close to those of the model, by exchanging values between rows of one component.

What belongs here: exchanges. What does not: the model's probabilities (mixture.py), the draw (sample.py). Within a component the
columns are independent, so a row with an exchanged value is as likely as before; only the joint draw is less random. Nothing but the
model is read: free post-processing. Derivation and effect: docs/mechanisms/dp_marginals.md, "Polish".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synth_assets.synthesis.marginals.model import MarginalModel

MOST_ROWS = 100_000
WORK = 150_000_000
MOST_SWEEPS = 20
LEAST_SWEEPS = 3
PARTNERS = 32
TRIED = (0.6, 0.04)


def polish(
    model: MarginalModel, bins: Mapping[str, np.ndarray], component: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Exchange values of the features within components until the pair tables are close to the model's.

    One sweep visits every column: rows of a component are paired at random, and a pair exchanges its values where that lowers the
    squared distance, each cell in units of its sampling variance, of the column's tables with its partners. Exchanges of one visit do
    not know of each other, so only a share of them is tried, which falls from sweep to sweep.

    Args:
        model: The model that the rows were drawn from.
        bins: Bins of every feature, shape (rows,), drawn without conditions.
        component: Component of each row.
        rng: Source of randomness.

    Returns:
        The bins; one-way tables, and tables of one column with the component, are those of the input.
    """
    names = [name for name in model.tables if len(model.tables[name]) > 1]
    rows = len(component)
    partners = min(len(names) - 1, PARTNERS)
    sweeps = min(MOST_SWEEPS, WORK // max(1, rows * len(names) * partners))
    if partners < 1 or sweeps < LEAST_SWEEPS:
        return dict(bins)
    state = _Polish(model, names, bins, component, partners)
    for share in np.geomspace(*TRIED, sweeps):
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
        """Pair the rows of each component at random and exchange the values of one column where that helps."""
        order = np.lexsort((rng.random(len(self.component)), self.component))
        first, second = order[: len(order) // 2 * 2 : 2], order[1::2]
        apart = self.codes[first, column] != self.codes[second, column]
        tried = (self.component[first] == self.component[second]) & apart & (rng.random(len(first)) < share)
        first, second = first[tried], second[tried]
        better = self._change(column, first, second) < 0
        first, second = first[better], second[better]
        both = np.concatenate([first, second])
        before = self._count(column, self.codes[both], self.partners[column])
        self.codes[first, column], self.codes[second, column] = (
            self.codes[second, column],
            self.codes[first, column],
        )
        moved = self._count(column, self.codes[both], self.partners[column]) - before
        here = self._rows(column)
        self.away[here] += moved
        self.away[:, here] += moved.T

    def _change(self, column: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """How the squared distance changes if each pair of rows exchanges its values, every pair on its own."""
        partners = self.partners[column]
        here = self._rows(column)
        away, scale = self.away[here].astype(np.float32), self.scale[here]
        more, less = scale * (2 * away + 1), scale * (1 - 2 * away)
        x, y = (self.codes[r, column, None] - self.offsets[column] for r in (first, second))
        at_first, at_second = self.codes[first][:, partners], self.codes[second][:, partners]
        change = more[y, at_first] + more[x, at_second] + less[x, at_first] + less[y, at_second]
        out: np.ndarray = np.where(at_first != at_second, change, 0.0).sum(axis=1)
        return out

    def bins(self) -> dict[str, np.ndarray]:
        """Bins of every feature."""
        return {n: self.codes[:, i].astype(np.int64) - self.offsets[i] for i, n in enumerate(self.names)}
