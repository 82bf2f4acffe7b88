"""Upper bounds for Gaussian noise on random samples of units, as in DP-SGD: exact composition, Rényi DP, and a bound as GDP.

What belongs here: the mathematics of docs/mechanisms/accounting.md, lemmas 7 and 8. What does not: the grouping of events
(accounting.py), and the second accountant (crosscheck.py). Loss distributions and their composition are Google's dp_accounting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from synth_assets.privacy import bounds
from synth_assets.privacy.records import ExponentialEvent, GaussianEvent, SampledGaussianEvent

NUMERIC_DELTA = 1e-10  # allowance for rounding in the composition, which was below 1e-12 in all tests
CELLS_PER_DEVIATION = 16  # grid cells per standard deviation of one step's loss: epsilon at most 0.1 % too large
MAX_CELLS = 2**18
MAX_ORDER = 512


def tight_epsilon(
    sampled: Sequence[SampledGaussianEvent],
    gaussians: Sequence[GaussianEvent],
    selections: Sequence[ExponentialEvent],
    delta: float,
) -> float:
    """Epsilon of sampled Gaussians, Gaussians and selections under adaptive composition (lemma 7); infinity for a delta too small."""
    room = delta * (1 - bounds.DELTA_RESERVE) - NUMERIC_DELTA
    if room <= 0:
        return math.inf
    composed = _composed(tuple(sampled), bounds.total_mu(gaussians), tuple(selections))
    return bounds.with_tails(max(0.0, float(composed.get_epsilon_for_delta(room))), gaussians, delta)


def renyi_epsilon(sampled: Sequence[SampledGaussianEvent], rho: float, delta: float) -> float:
    """Epsilon by Rényi DP: the simple bound. Sampled Gaussians by their order, all other events as rho-zCDP.

    Order alpha (an integer) of one step costs log(sum_k C(alpha, k) (1 - q)^(alpha - k) q^k e^((k^2 - k) / (2 s^2))) / (alpha - 1)
    for the sampling rate q and noise multiplier s (Mironov, Talwar, Zhang 2019, section 3.3); the conversion is that of zCDP.
    """
    orders = np.arange(2, MAX_ORDER + 1)
    cost = orders * rho
    for event in sampled:
        cost = cost + event.count * _renyi(event.noise_multiplier, event.sampling_rate)
    bound = cost + (-math.log(delta) - np.log(orders - 1) + orders * np.log1p(-1 / orders)) / (orders - 1)
    return max(0.0, float(bound.min()))


def delta_at_zero(sampled: Sequence[SampledGaussianEvent]) -> float:
    """Delta at epsilon 0 of steps alone: no test has more than (1 + delta) / 2 right guesses which neighbour was used."""
    return min(1.0, float(_composed(tuple(sampled), 0.0, ()).get_delta_for_epsilon(0.0)) + NUMERIC_DELTA)


def gdp_mu(sampled: Sequence[SampledGaussianEvent], slack: float) -> float:
    """The mu such that all these steps together are mu-GDP but for an event of probability `slack` (lemma 8).

    Args:
        sampled: What one run does, fixed before it starts.
        slack: In (0, 1), above the rounding of the composition.

    Returns:
        Infinity where no mu is found, which is the case where the slack is too small.
    """
    return _gdp_mu(tuple(sampled), slack)


@lru_cache(maxsize=256)
def _gdp_mu(sampled: tuple[SampledGaussianEvent, ...], slack: float) -> float:
    composed = _composed(sampled, 0.0, ())
    room = slack - NUMERIC_DELTA
    if room <= 0:
        return math.inf
    reach = max(0.0, float(composed.get_epsilon_for_delta(room)))
    epsilon = np.linspace(0.0, reach, 4001)  # above `reach` the slack alone is enough
    # both curves fall: where that of the run lies below at the left end of a cell and the other's right end, it does so in between
    curve = np.asarray(composed.get_delta_for_epsilon(epsilon))[:-1] + NUMERIC_DELTA

    def above(mu: float) -> bool:
        return bool(np.all(curve <= slack + (1 - slack) * bounds.gdp_delta(mu, epsilon[1:])))

    high = 1e-3
    while not above(high):
        high *= 2
        if high > 1e3:
            return math.inf
    low = 0.0
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if above(middle) else (middle, high)
    return high


@lru_cache(maxsize=256)
def _composed(sampled: tuple[SampledGaussianEvent, ...], mu: float, selections: tuple[ExponentialEvent, ...]) -> Any:
    """Google's loss distribution of everything together, in both directions of the neighbour relation."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    step = _step(sampled, mu, selections)
    total = pld.identity(step)
    for event in sampled:
        one = pld.from_gaussian_mechanism(
            event.noise_multiplier, sampling_prob=event.sampling_rate, value_discretization_interval=step
        )
        total = total.compose(one.self_compose(event.count))
    if mu > 0:
        total = total.compose(pld.from_gaussian_mechanism(1 / mu, value_discretization_interval=step))
    for selection in selections:
        total = total.compose(_selection(selection.epsilon, step).self_compose(selection.count))
    return total


def _selection(width: float, step: float) -> Any:
    """The worst selection of lemma 4, on the grid, as dp_accounting's loss distribution; it is the same in both directions."""
    from dp_accounting.pld import pld_pmf
    from dp_accounting.pld import privacy_loss_distribution as pld

    cells = math.ceil(width / step)
    grid = np.arange(-cells, cells + 1)
    deltas = np.clip(bounds.selection_delta(width, grid * step), 0.0, 1.0)
    return pld.PrivacyLossDistribution(pld_pmf.create_pmf_pessimistic_connect_dots(step, grid, deltas))


def _step(sampled: Sequence[SampledGaussianEvent], mu: float, selections: Sequence[ExponentialEvent]) -> float:
    """Width of the grid of losses: fine against every part's deviation, and no wider grid than MAX_CELLS for one part."""
    deviations = [_deviation(e.noise_multiplier, e.sampling_rate) for e in sampled]
    deviations += [mu] * (mu > 0) + [e.epsilon / math.sqrt(3) for e in selections]
    reaches = [_reach(e.noise_multiplier, e.sampling_rate) for e in sampled]
    reaches += [_reach(1 / mu, 1.0)] if mu > 0 else []
    return max(min(deviations) / CELLS_PER_DEVIATION, max(reaches) / MAX_CELLS)


def _deviation(noise: float, rate: float) -> float:
    """About the standard deviation of one step's loss: rate * sqrt(e^(1/noise^2) - 1), at most 1 / noise."""
    return min(rate * math.sqrt(math.expm1(min(1 / noise**2, 50.0))), 1 / noise)


def _reach(noise: float, rate: float) -> float:
    """About the range of one step's loss but for a mass of e^-50."""
    widest = 10 / noise + 1 / (2 * noise**2)
    return 2 * (math.log1p(rate * math.expm1(widest)) if widest < 500 else widest)


@lru_cache(maxsize=1024)
def _renyi(noise: float, rate: float) -> np.ndarray:
    """Cost of one step at the orders 2 to MAX_ORDER."""
    from scipy.special import gammaln, logsumexp

    orders = np.arange(2, MAX_ORDER + 1)
    if rate == 1:
        whole: np.ndarray = orders / (2 * noise**2)
        return whole
    k = np.arange(MAX_ORDER + 1)
    a = orders[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        binomial = gammaln(a + 1) - gammaln(k + 1) - gammaln(np.maximum(a - k, 0) + 1)
    terms = binomial + (a - k) * math.log1p(-rate) + k * math.log(rate) + (k * k - k) / (2 * noise**2)
    costs: np.ndarray = logsumexp(np.where(k <= a, terms, -np.inf), axis=1) / (orders - 1)
    costs[costs < 0] = 0.0  # rounding of a cost that is nearly nothing
    return costs
