"""What recorded mechanism events cost together: the primary bound and the simple one.

What belongs here: costs of events. What does not: data, noise, the ledger, and the mathematics of the bounds (bounds.py). Epsilon is
computed from events that ran, never from a configuration; a number that cannot hold raises, nothing is clamped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from synth_assets.errors import InputError
from synth_assets.privacy import bounds
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, Spent, ThresholdEvent

ROUNDING = 1e-9

__all__ = [
    "Event",
    "ExponentialEvent",
    "GaussianEvent",
    "Spent",
    "ThresholdEvent",
    "adaptive_epsilon",
    "compose",
    "covers",
    "epsilon_spent",
    "spent",
    "zcdp_rho",
]


def compose(events: Iterable[Event]) -> tuple[Event, ...]:
    """The canonical form that is accounted and stored: equal mechanisms joined (counts added), in a fixed order."""
    counts: dict[tuple[str, float, float], int] = {}
    for event in events:
        if isinstance(event, GaussianEvent):
            key = ("gaussian", event.sigma, event.l2_sensitivity)
        elif isinstance(event, ExponentialEvent):
            key = ("exponential", event.epsilon, 0.0)
        else:
            key = ("threshold", event.delta, 0.0)
        counts[key] = counts.get(key, 0) + event.count
    return tuple(_event(*key, count) for key, count in sorted(counts.items()))


def _event(kind: str, first: float, second: float, count: int) -> Event:
    if kind == "gaussian":
        return GaussianEvent(sigma=first, l2_sensitivity=second, count=count)
    if kind == "exponential":
        return ExponentialEvent(epsilon=first, count=count)
    return ThresholdEvent(delta=first, count=count)


def zcdp_rho(events: Iterable[Event]) -> float:
    """Sum of the zCDP costs: sensitivity^2 / (2 sigma^2) per Gaussian, epsilon^2 / 8 per selection; thresholds cost delta only."""
    costs = []
    for event in events:
        if isinstance(event, GaussianEvent):
            costs.append(event.count * event.l2_sensitivity**2 / (2 * event.sigma**2))
        elif isinstance(event, ExponentialEvent):
            costs.append(event.count * event.epsilon**2 / 8)
    return math.fsum(costs)


def epsilon_spent(events: Iterable[Event], delta: float) -> float:
    """Epsilon of all events together at `delta`: the `epsilon` of `spent`."""
    return spent(events, delta).epsilon


def spent(events: Iterable[Event], delta: float) -> Spent:
    """What events cost together at `delta`, under adaptive composition.

    Args:
        events: In any order; none costs 0.
        delta: In (0, 1); the deltas of thresholds are taken off it first.

    Returns:
        The smaller of two valid bounds, and the simple one beside it.

    Raises:
        InputError: delta is not in (0, 1), or the thresholds alone use it up.

    Source:
        docs/mechanisms/accounting.md.
    """
    return _spent(compose(events), float(delta))


def adaptive_epsilon(events: Iterable[Event], delta: float) -> float:
    """Epsilon of events whose noise may have been chosen after seeing the results of earlier ones, as runs of one ledger are.

    The bound of a privacy filter, a little above `epsilon_spent`, which needs the noise of all events to be fixed beforehand.

    Args:
        events: In any order; none costs 0.
        delta: In (0, 1); the deltas of thresholds are taken off it first.

    Raises:
        InputError: delta is not in (0, 1), or the thresholds alone use it up.

    Source:
        Smith, Thakurta, "Fully Adaptive Composition for Gaussian Differential Privacy", 2022 (arXiv 2210.17520).
    """
    gaussians, selections, room = _parts(compose(events), delta)
    return max(bounds.filter_epsilon(gaussians, selections, room), epsilon_spent(events, delta))


def _parts(
    events: tuple[Event, ...], delta: float
) -> tuple[tuple[GaussianEvent, ...], tuple[ExponentialEvent, ...], float]:
    """Gaussians, selections, and what the thresholds leave of delta."""
    if not 0 < delta < 1:
        raise InputError(f"delta must lie between 0 and 1, it is {delta!r}.", key="delta")
    used = math.fsum(e.count * e.delta for e in events if isinstance(e, ThresholdEvent))
    if used >= delta:
        raise InputError(
            f"the thresholds need a delta of {used:.3g}, which is not below the delta {delta:.3g} of the whole.",
            key="delta",
            remedy="Raise delta, or give the thresholds less of it.",
        )
    gaussians = tuple(e for e in events if isinstance(e, GaussianEvent))
    return gaussians, tuple(e for e in events if isinstance(e, ExponentialEvent)), delta - used


@lru_cache(maxsize=4096)
def _spent(events: tuple[Event, ...], delta: float) -> Spent:
    gaussians, selections, room = _parts(events, delta)
    rho = zcdp_rho(events)
    simple = bounds.zcdp_epsilon(rho, room)
    tight = bounds.tight_epsilon(gaussians, selections, room) if gaussians or selections else 0.0
    return Spent(
        epsilon=min(tight, simple),
        delta=delta,
        accountant="none" if not rho else "pld" if tight <= simple else "zcdp",
        epsilon_simple=simple,
        rho_zcdp=rho,
        delta_thresholds=math.fsum(e.count * e.delta for e in events if isinstance(e, ThresholdEvent)),
    )


def covers(planned: Sequence[Event], actual: Sequence[Event], delta: float) -> bool:
    """Whether what ran costs no more than what was planned.

    True where each event that ran was planned with as little noise, as much sensitivity and as many calls; else where both the epsilon
    at `delta` and the rho of what ran are at most those of the plan.
    """
    left = [[e, e.count] for e in planned]
    if all(_take(left, event) for event in actual):
        return True
    cheaper = epsilon_spent(actual, delta) <= epsilon_spent(planned, delta) * (1 + ROUNDING)
    return cheaper and zcdp_rho(actual) <= zcdp_rho(planned) * (1 + ROUNDING)


def _take(left: list[list[Any]], event: Event) -> bool:
    """Take one event out of what is left of the plan."""
    need = event.count
    for entry in left:
        taken = min(need, entry[1]) if _no_stronger(event, entry[0]) else 0
        entry[1] -= taken
        need -= taken
    return need == 0


def _no_stronger(event: Event, planned: Event) -> bool:
    if isinstance(event, GaussianEvent) and isinstance(planned, GaussianEvent):
        return event.sigma >= planned.sigma and event.l2_sensitivity <= planned.l2_sensitivity
    if isinstance(event, ExponentialEvent) and isinstance(planned, ExponentialEvent):
        return event.epsilon <= planned.epsilon
    return event.kind == planned.kind == "threshold" and event.delta <= planned.delta
