"""The exact discrete Gaussian by inversion: one random word per draw, compared with certified 62-bit boundaries of its distribution.

What belongs here: the boundaries in integer arithmetic, and the look-up. What does not: scales for which a table does not pay
(sampling.py draws those by rejection, to the same law). Proof of exactness: docs/mechanisms/discrete_gaussian.md.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache
from typing import Protocol

import numpy as np

GRID_BITS = 20  # sigma is a multiple of 2**-20
GUARD = 128  # bits beyond those that are used
GUIDE_BITS = 14
CHUNK = 1 << 15
LEAST_SIGMA, MOST_SIGMA = 0.25, 1024.0
UNDECIDED = np.iinfo(np.int32).min


class Words(Protocol):
    """A stream of uniform random words."""

    def words(self, size: int) -> np.ndarray:
        """`size` uniform words, int64."""
        ...


def serves(sigma: int) -> bool:
    """Whether a table pays for this scale, in units of 2**-20."""
    return bool(LEAST_SIGMA <= sigma / 2**GRID_BITS <= MOST_SIGMA)


def exp_minus(numerator: int, denominator: int, bits: int) -> int:
    """exp(-numerator / denominator) * 2**bits for an exponent in (0, 8], from below, less than 4 units too small.

    The series of exp(-y) with y = x / 2**h <= 1/2, then h <= 4 squarings, with 32 further bits. In units of these, a term is less
    than 2 off, and so are the rest of the series and y; fewer than 2**20 terms are less than 2**22 off, and a squaring doubles that
    and adds 1: less than 2**27 in all, well below the one unit of the result that is taken off at the end.
    """
    halvings = max(0, math.ceil(math.log2(2 * numerator / denominator))) if 2 * numerator > denominator else 0
    extra = 32
    precision = bits + extra
    y = (numerator << precision) // (denominator << halvings)
    total = term = 1 << precision
    k = 1
    while term:
        term = (term * y >> precision) // k
        total += -term if k % 2 else term
        k += 1
    for _ in range(halvings):
        total = total * total >> precision
    return max(0, (total >> extra) - 1)


@lru_cache(maxsize=8)
def boundaries(sigma: int, bits: int) -> tuple[int, tuple[int, ...]]:
    """floor(P[Y < k] * 2**bits) of the discrete Gaussian for k = first, first + 1, ...; 0 before and 2**bits - 1 after these.

    Args:
        sigma: Scale in units of 2**-20.
        bits: Of the result.

    Returns:
        first, and the floors.
    """
    guard = GUARD
    while True:
        found = _enclosed(sigma, bits, guard)
        if found is not None:
            return found
        guard *= 2  # a boundary so close to a multiple of 2**-bits that it is not known on which side


def _enclosed(sigma: int, bits: int, guard: int) -> tuple[int, tuple[int, ...]] | None:
    """The floors, where every one is the same at both ends of its enclosure; None else.

    Weights w_i = a^(i^2), a = exp(-1 / (2 sigma^2)), by w_(i+1) = w_i r_i and r_(i+1) = r_i a^2, r_0 = a, rounded down. With e < 4
    units missing from a, at most 2 (e + 1) (i + 1) are missing from r_i, 10 (i + 1)^2 from w_i, and 10 (n + 1)^3 from a sum of n. The
    first weight that vanishes, w_n, is at most 10 (n + 1)^2 units, and all weights from there on at most n + 1 times that.
    """
    precision = bits + guard
    a = exp_minus(1 << (2 * GRID_BITS - 1), sigma * sigma, precision)
    square, ratio, weight = a * a >> precision, a, 1 << precision
    weights = []
    while weight:
        weights.append(weight)
        weight, ratio = weight * ratio >> precision, ratio * square >> precision
    n = len(weights)
    slack = (n + 1) ** 3 << 16  # more than is missing from any sum of weights
    half = sum(weights[1:])
    total = weights[0] + 2 * half
    floors, below, top = [], 0, (1 << bits) - 1  # no boundary reaches 1
    for k in range(1 - n, n):  # P[Y < k]
        low, high = (below << bits) // (total + 2 * slack), min(top, ((below + slack) << bits) // total)
        if min(low, top) != high:
            return None
        floors.append(high)
        below += weights[abs(k)]
    return 1 - n, tuple(floors)


class Inversion:
    """Draws of one scale.

    Y >= k if and only if a uniform number u reaches P[Y < k]. The first word of u decides unless it equals the first bits of a boundary
    (or is the smallest or largest word); then the next word is drawn and compared with the next bits.

    Args:
        sigma: Scale in units of 2**-20, see `serves`.
        word_bits: Random bits per word.
    """

    def __init__(self, sigma: int, word_bits: int) -> None:
        self._sigma, self._word_bits = sigma, word_bits
        first, floors = boundaries(sigma, word_bits)
        top = (1 << word_bits) - 1
        inner = [i for i, f in enumerate(floors) if 0 < f < top]
        self._first = first + (inner[0] if inner else bisect_right(floors, 0))
        self._floors = np.array([floors[i] for i in inner], dtype=np.int64)
        guide = min(GUIDE_BITS, word_bits)
        self._shift = word_bits - guide
        starts = np.arange(1 << guide, dtype=np.int64) << self._shift
        before = np.searchsorted(self._floors, starts, side="left")
        upto = np.searchsorted(self._floors, starts + ((1 << self._shift) - 1), side="right")
        self._guide = np.where(before == upto, self._first - 1 + before, UNDECIDED).astype(np.int32)
        self._guide[[0, -1]] = UNDECIDED  # the smallest and the largest word

    def draw(self, bits: Words, size: int) -> np.ndarray:
        """`size` draws, int64."""
        out = np.empty(size, dtype=np.int64)
        for start in range(0, size, CHUNK):
            words = bits.words(min(CHUNK, size - start))
            value = self._guide[words >> self._shift]
            open_ = np.flatnonzero(value == UNDECIDED)
            out[start : start + len(words)] = value
            out[start + open_] = self._search(bits, words[open_])
        return out

    def _search(self, bits: Words, words: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self._floors, words, side="right")
        value: np.ndarray = self._first - 1 + at
        tie = (words == 0) | (words == (1 << self._word_bits) - 1)
        tie[at > 0] |= self._floors[at[at > 0] - 1] == words[at > 0]
        for i in np.flatnonzero(tie).tolist():
            value[i] = self._refine(bits, int(words[i]))
        return value

    def _refine(self, bits: Words, head: int) -> int:
        """Go on with further words until the number is apart from every boundary."""
        length = self._word_bits
        while True:
            length += self._word_bits
            head = head << self._word_bits | int(bits.words(1)[0])
            first, floors = boundaries(self._sigma, length)
            at = bisect_right(floors, head)
            if at > 0 and floors[at - 1] != head and 0 < head < (1 << length) - 1:
                return first - 1 + at


@lru_cache(maxsize=64)
def table(sigma: int, word_bits: int) -> Inversion:
    """The table of one scale."""
    return Inversion(sigma, word_bits)
