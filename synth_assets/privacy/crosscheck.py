"""The second accountant: checks a claim with code that accounting.py and bounds.py do not use.

What belongs here: an upper bound by Google's Rényi accountant, a lower bound by the closed Gaussian curve, and the verdict. What does
not: anything imported from the primary accountant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from synth_assets.errors import CheckFailedError
from synth_assets.privacy.records import CrossCheck, Event, ExponentialEvent, GaussianEvent, Spent, ThresholdEvent

ORDERS = tuple(1 + math.exp(step / 20) for step in range(-120, 241))  # alpha - 1 from 0.0025 to 163,000
TOLERANCE = 1e-6


def verify(events: Iterable[Event], claimed: Spent) -> CrossCheck:
    """Check a claimed cost against the second accountant.

    Args:
        events: What ran.
        claimed: What the primary accountant says it cost.

    Returns:
        Both numbers, for the privacy report.

    Raises:
        CheckFailedError: the simple bound lies below the claim, the claim lies below what the Gaussians alone cost, or its delta does
            not cover the thresholds.
    """
    events = tuple(events)
    thresholds = math.fsum(e.count * e.delta for e in events if isinstance(e, ThresholdEvent))
    if thresholds >= claimed.delta:
        raise CheckFailedError(
            f"the thresholds use a delta of {thresholds:.3g}, the claim has {claimed.delta:.3g}.", key="delta"
        )
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


def rdp_epsilon(events: Sequence[Event], delta: float) -> float:
    """Epsilon by Google's Rényi accountant: every Gaussian and every selection as a zCDP event."""
    from dp_accounting import SelfComposedDpEvent, ZCDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(orders=ORDERS)
    empty = True
    for event in events:
        if isinstance(event, GaussianEvent):
            rho = (
                event.l2_sensitivity / event.sigma
            ) ** 2 / 2  # Bun, Steinke 2016, proposition 1.6; CKS 2020, theorem 4
        elif isinstance(event, ExponentialEvent):
            rho = event.epsilon**2 / 8  # Cesar, Rogers 2021 (bounded range epsilon)
        else:
            continue
        accountant.compose(SelfComposedDpEvent(ZCDpEvent(rho=rho), event.count))
        empty = False
    return 0.0 if empty else float(accountant.get_epsilon(delta))


def gaussian_epsilon(events: Sequence[GaussianEvent], delta: float) -> float:
    """Exact epsilon of continuous Gaussians with these scales (Balle, Wang 2018, theorem 8), without those below 1; rounded down.

    No valid bound of ours lies below it: mu of a discrete Gaussian is above 1 / sigma, and zCDP holds for the continuous one as well.
    """
    precision = math.fsum(e.count * (e.l2_sensitivity / e.sigma) ** 2 for e in events if e.sigma >= 1)
    if precision == 0:
        return 0.0
    mu = math.sqrt(precision)
    low, high = 0.0, mu * mu / 2 + mu * math.sqrt(2 * math.log(1 / delta))
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _gaussian_delta(mu, middle) > delta else (low, middle)
    return low


def _gaussian_delta(mu: float, epsilon: float) -> float:
    def upper_tail(x: float) -> float:
        return math.erfc(x / math.sqrt(2)) / 2

    return upper_tail(epsilon / mu - mu / 2) - math.exp(min(epsilon, 700.0)) * upper_tail(epsilon / mu + mu / 2)
