"""The tail of a noisy table of numbers of children: what follows the last cell above the noise.

What belongs here: its expected rows, from the cells before it. What does not: where the noise begins (binning.py). No budget.
"""

from __future__ import annotations

import math

import numpy as np

TAIL_LEAST = 0.5  # rows
TINY = 1e-9


def last_used(estimate: np.ndarray) -> int:
    """Last cell of an estimated table of numbers of children that holds any row, at least 1."""
    return max(1, int(np.flatnonzero(estimate > 0)[-1])) if (estimate > 0).any() else 1


def tail_beyond(estimate: np.ndarray, edges: tuple[int, ...], last: int) -> np.ndarray:
    """Expected rows of the cells beyond the last one above the noise: cutting them off would make all totals too small.

    The density goes on falling as between the last two cells, but the tail holds no more rows than its noisy cells show.
    """
    width = np.diff(np.array(edges, dtype=np.float64))
    middle = np.array(edges[:-1]) + (width - 1) / 2
    noisy, none = estimate[last + 1 : len(width)], np.zeros(len(width) - last - 1)
    before, at = (estimate[i] / width[i] for i in (last - 1, last))
    if last < 2 or not before > at > 0 or not len(noisy):
        return none
    fall = math.log(before / at) / (middle[last] - middle[last - 1])
    ends = np.array(edges[last + 1 :], dtype=np.float64) - middle[last]
    reached = np.exp(-fall * np.minimum(ends, 700 / fall)) / -np.expm1(-fall)
    tail = at * -np.diff(reached)
    tail[tail < TAIL_LEAST] = 0.0
    most = max(float(noisy[tail > 0].sum()), 0.0)
    out: np.ndarray = tail * min(1.0, most / max(float(tail.sum()), TINY))
    return out
