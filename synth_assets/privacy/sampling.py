"""Exact samplers over random words: Bernoulli(exp(-x)), discrete Laplace, discrete Gaussian, exponential mechanism.

What belongs here: vectorised integer algorithms with exact acceptance tests. What does not: policy and cost. A test "u < p" for a
rational p compares a 62-bit word with floor(p * 2**62) in int64; on a tie, of probability 2**-62, it goes on with the next bits in
Python integers, so that no rational is ever rounded. Derivations and bounds: docs/mechanisms/discrete_gaussian.md, exponential.md.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import numpy as np

from synth_assets.errors import InputError
from synth_assets.privacy import inversion

WORD_BITS = 62
WORD = 1 << WORD_BITS
GRID_BITS = 20  # sigma and scores are multiples of 2**-20 (of a row, of a sensitivity)
EPSILON_BITS = 30
MAX_SIGMA = 2**32
MAX_WHOLE = 1 << 40  # acceptance exp(-2**40): no stream gets there, so a larger whole part behaves alike
MAX_TABLE = 1 << 16
CHUNK = 1 << 15  # candidates at a time: the working set stays in the processor's cache
Exact = Callable[[int], Fraction]


class Bits(Protocol):
    """A stream of uniform random words."""

    def words(self, size: int) -> np.ndarray:
        """`size` words uniform on [0, 2**62), int64."""
        ...


class SystemBits:
    """AES-256 in counter mode under a key from the operating system; one object per call, so no state is kept, shared or forked."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._cipher = Cipher(algorithms.AES(os.urandom(32)), modes.CTR(os.urandom(16))).encryptor()

    def words(self, size: int) -> np.ndarray:
        """`size` words uniform on [0, 2**62), int64."""
        return np.frombuffer(self._cipher.update(bytes(8 * size)), dtype=np.int64) & (WORD - 1)


class SeededBits:
    """A repeatable stream for tests of plumbing; never for a release."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.PCG64(seed)

    def words(self, size: int) -> np.ndarray:
        """`size` words uniform on [0, 2**62), int64."""
        return np.asarray(self._generator.random_raw(size), dtype=np.uint64).view(np.int64) & (WORD - 1)


def dyadic_sigma(sigma: float) -> int:
    """`sigma` rounded up to a multiple of 2**-20, as that multiple.

    Raises:
        InputError: sigma is not in (0, 2**32].
    """
    if not (isinstance(sigma, int | float | np.floating) and 0 < sigma <= MAX_SIGMA):
        raise InputError(f"the noise scale sigma must lie in (0, 2**32], it is {sigma!r}.")
    steps: int = math.ceil(Fraction(float(sigma)) * 2**GRID_BITS)
    return steps


def below(bits: Bits, threshold: np.ndarray, keys: np.ndarray, exact: Exact, divisor: int = 1) -> np.ndarray:
    """Bernoulli(p) for each entry, p = exact(key) / divisor.

    Args:
        bits: The stream.
        threshold: floor(p * 2**62), int64, shape (k,), 0 <= p <= 1.
        keys: What `exact` is asked with on a tie, shape (k,).
        exact: Gives divisor * p as a rational.
        divisor: >= 1.
    """
    words = bits.words(len(threshold))
    hit: np.ndarray = words < threshold
    for i in np.flatnonzero(words == threshold).tolist():
        hit[i] = refine(bits, exact(int(keys[i])) / divisor)
    return hit


def refine(bits: Bits, p: Fraction) -> bool:
    """Whether a uniform number whose first 62 bits are those of p is below p: the next 62 bits decide, and so on."""
    rest = p * WORD % 1
    while True:
        digit = math.floor(rest * WORD)
        rest = rest * WORD - digit
        word = int(bits.words(1)[0])
        if word != digit:
            return word < digit


def bernoulli_exp(bits: Bits, threshold: np.ndarray, keys: np.ndarray, exact: Exact) -> np.ndarray:
    """Bernoulli(exp(-x)) for each entry, 0 <= x <= 1 (Canonne, Kamath, Steinke 2020, algorithm 1).

    Args:
        bits: The stream.
        threshold: floor(x * 2**62), int64, shape (k,).
        keys: What `exact` is asked with on a tie, shape (k,).
        exact: Gives the rational x.
    """
    hit = below(bits, threshold, keys, exact)
    odd = ~hit
    alive = np.flatnonzero(hit)
    k = 2
    while len(alive):
        # floor(floor(x * W) / k) = floor(x / k * W): nested floors of a division by a positive integer
        hit = below(bits, threshold[alive] // k, keys[alive], exact, k)
        odd[alive[~hit]] = k % 2 == 1
        alive = alive[hit]
        k += 1
    return odd


def geometric(bits: Bits, size: int) -> np.ndarray:
    """Numbers of successes of Bernoulli(exp(-1)) before the first failure: P(V >= v) = exp(-v); int64, shape (size,)."""
    count = np.zeros(size, dtype=np.int64)
    alive = np.arange(size)
    while len(alive):
        hit = bernoulli_exp(bits, np.full(len(alive), WORD, dtype=np.int64), alive, _one)
        alive = alive[hit]
        count[alive] += 1
    return count


def _one(_: int) -> Fraction:
    return Fraction(1)


def accept(bits: Bits, whole: np.ndarray, part: np.ndarray, keys: np.ndarray, exact: Exact) -> np.ndarray:
    """Bernoulli(exp(-(whole + x))) for each entry, x in [0, 1).

    Args:
        bits: The stream.
        whole: int64, shape (k,), >= 0.
        part: floor(x * 2**62), int64, shape (k,).
        keys: What `exact` is asked with on a tie, shape (k,).
        exact: Gives the rational x.
    """
    hit = bernoulli_exp(bits, part, keys, exact)
    rest = np.flatnonzero(hit & (whole > 0))
    hit[rest] = geometric(bits, len(rest)) >= whole[rest]
    return hit


def discrete_laplace(bits: Bits, log2_scale: int, size: int) -> np.ndarray:
    """About 0.4 to 0.6 * size draws with P(y) proportional to exp(-|y| / 2**log2_scale) (the same paper, algorithm 2)."""
    low = bits.words(size) & ((1 << log2_scale) - 1)
    keep = bernoulli_exp(bits, low << (WORD_BITS - log2_scale), low, lambda u: Fraction(u, 1 << log2_scale))
    low = low[keep]
    magnitude = low + (geometric(bits, len(low)) << log2_scale)
    negative = (bits.words(len(low)) & 1).astype(bool)
    value: np.ndarray = np.where(negative, -magnitude, magnitude)[~(negative & (magnitude == 0))]
    return value


class Target:
    """Acceptance of a discrete Laplace candidate y as a discrete Gaussian: exp(-x), x = (|y| - sigma^2 / t)^2 / (2 sigma^2).

    The scale t of the candidates is the power of two nearest to sigma; any t > 0 gives the same law, t = sigma accepts most often.

    Args:
        sigma: In units of 2**-20.
    """

    def __init__(self, sigma: int) -> None:
        self.log2_scale = max(0, round(math.log2(sigma)) - GRID_BITS)
        self._square = sigma * sigma  # sigma^2 * 2**40
        self._denominator = self._square << (1 + 2 * GRID_BITS + 2 * self.log2_scale)
        self._whole = np.zeros(0, dtype=np.int64)
        self._part = np.zeros(0, dtype=np.int64)

    def _exponent(self, magnitude: int) -> tuple[int, int]:
        """Whole part of x, and the numerator of the rest over the common denominator."""
        root = (magnitude << (self.log2_scale + 2 * GRID_BITS)) - self._square
        return divmod(root * root, self._denominator)

    def rest(self, magnitude: int) -> Fraction:
        """The part of x after the point."""
        return Fraction(self._exponent(magnitude)[1], self._denominator)

    def split(self, magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whole part of x, and floor(2**62 * the rest), of each candidate; from a table while that stays small."""
        largest = int(magnitude.max(initial=0))
        if largest >= MAX_TABLE:
            return self._columns(magnitude.tolist())
        if largest >= len(self._whole):
            length = min(MAX_TABLE, max(largest + 1, 2 * len(self._whole)))
            self._whole, self._part = self._columns(list(range(length)))
        return self._whole[magnitude], self._part[magnitude]

    def _columns(self, magnitudes: list[int]) -> tuple[np.ndarray, np.ndarray]:
        pairs = [self._exponent(m) for m in magnitudes]
        whole = np.array([min(w, MAX_WHOLE) for w, _ in pairs], dtype=np.int64)
        return whole, np.array([(r << WORD_BITS) // self._denominator for _, r in pairs], dtype=np.int64)


@lru_cache(maxsize=64)
def target(sigma: int) -> Target:
    """The acceptance rule of one sigma (in units of 2**-20), with its table."""
    return Target(sigma)


def gaussian(bits: Bits, sigma: int, size: int) -> np.ndarray:
    """Draw the discrete Gaussian: by inversion where a table of its distribution pays, else by rejection. Both are exact.

    Args:
        bits: The stream.
        sigma: Scale in units of 2**-20.
        size: Number of draws.

    Returns:
        int64 array, shape (size,).
    """
    if inversion.serves(sigma):
        return inversion.table(sigma, WORD_BITS).draw(bits, size)
    return rejection(bits, sigma, size)


def rejection(bits: Bits, sigma: int, size: int) -> np.ndarray:
    """Draw the discrete Gaussian of any scale by rejection (the same paper, algorithm 3).

    Args:
        bits: The stream.
        sigma: Scale in units of 2**-20.
        size: Number of draws.

    Returns:
        int64 array, shape (size,).
    """
    rule = target(sigma)
    out = np.empty(size, dtype=np.int64)
    done = 0
    while done < size:
        value = discrete_laplace(bits, rule.log2_scale, min(CHUNK, 4 * (size - done) + 64))
        magnitude = np.abs(value)
        hit = accept(bits, *rule.split(magnitude), magnitude, rule.rest)
        accepted = value[hit][: size - done]
        out[done : done + len(accepted)] = accepted
        done += len(accepted)
    return out


def choose(bits: Bits, scores: np.ndarray, *, epsilon: float, sensitivity: float, size: int = 1) -> np.ndarray:
    """The exponential mechanism by rejection: propose uniformly, accept with probability exp(-epsilon (max - score) / (2 sensitivity)).

    What is accepted of a stream of proposals is a stream of independent choices.

    Args:
        bits: The stream.
        scores: Finite, shape (k,), k >= 1.
        epsilon: Bounded range of one choice; rounded down to a multiple of 2**-30.
        sensitivity: Of one score.
        size: Number of independent choices.

    Returns:
        Indices, int64, shape (size,).

    Raises:
        InputError: epsilon is not finite or below 2**-30; see `score_grid` for the rest.
    """
    steps, width = score_grid(scores, sensitivity)
    if not (math.isfinite(epsilon) and epsilon * 2**EPSILON_BITS >= 1):
        raise InputError(
            f"the epsilon of a selection must be finite and at least 2**-{EPSILON_BITS}, it is {epsilon!r}."
        )
    slope = math.floor(epsilon * 2**EPSILON_BITS)
    denominator = 2 * width << EPSILON_BITS
    pairs = [divmod(slope * gap, denominator) for gap in (steps.max() - steps).tolist()]
    whole = np.array([min(w, MAX_WHOLE) for w, _ in pairs], dtype=np.int64)
    part = np.array([(r << WORD_BITS) // denominator for _, r in pairs], dtype=np.int64)
    out = np.empty(size, dtype=np.int64)
    done = 0
    while done < size:
        tried = uniform_below(bits, len(steps), min(CHUNK, max(256, 2 * (size - done))))
        hit = accept(bits, whole[tried], part[tried], tried, lambda i: Fraction(pairs[i][1], denominator))
        chosen = tried[hit][: size - done]
        out[done : done + len(chosen)] = chosen
        done += len(chosen)
    return out


def score_grid(scores: np.ndarray, sensitivity: float) -> tuple[np.ndarray, int]:
    """Scores as whole steps of a dyadic grid, and the sensitivity in steps.

    The step is the power of two with sensitivity / step in [2**19, 2**20). Rounding down is monotone and commutes with whole steps, so
    real scores that differ by at most s steps differ by at most ceil(s) steps afterwards; one more step pays for the floating-point
    error of the scores, which must stay below half a step (sensitivity / 2**21) on each side.

    Returns:
        int64 array of the shape of `scores`, and ceil(sensitivity / step) + 1.

    Raises:
        InputError: no score, a score that is not finite or larger than 2**32 sensitivities, or a sensitivity that is not positive.
    """
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise InputError("the exponential mechanism needs a one-dimensional list of at least one finite score.")
    if not (math.isfinite(sensitivity) and sensitivity > 0):
        raise InputError(f"the sensitivity of a score must be positive and finite, it is {sensitivity!r}.")
    exponent = math.frexp(sensitivity)[1] - GRID_BITS  # sensitivity = m * 2**e with m in [1/2, 1)
    if np.abs(scores).max() >= sensitivity * 2**32:
        raise InputError("a score is larger than 2**32 times its sensitivity.")
    scaled = np.ldexp(scores, -exponent)  # exact: a change of the exponent
    return np.floor(scaled).astype(np.int64), math.ceil(math.ldexp(sensitivity, -exponent)) + 1


def uniform_below(bits: Bits, bound: int, size: int) -> np.ndarray:
    """Uniform integers on [0, bound), bound < 2**32, by rejection of the incomplete last block; up to `size` of them, int64."""
    words = bits.words(size)
    value: np.ndarray = words & (bound - 1) if WORD % bound == 0 else words[words < WORD - WORD % bound] % bound
    return value
