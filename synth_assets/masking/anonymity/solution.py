"""From classes to what their cells say and lose: one text per class and quasi-identifier.

What belongs here: names and penalties of cells, and the figures of loss. What does not: finding the classes, writing them.

Sources: normalised certainty penalty: Xu et al., KDD 2006 (GenILoss: Iyengar, KDD 2002); discernibility: Bayardo and Agrawal, ICDE
2005; average class size: LeFevre et al., ICDE 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.masking.anonymity.bases import PERIODS
from synth_assets.masking.anonymity.counts import Counts
from synth_assets.masking.anonymity.criteria import NOWHERE
from synth_assets.masking.anonymity.hierarchy import Codes, Floats, Hierarchy
from synth_assets.masking.anonymity.labels import closed_text, day_text, number_text, period_text, set_text
from synth_assets.masking.anonymity.records import SolvedBy


@dataclass(frozen=True)
class Cells:
    """One quasi-identifier over all classes.

    Args:
        names: Text per class; None where the cell says nothing.
        penalty: What a cell loses, per class.
        raw: Every cell is the raw value, so that the column keeps its type.
        level: Step of all cells, where it is the same.
    """

    names: Sequence[str | None]
    penalty: Floats
    raw: bool
    level: int | None


@dataclass(frozen=True)
class Solution:
    """A recoding of one table.

    Args:
        method: The method.
        group: Class per combination, numbered from 0; -1 where it is blanked.
        cells: Per quasi-identifier.
    """

    method: SolvedBy
    group: Codes
    cells: tuple[Cells, ...]

    def column_losses(self, counts: Counts) -> list[float]:
        """Mean penalty of every quasi-identifier's cells; a blanked one counts 1."""
        total = max(int(counts.rows.sum()), 1)
        kept = self.group >= 0
        blank = float(counts.rows[~kept].sum())
        return [
            float(c.penalty[self.group[kept]] @ counts.rows[kept] + blank) / total if len(c.penalty) else blank / total
            for c in self.cells
        ]

    def loss(self, counts: Counts) -> float:
        """Mean over all quasi-identifiers."""
        return float(np.mean(self.column_losses(counts)))

    def class_sizes(self, counts: Counts) -> Codes:
        """Rows per class."""
        kept = self.group >= 0
        return np.bincount(self.group[kept], weights=counts.rows[kept]).astype(np.int64)

    def discernibility(self, counts: Counts) -> int:
        """Sum of squared class sizes; a blanked row counts as many as the table has rows."""
        blank = int(counts.rows[self.group < 0].sum())
        return int((self.class_sizes(counts) ** 2).sum()) + blank * int(counts.rows.sum())


def of_levels(counts: Counts, group: Codes, levels: Sequence[int]) -> Solution:
    """The solution of one step per column."""
    number, first = _renumbered(group)
    cells = []
    for j, level in enumerate(levels):
        hierarchy = counts.hierarchies[j]
        step = hierarchy.steps[level]
        codes = counts.codes[first, j]
        names = [step.names[g] for g in step.groups[codes].tolist()]
        raw = level == 0 and hierarchy.base.exact and len(hierarchy.steps) > 0
        cells.append(Cells(names, step.penalty[codes], raw and step.names != (None,), level))
    return Solution("full_domain", number, tuple(cells))


def of_classes(counts: Counts, group: Codes) -> Solution:
    """The solution of free classes: each cell tells no more of its class than it must, and no less."""
    number, _ = _renumbered(group)
    cells = tuple(_free(h, counts.codes[:, j], number) for j, h in enumerate(counts.hierarchies))
    return Solution("multidimensional", number, cells)


def _renumbered(group: Codes) -> tuple[Codes, Codes]:
    """Classes numbered from 0, and one combination of each."""
    kept = np.flatnonzero(group >= 0)
    _, first, number = np.unique(group[kept], return_index=True, return_inverse=True)
    every = np.full(len(group), NOWHERE, np.int64)
    every[kept] = number
    return every, kept[first]


def _free(hierarchy: Hierarchy, codes: Codes, group: Codes) -> Cells:
    span = hierarchy.missing + 1
    pairs = np.unique(group[group >= 0] * span + codes[group >= 0])
    owner, code = pairs // span, pairs % span
    starts = np.flatnonzero(np.append(True, owner[1:] != owner[:-1])) if len(owner) else np.array([], np.int64)
    stops = np.append(starts[1:], len(owner)) if len(owner) else starts
    seen: dict[tuple[int, ...], tuple[str | None, float]] = {}
    names: list[str | None] = []
    penalty = np.zeros(len(starts))
    for i, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        low, high = int(code[start]), int(code[stop - 1])
        is_set = hierarchy.base.kind == "category" and not hierarchy.tree
        key = tuple(code[start:stop].tolist()) if is_set else (low, high)
        if key not in seen:
            seen[key] = _cell(hierarchy, key)
        name, penalty[i] = seen[key]
        names.append(name)
    single = bool((stops - starts == 1).all())
    return Cells(names, penalty, single and hierarchy.base.exact, None)


def _cell(hierarchy: Hierarchy, codes: tuple[int, ...]) -> tuple[str | None, float]:
    """Name and penalty of a cell that covers some codes (all of a set, or both ends of an interval)."""
    low, high = codes[0], codes[-1]
    if low == high:
        step = hierarchy.steps[0]
        return step.names[int(step.groups[low])], float(step.penalty[low])
    if high == hierarchy.missing:  # values and missing ones
        return None, 1.0
    if hierarchy.tree:
        step = next(s for s in hierarchy.steps if s.groups[low] == s.groups[high])
        return step.names[int(step.groups[low])], float(step.penalty[low])
    if hierarchy.base.kind == "category":
        texts = [str(hierarchy.steps[0].names[int(hierarchy.steps[0].groups[c])]) for c in codes]
        return set_text(texts), (len(codes) - 1) / max(hierarchy.missing - 1, 1)
    width = float(hierarchy.position[high] - hierarchy.position[low] + hierarchy.steps[0].penalty[high])
    return _interval(hierarchy, low, high), min(width, 1.0)


def _interval(hierarchy: Hierarchy, low: int, high: int) -> str:
    base, first, last = hierarchy.base, hierarchy.values[low], hierarchy.values[high]
    if base.kind == "date":
        period = base.grain if base.grain in PERIODS else "day"
        text = (lambda d: period_text(d, period)) if period != "day" else day_text
        return closed_text(text(first), text(last))
    if base.grain == "bin":
        return f"[{number_text(first * base.width)}, {number_text((last + 1) * base.width)})"
    return closed_text(number_text(first), number_text(last))
