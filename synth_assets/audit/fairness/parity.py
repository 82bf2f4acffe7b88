"""Differences of a rate between groups, and what one table adds to those of another. Counts in, numbers out.

The difference between the extreme groups of many is large by chance alone, and two tables of one population have different extremes.
So all pairs of groups are compared, and all intervals hold together: each is Newcombe's, at a confidence that Bonferroni's inequality
raises by the number of pairs. What does not belong here: whose rates they are, levels, and words (`module.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.audit.intervals import Pair, wilson
from synth_assets.audit.prepare import Floats, Integers

CONFIDENCE = 0.95
MOST_GROUPS = 100
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rates:
    """A rate per group.

    Args:
        hits: Successes per group, shape (groups,).
        rows: Rows per group, shape (groups,).
        weight: What a row counts as evidence, in (0, 1]; below 1 where the rates are those of a model that learnt from fewer rows.
    """

    hits: Integers
    rows: Integers
    weight: float = 1.0

    def bounds(self, used: Integers, confidence: float) -> tuple[Floats, Floats, Floats]:
        """Rate, low and high of some groups."""
        rate = self.hits[used] / self.rows[used]
        ends = [
            wilson(h * self.weight, n * self.weight, confidence)
            for h, n in zip(self.hits[used], self.rows[used], strict=True)
        ]
        low, high = np.array(ends).T
        return rate, np.minimum(low, rate), np.maximum(high, rate)


def rates(groups: Integers, success: Flags, count: int, weight: float = 1.0) -> Rates:
    """Successes and rows per group number; rows with a missing group (-1) do not count."""
    known = groups >= 0
    return Rates(
        np.bincount(groups[known & success], minlength=count), np.bincount(groups[known], minlength=count), weight
    )


@dataclass(frozen=True)
class Comparison:
    """One rate on both sides; without a real table there is one side only."""

    synthetic: Rates
    real: Rates | None = None

    def used(self, minimum: int) -> Integers:
        """Groups with enough rows on every side; of more than 100 the largest."""
        smallest = self.synthetic.rows if self.real is None else np.minimum(self.synthetic.rows, self.real.rows)
        largest = np.argsort(-smallest, kind="stable")[:MOST_GROUPS]
        return np.sort(largest[smallest[largest] >= minimum])

    def present(self) -> int:
        """Groups that have a row on either side."""
        rows = self.synthetic.rows if self.real is None else self.synthetic.rows + self.real.rows
        return int((rows > 0).sum())


@dataclass(frozen=True)
class Gap:
    """The largest difference between two groups.

    Args:
        value: In the synthetic table.
        interval: Of `value`; all pairs hold together.
        baseline: The largest difference in the real table.
        excess: The largest difference that the synthetic table adds between two groups: its difference less the real one of the same
            two in the same direction, or all of it where the real one has the other direction. Below 0 where every difference shrinks.
            Where chance does not explain all of them, the largest of those that it does not explain.
        excess_interval: Of the largest added difference; all pairs of all findings of the audit hold together. Above 0 where chance
            does not explain `excess`.
        worst: Position of the comparison that `value` is of.
        groups: Groups compared there.
        left_out: Groups too small to be compared there.
        rows: Rows of the compared groups there: synthetic, real.
    """

    value: float
    interval: Pair
    baseline: float | None
    excess: float | None
    excess_interval: Pair | None
    worst: int
    groups: int
    left_out: int
    rows: tuple[int, int | None]


def largest_gap(comparisons: Sequence[Comparison], minimum: int, findings: int = 1) -> Gap | None:
    """The largest difference over all pairs of groups of some comparisons.

    Args:
        comparisons: Rates that make one figure together, such as true and false positive rates.
        minimum: Rows that a group needs on both sides.
        findings: Figures of the audit whose intervals of `excess` are to hold together.

    Returns:
        None where no comparison has two groups that are large enough.

    Source:
        Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17 (1998), 873-890,
        method 10; Zou, Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27 (2008), 1693-1702,
        for the difference of differences; Dunn, "Multiple comparisons among means", JASA 56 (1961), 52-64, for the correction.
    """
    used = [(i, groups) for i, c in enumerate(comparisons) if len(groups := c.used(minimum)) > 1]
    if not used:
        return None
    pairs = sum(len(groups) * (len(groups) - 1) // 2 for _, groups in used)
    own = [_advantage(comparisons[i], groups, pairs) for i, groups in used]
    at = int(np.argmax([value for value, _, _ in own]))
    worst, groups = used[at]
    chosen = comparisons[worst]
    added = [
        _added(comparisons[i].synthetic, real, g, pairs * findings) for i, g in used if (real := comparisons[i].real)
    ]
    return Gap(
        value=own[at][0],
        interval=(max(0.0, *(low for _, low, _ in own)), max(high for _, _, high in own)),
        baseline=max(
            (float(np.ptp(r.hits[g] / r.rows[g])) for i, g in used if (r := comparisons[i].real)), default=None
        ),
        excess=_excess(added),
        excess_interval=(max(a.low for a in added), max(a.high for a in added)) if added else None,
        worst=worst,
        groups=len(groups),
        left_out=chosen.present() - len(groups),
        rows=(int(chosen.synthetic.rows[groups].sum()), int(chosen.real.rows[groups].sum()) if chosen.real else None),
    )


def _advantage(comparison: Comparison, used: Integers, tests: int) -> tuple[float, float, float]:
    """The largest difference of the synthetic rates, with its bounds."""
    difference, low, high = _between(*comparison.synthetic.bounds(used, 1 - (1 - CONFIDENCE) / tests))
    return _largest(difference), _largest(low), _largest(high)


@dataclass(frozen=True)
class _Added:
    """The largest added difference of a comparison, the largest that is beyond chance, and the largest bounds."""

    value: float
    evident: float | None
    low: float
    high: float


def _excess(added: Sequence[_Added]) -> float | None:
    evident = [a.evident for a in added if a.evident is not None]
    return max(evident or [a.value for a in added], default=None)


def _added(synthetic: Rates, real: Rates, used: Integers, tests: int) -> _Added:
    """What is added between the groups of one comparison.

    What is added between two groups is the smaller of the synthetic difference and of the change of the difference, and so is each
    bound.
    """
    confidence = 1 - (1 - CONFIDENCE) / tests
    mine, other = synthetic.bounds(used, confidence), real.bounds(used, confidence)
    change = mine[0] - other[0]
    low = change - np.hypot(mine[0] - mine[1], other[2] - other[0])
    high = change + np.hypot(mine[2] - mine[0], other[0] - other[1])
    parts = zip(_between(*mine), _between(change, low, high), strict=True)
    value, bottom, top = (np.minimum(a, b) for a, b in parts)
    beyond = value[bottom > 0]
    return _Added(_largest(value), float(beyond.max()) if len(beyond) else None, _largest(bottom), _largest(top))


def _between(value: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Differences of every ordered pair of independent estimates, with their bounds; shape (groups, groups) each."""
    difference = value[:, None] - value[None, :]
    below, above = value - low, high - value
    return (
        difference,
        difference - np.hypot(below[:, None], above[None, :]),
        difference + np.hypot(above[:, None], below[None, :]),
    )


def _largest(matrix: Floats) -> float:
    """The largest entry beside the diagonal, which compares a group with itself."""
    return float(matrix[~np.eye(len(matrix), dtype=np.bool_)].max())
