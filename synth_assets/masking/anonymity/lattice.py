"""One recoding for all rows: the step of every quasi-identifier with the least loss, searched in the lattice of steps.

What belongs here: the search. What does not: classes of their own form (mondrian.py).

Sources: LeFevre, DeWitt, Ramakrishnan, "Incognito", SIGMOD 2005 (subsets of columns rule out recodings of all); Kohlmayer et al.,
"Flash", 2012, and El Emam et al., "OLA", JAMIA 2009 (paths with binary search, predictive tagging). The loss is bounded below by the
penalties of the steps alone, which grow along the lattice; so the search is exact unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_assets.masking.anonymity.counts import Counts
from synth_assets.masking.anonymity.criteria import NOWHERE, Criteria
from synth_assets.masking.anonymity.hierarchy import Codes, Floats

MAX_NODES = 300_000
MAX_WORK = 150_000_000
MAX_PAIR_CELLS = 2_000_000
_UNKNOWN, _DONE, _IMPOSSIBLE = 0, 1, 2


@dataclass(frozen=True)
class FullDomain:
    """A recoding of all rows.

    Args:
        levels: Step per quasi-identifier; None where none was found.
        group: Class per combination, -1 where it is blanked.
        loss: Mean penalty of all cells; a blanked cell counts 1.
        exact: No recoding of this kind loses less.
        checked: Recodings that were looked at.
    """

    levels: tuple[int, ...] | None
    group: Codes
    loss: float
    exact: bool
    checked: int


def search(counts: Counts, criteria: Criteria) -> FullDomain:
    """The recoding of all rows with the least loss."""
    return _Search(counts, criteria).run()


def grouped(counts: Counts, levels: Sequence[int], columns: Sequence[int] | None = None) -> tuple[Codes, int]:
    """Class of every combination at some steps, and the number of classes."""
    key: Codes | None = None
    span = 1
    for j in range(len(levels)) if columns is None else columns:
        groups = counts.hierarchies[j].steps[levels[j]].groups
        width = int(groups.max()) + 1
        if width == 1:
            continue
        if span * width >= 2**62 and key is not None:
            key, distinct = pd.factorize(key)
            span = len(distinct)
        part = groups[counts.codes[:, j]]
        key = part if key is None else key * width + part
        span *= width
    if key is None:
        return np.zeros(len(counts.rows), np.int64), min(1, len(counts.rows))
    group, distinct = pd.factorize(key)
    return np.asarray(group, dtype=np.int64), len(distinct)


class _Search:
    def __init__(self, counts: Counts, criteria: Criteria) -> None:
        self.counts, self.criteria = counts, criteria
        self.total = int(counts.rows.sum())
        self.limit = int(criteria.rule.suppression * self.total)
        self.heights = [len(h.steps) for h in counts.hierarchies]
        self.losses = [np.array([h.mean_penalty(i) for i in range(len(h.steps))]) for h in counts.hierarchies]
        self.best: tuple[float, tuple[int, ...], Codes] | None = None
        self.checked = 0

    def run(self) -> FullDomain:
        small = float(np.prod([float(h) for h in self.heights])) <= MAX_NODES
        exact = self._exact() if small else self._greedy()
        if self.best is None:
            return FullDomain(None, np.full(len(self.counts.rows), NOWHERE), 1.0, exact, self.checked)
        loss, levels, group = self.best
        return FullDomain(levels, group, loss, exact, self.checked)

    def _bound(self, nodes: Codes) -> Floats:
        return np.asarray(sum(self.losses[j][nodes[:, j]] for j in range(nodes.shape[1])) / nodes.shape[1])

    def _exact(self) -> bool:
        nodes = np.stack([g.ravel() for g in np.indices(self.heights)], axis=1).astype(np.int64)
        bound = self._bound(nodes)
        state = np.zeros(len(nodes), np.int8)
        self._rule_out_pairs(nodes, state)
        while True:
            least = np.inf if self.best is None else self.best[0]
            waiting = np.flatnonzero((state == _UNKNOWN) & (bound < least - 1e-12))
            if not len(waiting):
                return True
            if self.checked * self.criteria.work > MAX_WORK and self.best is not None:
                return False
            self._walk(nodes, state, nodes[waiting[np.argmin(bound[waiting])]])

    def _walk(self, nodes: Codes, state: npt.NDArray[np.int8], start: Codes) -> None:
        """Along one path from a recoding to the top: the first that is possible, found by halving."""
        path = [start]
        while (path[-1] < np.array(self.heights) - 1).any():
            steps = [j for j in range(len(start)) if path[-1][j] < self.heights[j] - 1]
            rises = [self.losses[j][path[-1][j] + 1] - self.losses[j][path[-1][j]] for j in steps]
            higher = path[-1].copy()
            higher[steps[int(np.argmin(rises))]] += 1
            path.append(higher)
        low, high = 0, len(path) - 1
        while low <= high:
            middle = (low + high) // 2
            place = int(np.ravel_multi_index(tuple(path[middle]), self.heights))
            possible = state[place] == _DONE or (state[place] == _UNKNOWN and self._check(tuple(path[middle].tolist())))
            if possible:
                state[place] = _DONE
                high = middle - 1
            else:
                state[(nodes <= path[middle]).all(axis=1)] = _IMPOSSIBLE
                low = middle + 1

    def _rule_out_pairs(self, nodes: Codes, state: npt.NDArray[np.int8]) -> None:
        """Recodings whose steps of two columns alone blank too many rows."""
        for i, j in combinations(range(len(self.heights)), 2):
            width = self.counts.hierarchies[j].missing + 1
            size = (self.counts.hierarchies[i].missing + 1) * width
            if size > MAX_PAIR_CELLS:
                continue
            cells = np.bincount(
                self.counts.codes[:, i] * width + self.counts.codes[:, j], weights=self.counts.rows, minlength=size
            )
            filled = np.flatnonzero(cells)
            rows = cells[filled]
            for a, one in enumerate(self.counts.hierarchies[i].steps[:-1]):
                for b, other in enumerate(self.counts.hierarchies[j].steps[:-1]):
                    span = int(other.groups.max()) + 1
                    classes = np.bincount(
                        one.groups[filled // width] * span + other.groups[filled % width], weights=rows
                    )
                    if classes[classes < self.criteria.rule.k].sum() > self.limit:
                        state[(nodes[:, i] == a) & (nodes[:, j] == b)] = _IMPOSSIBLE

    def _check(self, levels: tuple[int, ...]) -> bool:
        """Whether a recoding is possible within the limit; remembers the best one."""
        self.checked += 1
        group, classes = grouped(self.counts, levels)
        ok = self.criteria.accepted(group, classes)
        blanked = int(self.counts.rows[~ok[group]].sum()) if classes else 0
        if blanked > self.limit:
            return False
        if blanked:
            completed = self._complete(group, classes, ok)
            if completed is None:
                return True  # no solution itself, but nothing said about coarser ones
            ok = completed
        loss = self._loss(levels, ok[group])
        if self.best is None or loss < self.best[0] - 1e-12:
            self.best = loss, levels, np.where(ok[group], group, NOWHERE)
        return True

    def _complete(self, group: Codes, classes: int, ok: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
        """Blanked rows are a class themselves: the smallest classes join them (1, 2, 4 ...) until it reaches what is asked for."""
        size = np.bincount(group, weights=self.counts.rows, minlength=classes)
        waiting = np.flatnonzero(ok)[np.argsort(size[ok], kind="stable")]
        taken, step = 0, 1
        while True:
            completed = ok.copy()
            completed[waiting[:taken]] = False
            if size[~completed].sum() > self.limit:
                return None
            if self.criteria.accepted(np.where(completed[group], NOWHERE, 0), 1)[0]:
                return completed
            if taken >= len(waiting):
                return None
            taken, step = taken + step, 2 * step

    def _loss(self, levels: Sequence[int], kept: npt.NDArray[np.bool_]) -> float:
        rows, total = self.counts.rows, 0.0
        for j, level in enumerate(levels):
            penalty = self.counts.hierarchies[j].steps[level].penalty[self.counts.codes[:, j]]
            total += float(np.where(kept, penalty, 1.0) @ rows)
        return total / max(self.total * len(levels), 1)

    def _greedy(self) -> bool:
        """Too many recodings to list: climb by the most rows saved per loss, then go down while it stays possible."""
        levels = [0] * len(self.heights)
        while not self._check(tuple(levels)) or self.best is None:
            options = [j for j in range(len(levels)) if levels[j] < self.heights[j] - 1]
            if not options:
                return False
            levels[self._cheapest(levels, options)] += 1
        improved = True
        while improved:
            improved = False
            for j in sorted(range(len(levels)), key=lambda j: -float(self.losses[j][levels[j]])):
                if levels[j] == 0:
                    continue
                lower = [*levels[:j], levels[j] - 1, *levels[j + 1 :]]
                before = self.best[0]
                self._check(tuple(lower))
                if self.best[0] < before:
                    levels, improved = lower, True
        return False

    def _cheapest(self, levels: Sequence[int], options: Sequence[int]) -> int:
        def price(j: int) -> float:
            higher = [*levels[:j], levels[j] + 1, *levels[j + 1 :]]
            group, classes = grouped(self.counts, higher)
            ok = self.criteria.accepted(group, classes)
            rise = float(self.losses[j][levels[j] + 1] - self.losses[j][levels[j]])
            return (rise + 1e-9) / max(float(self.counts.rows[ok[group]].sum()), 1.0)

        return min(options, key=lambda j: (price(j), j))
