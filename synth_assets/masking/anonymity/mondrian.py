"""A recoding of its own for every class: cut the table at medians as long as both halves reach what is asked for.

What belongs here: the cuts, all classes of a round at once. What does not: the texts of the classes (solution.py).

Source: LeFevre, DeWitt, Ramakrishnan, "Mondrian multidimensional k-anonymity", ICDE 2006: the widest column first, cut at the median;
for k alone the most balanced cut fails only where every cut of that column fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth_assets.masking.anonymity.counts import Counts
from synth_assets.masking.anonymity.criteria import NOWHERE, Criteria, Flags
from synth_assets.masking.anonymity.hierarchy import Codes, Floats


@dataclass(frozen=True)
class Multidimensional:
    """Classes of one form each.

    Args:
        group: Class per combination; None where not even the whole table reaches what is asked for.
        rounds: Cuts that were tried.
    """

    group: Codes | None
    rounds: int


def cut(counts: Counts, criteria: Criteria) -> Multidimensional:
    """Cut the table into classes."""
    size = len(counts.rows)
    if not size or not criteria.accepted(np.zeros(size, np.int64), 1)[0]:
        return Multidimensional(None, 0)
    return _Cutter(counts, criteria).run()


class _Cutter:
    def __init__(self, counts: Counts, criteria: Criteria) -> None:
        self.counts, self.criteria = counts, criteria
        self.columns = counts.codes.shape[1]
        self.places = [_places(h.position) for h in counts.hierarchies]
        self.group = np.zeros(len(counts.rows), np.int64)
        self.classes, self.tried = 1, 0

    def run(self) -> Multidimensional:
        active = np.array([0])
        while len(active):
            active = self._round(active)
        return Multidimensional(self.group, self.tried)

    def _round(self, active: Codes) -> Codes:
        """Try to cut every active class once; returns the halves."""
        number = np.full(self.classes, NOWHERE, np.int64)
        number[active] = np.arange(len(active))
        of = number[self.group]
        rows = np.flatnonzero(of >= 0)
        rows = rows[np.argsort(of[rows], kind="stable")]
        of = of[rows]
        widths = self._widths(rows, of, len(active))
        ranked = np.argsort(-widths, axis=1, kind="stable")
        pending = np.ones(len(active), np.bool_)
        fresh: list[Codes] = []
        for attempt in range(self.columns):
            column = ranked[:, attempt]
            pending &= widths[np.arange(len(active)), column] > 0
            if not pending.any():
                break
            made = self._attempt(rows, of, column, pending, active)
            if made is not None:
                fresh.append(made)
        return np.concatenate(fresh) if fresh else np.array([], np.int64)

    def _widths(self, rows: Codes, of: Codes, classes: int) -> Floats:
        """Width of every class in every column, 0 to 1."""
        starts = np.searchsorted(of, np.arange(classes))
        widths = np.empty((classes, self.columns))
        for j in range(self.columns):
            place = self.places[j][self.counts.codes[rows, j]]
            widths[:, j] = np.maximum.reduceat(place, starts) - np.minimum.reduceat(place, starts)
        return widths

    def _attempt(self, rows: Codes, of: Codes, column: Codes, pending: Flags, active: Codes) -> Codes | None:
        """Cut all pending classes at the most balanced place of one column each; accepted cuts are made."""
        inside = pending[of]
        rows, of = rows[inside], of[inside]
        value = self.counts.codes[rows, column[of]]
        right = balanced(of, value, self.counts.rows[rows])
        half = np.full(len(self.group), NOWHERE, np.int64)
        numbers, of = np.unique(of, return_inverse=True)
        half[rows] = 2 * of + right
        self.tried += len(numbers)
        ok = np.asarray(self.criteria.accepted(half, 2 * len(numbers)).reshape(-1, 2).all(axis=1))
        if not ok.any():
            return None
        cut_numbers = numbers[ok]
        pending[cut_numbers] = False
        new = np.full(len(numbers), NOWHERE, np.int64)
        new[ok] = self.classes + np.arange(len(cut_numbers))
        self.classes += len(cut_numbers)
        moved = (right == 1) & ok[of]
        self.group[rows[moved]] = new[of[moved]]
        return np.concatenate([active[cut_numbers], new[ok]])


def _places(position: Floats) -> Floats:
    """Places of the codes, the missing one beyond the last: it is as far from the values as they are from each other at most."""
    return np.append(position, 2.0 if len(position) else 0.0)


def balanced(of: Codes, value: Codes, rows: Codes) -> Codes:
    """1 for entries right of the most balanced cut of their class, else 0.

    Args:
        of: Class per entry.
        value: Code per entry; every class has at least two different ones.
        rows: Rows per entry.
    """
    span = int(value.max()) + 1
    key = of * span + value
    order = np.argsort(key, kind="stable")
    key, weight = key[order], rows[order]
    ends = np.flatnonzero(np.append(key[1:] != key[:-1], True))
    running = np.cumsum(weight)[ends]
    owner = key[ends] // span
    starts = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    lasts = np.append(starts[1:], len(owner)) - 1
    before = np.append(0, running[lasts[:-1]])
    index = np.cumsum(np.append(0, owner[1:] != owner[:-1]))
    left = running - before[index]
    total = running[lasts] - before
    smaller = np.minimum(left, total[index] - left).astype(np.int64)
    best = np.maximum.reduceat(smaller, starts)
    first = np.full(len(starts), len(owner), np.int64)
    hits = np.flatnonzero(smaller == best[index])
    np.minimum.at(first, index[hits], hits)
    threshold = key[ends][first] % span  # the last code on the left
    place = np.searchsorted(owner[starts], of)
    return (value > threshold[place]).astype(np.int64)
