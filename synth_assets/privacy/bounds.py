"""Upper bounds on the privacy loss of composed events: Gaussians in closed form, selections as a privacy loss distribution, zCDP.

What belongs here: the mathematics of docs/mechanisms/accounting.md, one function per statement. What does not: the grouping of events
(accounting.py), and the second accountant, which shares no code with this file (crosscheck.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from synth_assets.errors import UnexpectedError
from synth_assets.privacy.records import ExponentialEvent, GaussianEvent

TAIL_SIGMAS = 40
LARGE_SIGMA = 1000.0
LARGE_SLACK = 1e-16  # epsilon per changed cell, see docs/mechanisms/accounting.md, lemma 3
DELTA_RESERVE = 1e-6  # share of delta that is kept for the tails and for rounding in the composition
NUMERIC_DELTA = 1e-13  # allowance for the rounding of the convolution, which is below 1e-14
MAX_EPSILON = 1e6
LOSS_CELLS = 4096


@lru_cache(maxsize=4096)
def gaussian_mu(sigma: float) -> float:
    """The mu such that the discrete Gaussian shifted by 1 is mu-GDP, but for the mass beyond TAIL_SIGMAS (lemma 2).

    The trade-off curve of two discrete distributions is piecewise linear; it lies above that of mu-GDP, which is convex, when its
    corners do: mu = sup_k (Phi^-1(P[Y >= k]) - Phi^-1(P[Y >= k + 1])). It is about (1 + 1 / (24 sigma^2)) / sigma.

    Args:
        sigma: Scale of the noise.
    """
    if sigma > LARGE_SIGMA:
        return 1 / math.sqrt(sigma * sigma - 2)
    from scipy.special import ndtri_exp

    near = math.ceil(TAIL_SIGMAS * sigma)
    reach = near + math.ceil(10 * sigma) + 2  # the rest changes the sums up to `near` by less than 1e-80 of themselves
    k = np.arange(-reach, reach + 1)
    weight = -(k.astype(np.float64) ** 2) / (2 * sigma**2)
    lower = np.logaddexp.accumulate(weight)
    lower -= lower[-1]  # log P[Y <= k]
    upper = lower[::-1]  # log P[Y >= k], by symmetry
    # Phi^-1(P[Y >= k]) from whichever tail is the smaller, so that no digit is lost
    quantile = np.where(k > 0, ndtri_exp(np.minimum(upper, -1e-300)), -ndtri_exp(np.append(-1e5, lower[:-1])))
    step = (quantile[:-1] - quantile[1:])[np.abs(k[:-1]) <= near]
    return float(step.max()) * (1 + 1e-9)


def total_mu(events: Sequence[GaussianEvent]) -> float:
    """The mu of all Gaussians together: mu^2 adds, and a change of L2 norm m costs at most m times mu (lemma 1)."""
    return math.sqrt(math.fsum(e.count * (e.l2_sensitivity * gaussian_mu(e.sigma)) ** 2 for e in events))


def changed_cells(events: Sequence[GaussianEvent]) -> float:
    """Largest number of cells in which the released vectors of two neighbours differ (integers: at most m^2 per vector)."""
    return math.fsum(e.count * e.l2_sensitivity**2 for e in events)


def log_tails(events: Sequence[GaussianEvent]) -> float:
    """Logarithm of the probability, at most, that a draw lies where lemma 2 does not look; minus infinity without events."""
    distances = [max(0.0, TAIL_SIGMAS - e.l2_sensitivity / e.sigma) for e in events]
    logs = [math.log(2 * e.count * e.l2_sensitivity**2) - d * d / 2 for e, d in zip(events, distances, strict=True)]
    return float(np.logaddexp.reduce(logs)) if logs else -math.inf


def selection_mu(epsilon: float) -> float:
    """The mu such that every mechanism of this bounded range is mu-GDP (lemma 5): 2 Phi^-1(1 / (1 + e^(-epsilon/2)))."""
    from scipy.special import ndtri

    return 2 * float(ndtri(1 / (1 + math.exp(-epsilon / 2)))) * (1 + 1e-12)


def gdp_delta(mu: float, epsilon: np.ndarray | float) -> Any:
    """Delta of mu-GDP at epsilon: Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu) (Dong, Roth, Su 2019, corollary 2.13).

    Args:
        mu: > 0.
        epsilon: Any sign, shape arbitrary.
    """
    from scipy.special import log_ndtr

    first, second = log_ndtr(mu / 2 - epsilon / mu), epsilon + log_ndtr(-mu / 2 - epsilon / mu)
    return np.exp(first) * -np.expm1(np.minimum(second - first, 0.0))


def selection_delta(width: float, epsilon: np.ndarray) -> np.ndarray:
    """Delta at epsilon of the worst mechanism of bounded range `width` (lemma 4): (1 - e^((eps - width)/2))^2 / (1 - e^-width)."""
    inside: np.ndarray = np.expm1((np.minimum(epsilon, width) - width) / 2) ** 2 / -math.expm1(-width)
    return np.where(epsilon < -width, -np.expm1(np.minimum(epsilon, 0.0)), inside)


def selection_losses(events: Sequence[ExponentialEvent]) -> tuple[np.ndarray, np.ndarray]:
    """Privacy loss distribution of all selections together, rounded upwards.

    Each event becomes a distribution on a grid of multiples of h whose curve of delta lies on or above its own (connect the dots:
    Doroshenko et al. 2022, algorithm 1), and the grids are convolved.

    Returns:
        Losses and their probabilities, both shape (k,).
    """
    least, span = min(e.epsilon for e in events), math.fsum(2 * e.count * e.epsilon for e in events)
    h = max(min(max(span / LOSS_CELLS, least / 512), least / 32), span / 2**20)
    parts = [(_one_selection(e.epsilon, h), e.count) for e in events]
    length = sum((len(p) - 1) * count for p, count in parts) + 1
    size = 1 << (length - 1).bit_length()
    transform = np.ones(size // 2 + 1, dtype=np.complex128)
    for mass, count in parts:
        transform *= np.fft.rfft(mass, size) ** count
    mass = np.fft.irfft(transform, size)[:length]
    lowest = -sum((len(p) - 1) // 2 * count for p, count in parts)
    return (lowest + np.arange(length)) * h, np.maximum(mass, 0.0)


def _one_selection(width: float, h: float) -> np.ndarray:
    """Masses on the multiples of h from below -width to above width of a distribution whose curve is nowhere below the worst one."""
    steps = math.ceil(width / h)
    fall = -np.diff(selection_delta(width, np.arange(-steps, steps + 1) * h))
    up = fall / -math.expm1(-h)
    down = fall / math.expm1(h)
    masses: np.ndarray = np.append(math.exp(-steps * h), up) - np.append(down, 0.0)
    return masses


def epsilon_at(delta: float, delta_of: Callable[[float], float]) -> float:
    """The smallest epsilon >= 0, rounded up, with delta_of(epsilon) <= delta; infinity where MAX_EPSILON is not enough."""
    if delta_of(0.0) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while delta_of(high) > delta:
        low, high = high, 2 * high
        if high > MAX_EPSILON:
            return math.inf
    while high - low > 1e-7 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle) > delta else (low, middle)
    return high


def tight_epsilon(gaussians: Sequence[GaussianEvent], selections: Sequence[ExponentialEvent], delta: float) -> float:
    """Epsilon of Gaussians and selections under adaptive composition: E_l[delta_gdp(eps - l)] over the losses l of the selections.

    Raises:
        UnexpectedError: the masses of the loss distribution do not add to 1 (a fault of the numerics, never clamped).
    """
    mu = total_mu(gaussians)
    losses, mass = selection_losses(selections) if selections else (np.zeros(1), np.ones(1))
    if abs(math.fsum(mass) - 1) > 1e-9:
        raise UnexpectedError("the privacy loss distribution of the selections does not add to 1.")

    def delta_of(epsilon: float) -> float:
        gap = epsilon - losses
        return float((gdp_delta(mu, gap) if mu > 0 else -np.expm1(np.minimum(gap, 0.0))) @ mass)

    room = delta * (1 - DELTA_RESERVE) - (NUMERIC_DELTA if selections else 0.0)
    epsilon = epsilon_at(room, delta_of) if room > 0 else math.inf
    return with_tails(epsilon, gaussians, delta)


def filter_epsilon(
    gaussians: Sequence[GaussianEvent], selections: Sequence[ExponentialEvent], others: Sequence[float], delta: float
) -> float:
    """Epsilon where the noise of later events was chosen after seeing earlier results: everything as one mu-GDP mechanism.

    mu^2 adds even then (Smith, Thakurta 2022), which is not known of general loss distributions.

    Args:
        gaussians: Of all runs.
        selections: Of all runs.
        others: The mu of whatever else ran, one for each run.
        delta: In (0, 1).
    """
    mu = math.hypot(total_mu(gaussians), *(math.sqrt(e.count) * selection_mu(e.epsilon) for e in selections), *others)
    if mu in {0.0, math.inf}:
        return mu
    epsilon = epsilon_at(delta * (1 - DELTA_RESERVE), lambda e: float(gdp_delta(mu, e)))
    return with_tails(epsilon, gaussians, delta)


def with_tails(epsilon: float, gaussians: Sequence[GaussianEvent], delta: float) -> float:
    """Add what lemmas 2 and 3 leave out; infinity where it does not fit into the reserve of delta."""
    if epsilon == math.inf:
        return epsilon
    fits = log_tails(gaussians) + np.logaddexp(0.0, epsilon) <= math.log(delta * DELTA_RESERVE / 2)
    return epsilon + changed_cells(gaussians) * LARGE_SLACK if fits else math.inf


def zcdp_epsilon(rho: float, delta: float) -> float:
    """Epsilon of rho-zCDP at delta by the conversion of Canonne, Kamath, Steinke (2020, corollary 13).

    Every order alpha > 1 gives a valid bound, delta = exp((alpha - 1)(alpha rho - eps)) / (alpha - 1) * (1 - 1/alpha)^alpha; the best
    of a fine grid of orders is taken.
    """
    if rho == 0:
        return 0.0
    alpha = 1 + np.exp(np.linspace(math.log(1e-4), math.log(1e7), 20_000))
    bound = alpha * rho + (-math.log(delta) - np.log(alpha - 1) + alpha * np.log1p(-1 / alpha)) / (alpha - 1)
    return max(0.0, float(bound.min()))
