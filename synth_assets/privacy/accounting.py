"""What recorded mechanism events cost together: the primary bound and the simple one.

What belongs here: costs of events. What does not: data, noise, the ledger, and the mathematics of the bounds (bounds.py). Epsilon is
computed from events that ran, never from a configuration; a number that cannot hold raises, nothing is clamped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from synth_assets.errors import InputError
from synth_assets.privacy import bounds, sampled
from synth_assets.privacy.records import (
    Event,
    ExponentialEvent,
    GaussianEvent,
    SampledGaussianEvent,
    Spent,
    ThresholdEvent,
)

ROUNDING = 1e-9
ASIDE = 0.2  # share of a budget's delta that is kept, over all its runs, for what costs delta alone
SLACK = 0.01  # share of a budget's delta that a run with steps of DP-SGD takes of it

__all__ = [
    "Event",
    "ExponentialEvent",
    "GaussianEvent",
    "SampledGaussianEvent",
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
    joined: dict[tuple[str, float, float], Event] = {}
    for event in events:
        key = (event.kind, *_scales(event))
        before = joined[key].count if key in joined else 0
        joined[key] = event.model_copy(update={"count": before + event.count})
    return tuple(joined[key] for key in sorted(joined))


def _scales(event: Event) -> tuple[float, float]:
    if isinstance(event, GaussianEvent):
        return event.sigma, event.l2_sensitivity
    if isinstance(event, SampledGaussianEvent):
        return event.noise_multiplier, event.sampling_rate
    return (event.epsilon if isinstance(event, ExponentialEvent) else event.delta), 0.0


def zcdp_rho(events: Iterable[Event]) -> float:
    """Sum of the zCDP costs: sensitivity^2 / (2 sigma^2) per Gaussian, epsilon^2 / 8 per selection; thresholds cost delta only.

    Steps of DP-SGD are left out: zCDP knows no gain by sampling. Their simple bound is Rényi DP (`spent`).
    """
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


def adaptive_epsilon(runs: Iterable[Iterable[Event]], delta: float) -> float:
    """Epsilon of several runs, where the noise of a run may have been chosen after seeing the results of earlier ones.

    The bound of a privacy filter, a little above `epsilon_spent`, which needs all noise to be fixed beforehand. What costs delta alone
    (thresholds, and a share for each run with steps of DP-SGD) is paid from a fixed share of delta.

    Args:
        runs: The events of each run, in any order; none costs 0. The noise of one run is fixed before it starts.
        delta: In (0, 1).

    Raises:
        InputError: delta is not in (0, 1), or what costs delta alone needs more of it than is set aside.

    Source:
        Smith, Thakurta, "Fully Adaptive Composition for Gaussian Differential Privacy", 2022 (arXiv 2210.17520);
        docs/mechanisms/accounting.md, "Runs that follow on each other".
    """
    events = [compose(run) for run in runs]
    together = _by_kind(compose(e for run in events for e in run))
    steps = [own for own in (_by_kind(run).steps for run in events) if own]
    _check_delta(delta)
    used = together.delta + SLACK * delta * len(steps)
    if used > ASIDE * delta * (1 + ROUNDING):
        raise InputError(
            f"thresholds and steps of DP-SGD need {used:.3g} of the delta {delta:.3g} of the budget, "
            f"{ASIDE * delta:.3g} is kept for them.",
            key="delta",
            remedy="Lower the delta of the synthesizer, or declare the categories that are public knowledge.",
        )
    others = [sampled.gdp_mu(own, SLACK * delta) for own in steps]
    return bounds.filter_epsilon(together.gaussians, together.selections, others, (1 - ASIDE) * delta)


class _ByKind(NamedTuple):
    gaussians: tuple[GaussianEvent, ...]
    selections: tuple[ExponentialEvent, ...]
    steps: tuple[SampledGaussianEvent, ...]
    delta: float


def _by_kind(events: Sequence[Event]) -> _ByKind:
    """Events by kind, and the delta that the thresholds among them use."""
    return _ByKind(
        gaussians=tuple(e for e in events if isinstance(e, GaussianEvent)),
        selections=tuple(e for e in events if isinstance(e, ExponentialEvent)),
        steps=tuple(e for e in events if isinstance(e, SampledGaussianEvent)),
        delta=math.fsum(e.count * e.delta for e in events if isinstance(e, ThresholdEvent)),
    )


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise InputError(f"delta must lie between 0 and 1, it is {delta!r}.", key="delta")


@lru_cache(maxsize=4096)
def _spent(events: tuple[Event, ...], delta: float) -> Spent:
    _check_delta(delta)
    parts = _by_kind(events)
    room = delta - parts.delta
    if room <= 0:
        raise InputError(
            f"the thresholds need a delta of {parts.delta:.3g}, which is not below the delta {delta:.3g} of the whole.",
            key="delta",
            remedy="Raise delta, or give the thresholds less of it.",
        )
    rho = zcdp_rho(events)
    if parts.steps:
        simple = sampled.renyi_epsilon(parts.steps, rho, room)
        tight = sampled.tight_epsilon(parts.steps, parts.gaussians, parts.selections, room)
    else:
        simple = bounds.zcdp_epsilon(rho, room)
        tight = bounds.tight_epsilon(parts.gaussians, parts.selections, room) if rho else 0.0
    return Spent(
        epsilon=min(tight, simple),
        delta=delta,
        accountant=_name(parts, tight, simple),
        epsilon_simple=simple,
        rho_zcdp=rho,
        delta_thresholds=parts.delta,
    )


def _name(parts: _ByKind, tight: float, simple: float) -> Literal["pld", "zcdp", "rdp", "none"]:
    if not (parts.gaussians or parts.selections or parts.steps):
        return "none"
    if tight <= simple:
        return "pld"
    return "rdp" if parts.steps else "zcdp"


def covers(planned: Sequence[Event], actual: Sequence[Event], delta: float) -> bool:
    """Whether what ran costs no more than what was planned.

    True where each event that ran was planned with as little noise, as much sensitivity and as many calls; else where both the epsilon
    at `delta` and the rho of what ran are at most those of the plan. Steps of DP-SGD have no rho: they must have been planned.
    """
    left = [[e, e.count] for e in planned]
    if all(_take(left, event) for event in actual):
        return True
    if any(isinstance(e, SampledGaussianEvent) for e in (*planned, *actual)):
        return False
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
    if isinstance(event, SampledGaussianEvent) and isinstance(planned, SampledGaussianEvent):
        return event.noise_multiplier >= planned.noise_multiplier and event.sampling_rate <= planned.sampling_rate
    return event.kind == planned.kind == "threshold" and event.delta <= planned.delta
