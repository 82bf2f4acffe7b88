"""The second accountant: checks a claim with code that accounting.py and bounds.py do not use.

What belongs here: bounds by Google's Rényi accountant, by the closed Gaussian curve and, for steps of DP-SGD, by Opacus' PRV
accountant; the verdict. What does not: anything imported from the primary accountant.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from statistics import NormalDist

from synth_assets.errors import CheckFailedError
from synth_assets.privacy.records import (
    CrossCheck,
    Event,
    ExponentialEvent,
    GaussianEvent,
    SampledGaussianEvent,
    Spent,
    ThresholdEvent,
)

ORDERS = tuple(1 + math.exp(step / 20) for step in range(-120, 241))  # alpha - 1 from 0.0025 to 163,000
TOLERANCE = 1e-6
AGREEMENT = 0.01  # how far apart two numerical accountants of DP-SGD may be
PRV_ERROR = 0.003  # error, relative to the claim, that is asked of Opacus' accountant


def verify(events: Iterable[Event], claimed: Spent) -> CrossCheck:
    """Check a claimed cost against the second accountant.

    Args:
        events: What ran.
        claimed: What the primary accountant says it cost.

    Returns:
        Both numbers, for the privacy report.

    Raises:
        CheckFailedError: the second accountant's upper bound lies below the claim, the claim lies below its lower bound, or its delta
            does not cover the thresholds.
    """
    events = tuple(events)
    thresholds = math.fsum(e.count * e.delta for e in events if isinstance(e, ThresholdEvent))
    if thresholds >= claimed.delta:
        raise CheckFailedError(
            f"the thresholds use a delta of {thresholds:.3g}, the claim has {claimed.delta:.3g}.", key="delta"
        )
    if any(isinstance(e, SampledGaussianEvent) for e in events):
        return _verify_sampled(events, claimed, claimed.delta - thresholds)
    upper = rdp_epsilon(events, claimed.delta - thresholds)
    if upper < claimed.epsilon * (1 - TOLERANCE):
        raise CheckFailedError(
            f"the simple bound {upper:.6g} is below the claimed epsilon {claimed.epsilon:.6g}: the claim is not of these events.",
            key="epsilon",
        )
    lower = gaussian_epsilon([e for e in events if isinstance(e, GaussianEvent)], claimed.delta)
    if claimed.epsilon < lower * (1 - TOLERANCE):
        raise CheckFailedError(
            f"the claimed epsilon {claimed.epsilon:.6g} is below {lower:.6g}, which the Gaussian noise alone costs.",
            key="epsilon",
        )
    return CrossCheck(
        accountant="dp_accounting.rdp",
        epsilon_upper=upper,
        epsilon_lower=lower,
        epsilon_claimed=claimed.epsilon,
        delta=claimed.delta,
    )


def _verify_sampled(events: Sequence[Event], claimed: Spent, room: float) -> CrossCheck:
    """Check a claim with steps of DP-SGD: it lies between Opacus' PRV bounds, up to AGREEMENT, and not above Google's Rényi bound.

    Selections are no PRV of Opacus: for the upper bound they count as the Gaussians that dominate them, for the lower one not at all.
    """
    steps = [e for e in events if isinstance(e, SampledGaussianEvent)]
    gaussians = [e for e in events if isinstance(e, GaussianEvent)]
    selections = [e for e in events if isinstance(e, ExponentialEvent)]
    low = math.sqrt(_precision(gaussians))
    high = math.hypot(
        *(math.sqrt(e.count) * e.l2_sensitivity * _discrete_mu(e.sigma) for e in gaussians),
        *(math.sqrt(e.count) * _selection_mu(e.epsilon) for e in selections),
    )
    error = max(PRV_ERROR * claimed.epsilon, 1e-4)
    below = prv_epsilon(steps, low, claimed.delta, error) - error
    above = prv_epsilon(steps, high, room, error) + error if high > low or room < claimed.delta else below + 2 * error
    if claimed.accountant != "pld":  # the simple bound was claimed: it is Google's that must not be below
        above = rdp_epsilon(events, room)
    above *= 1 + AGREEMENT
    if claimed.epsilon < below * (1 - TOLERANCE):
        raise CheckFailedError(
            f"the claimed epsilon {claimed.epsilon:.6g} is below {below:.6g}, which the noise alone costs by Opacus' accountant.",
            key="epsilon",
        )
    if claimed.epsilon > above:
        raise CheckFailedError(
            f"the bound {above:.6g} of Opacus' accountant is below the claimed epsilon {claimed.epsilon:.6g}: "
            "the claim is not of these events.",
            key="epsilon",
        )
    return CrossCheck(
        accountant="opacus.prv",
        epsilon_upper=above,
        epsilon_lower=max(0.0, below),
        epsilon_claimed=claimed.epsilon,
        delta=claimed.delta,
    )


def prv_epsilon(steps: Sequence[SampledGaussianEvent], mu: float, delta: float, error: float) -> float:
    """Epsilon by Opacus' PRV accountant (Gopi, Lee, Wutschitz 2021) of steps of DP-SGD and one Gaussian mechanism, within +- error.

    Args:
        steps: At least one.
        mu: Of the Gaussian mechanism; 0 for none.
        delta: In (0, 1).
        error: Of epsilon, > 0.
    """
    with warnings.catch_warnings():  # a sampling rate of 1 meets log(0), and loading Opacus meets deprecations of torch
        warnings.simplefilter("ignore")
        from opacus.accountants import PRVAccountant

        accountant = PRVAccountant()
        accountant.history = [(e.noise_multiplier, e.sampling_rate, e.count) for e in steps]
        if mu > 0:
            accountant.history.append((1 / mu, 1.0, 1))
        upper = float(accountant.get_epsilon(delta, eps_error=error, delta_error=delta / 1000))
    return max(0.0, upper - error)


def _discrete_mu(sigma: float) -> float:
    """The mu of a discrete Gaussian shifted by 1, from its mass p at 0: 2 Phi^-1((1 + p) / 2) (lemma 2)."""
    if sigma > 1000:
        return 1 / math.sqrt(sigma * sigma - 2)
    mass = 1 / math.fsum(
        math.exp(-(k * k) / (2 * sigma * sigma)) for k in range(-math.ceil(40 * sigma), math.ceil(40 * sigma) + 1)
    )
    return 2 * NormalDist().inv_cdf((1 + mass) / 2)


def _selection_mu(epsilon: float) -> float:
    return 2 * NormalDist().inv_cdf(1 / (1 + math.exp(-epsilon / 2)))


def rdp_epsilon(events: Sequence[Event], delta: float) -> float:
    """Epsilon by Google's Rényi accountant: every Gaussian and every selection as a zCDP event, DP-SGD as Poisson-sampled Gaussians."""
    from dp_accounting import DpEvent, GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent, ZCDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(orders=ORDERS)
    empty = True
    for event in events:
        one: DpEvent
        if isinstance(event, GaussianEvent):  # Bun, Steinke 2016, proposition 1.6; CKS 2020, theorem 4
            one = ZCDpEvent(rho=(event.l2_sensitivity / event.sigma) ** 2 / 2)
        elif isinstance(event, ExponentialEvent):  # Cesar, Rogers 2021 (bounded range epsilon)
            one = ZCDpEvent(rho=event.epsilon**2 / 8)
        elif isinstance(event, SampledGaussianEvent):
            one = PoissonSampledDpEvent(event.sampling_rate, GaussianDpEvent(event.noise_multiplier))
        else:
            continue
        accountant.compose(SelfComposedDpEvent(one, event.count))
        empty = False
    return 0.0 if empty else float(accountant.get_epsilon(delta))


def gaussian_epsilon(events: Sequence[GaussianEvent], delta: float) -> float:
    """Exact epsilon of continuous Gaussians with these scales (Balle, Wang 2018, theorem 8), without those below 1; rounded down.

    No valid bound of ours lies below it: mu of a discrete Gaussian is above 1 / sigma, and zCDP holds for the continuous one as well.
    """
    precision = _precision(events)
    if precision == 0:
        return 0.0
    mu = math.sqrt(precision)
    low, high = 0.0, mu * mu / 2 + mu * math.sqrt(2 * math.log(1 / delta))
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _gaussian_delta(mu, middle) > delta else (low, middle)
    return low


def _precision(events: Sequence[GaussianEvent]) -> float:
    """The mu^2 of continuous Gaussians with these scales, without those below 1."""
    return math.fsum(e.count * (e.l2_sensitivity / e.sigma) ** 2 for e in events if e.sigma >= 1)


def _gaussian_delta(mu: float, epsilon: float) -> float:
    def upper_tail(x: float) -> float:
        return math.erfc(x / math.sqrt(2)) / 2

    return upper_tail(epsilon / mu - mu / 2) - math.exp(min(epsilon, 700.0)) * upper_tail(epsilon / mu + mu / 2)
