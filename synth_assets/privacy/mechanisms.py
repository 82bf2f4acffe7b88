"""The only source of DP noise: the exact discrete Gaussian and the exact exponential mechanism, from the system's CSPRNG.

What belongs here: draws. What does not: their cost (accounting.py) and the data they protect. No draw takes a seed, except that of
`InsecureNoise`, which is marked and which a release refuses. Derivations: docs/mechanisms/discrete_gaussian.md, exponential.md.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from synth_assets.errors import InputError
from synth_assets.privacy.continuous import bernoulli, normals, summed_normals
from synth_assets.privacy.sampling import Bits, SeededBits, SystemBits, choose, dyadic_sigma, gaussian

__all__ = ["InsecureNoise", "NoiseSource", "StepNoise", "SystemNoise", "effective_sigma"]


class NoiseSource(Protocol):
    """Where noise comes from.

    Attributes:
        secure: Whether a release may use it.
    """

    @property
    def secure(self) -> bool:
        """Whether a release may use it."""
        ...

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        """`size` independent draws, int64, of the discrete Gaussian with scale `effective_sigma(sigma)` >= sigma."""
        ...

    def exponential(self, scores: np.ndarray, *, epsilon: float, sensitivity: float) -> int:
        """An index drawn with probability proportional to exp(epsilon * score / (2 * sensitivity))."""
        ...

    def selections(self, scores: np.ndarray, *, epsilon: float, sensitivity: float, size: int) -> np.ndarray:
        """`size` independent draws of `exponential`, int64."""
        ...


class StepNoise(NoiseSource, Protocol):
    """A source that also serves steps of DP-SGD (docs/mechanisms/dp_sgd.md)."""

    def gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        """`size` independent normal draws of scale sigma, float64: the noise of one step."""
        ...

    def sample(self, *, rate: float, size: int) -> np.ndarray:
        """Which of `size` units enter a step: each with probability `rate`, independently; bool."""
        ...

    def normals(self, *, size: int) -> np.ndarray:
        """`size` standard normal draws, float64, for the randomness within a step; they hide nothing."""
        ...


def effective_sigma(sigma: float) -> float:
    """The scale that is really drawn for `sigma`: rounded up to a multiple of 2**-20, exact as a float; a fixed point of itself.

    Args:
        sigma: Scale in rows, in (0, 2**32].

    Raises:
        InputError: sigma is not a positive finite number up to 2**32.
    """
    return dyadic_sigma(sigma) / 2**20


class _Noise:
    """Both mechanisms over a stream of random words."""

    def _stream(self) -> Bits:
        raise NotImplementedError

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        """Draw the exact discrete Gaussian (Canonne, Kamath, Steinke 2020, algorithm 3), integers only.

        Args:
            sigma: Scale in rows, in (0, 2**32]; rounded up, see `effective_sigma`.
            size: Number of draws, >= 0.

        Returns:
            int64 array of shape (size,).

        Raises:
            InputError: sigma or size is out of range.
        """
        if size < 0:
            raise InputError(f"the number of draws must not be negative, it is {size}.")
        return gaussian(self._stream(), dyadic_sigma(sigma), size)

    def exponential(self, scores: np.ndarray, *, epsilon: float, sensitivity: float) -> int:
        """Choose an index with probability proportional to exp(epsilon * score / (2 * sensitivity)), by exact rejection.

        Scores are first rounded to multiples of sensitivity / 2**20; one grid step is added to the sensitivity, so that rounding of the
        floating-point score up to half a step on each side is paid for.

        Args:
            scores: float64, shape (k,), k >= 1, finite.
            epsilon: Bounded range of the call, > 0.
            sensitivity: Largest change of one score between neighbours, > 0, in the unit of the scores.

        Returns:
            The index in [0, k).

        Raises:
            InputError: no score, a score that is not finite, or an epsilon or sensitivity that is not positive and finite.
        """
        return int(self.selections(scores, epsilon=epsilon, sensitivity=sensitivity, size=1)[0])

    def selections(self, scores: np.ndarray, *, epsilon: float, sensitivity: float, size: int) -> np.ndarray:
        """`size` independent choices of `exponential`, int64, shape (size,)."""
        scores = np.asarray(scores, dtype=np.float64)
        return choose(self._stream(), scores, epsilon=epsilon, sensitivity=sensitivity, size=size)

    def gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        """Normal noise of a step of DP-SGD: half the sum of four draws.

        Raises:
            InputError: sigma is not positive and finite, or size is negative.
        """
        return summed_normals(self._stream(), sigma, size)

    def sample(self, *, rate: float, size: int) -> np.ndarray:
        """Poisson sample: each of `size` units with probability `rate`, independently; bool, shape (size,).

        Raises:
            InputError: the rate is not in (0, 1].
        """
        return bernoulli(self._stream(), rate, size)

    def normals(self, *, size: int) -> np.ndarray:
        """Standard normal draws, float64, shape (size,)."""
        return normals(self._stream(), size)


class SystemNoise(_Noise):
    """Noise for releases: AES-256-CTR keyed anew by the operating system for every call; safe across forks."""

    secure: ClassVar[bool] = True

    def _stream(self) -> Bits:
        return SystemBits()


class InsecureNoise(_Noise):
    """Repeatable noise for tests of plumbing; `secure` is False, and a release refuses it.

    Args:
        seed: Root of the stream; two sources with one seed draw the same.
    """

    secure: ClassVar[bool] = False

    def __init__(self, seed: int) -> None:
        self._bits = SeededBits(seed)

    def _stream(self) -> Bits:
        return self._bits
