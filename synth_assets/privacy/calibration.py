"""How much noise a target needs: the largest scale of a plan whose epsilon stays at or below the target.

What belongs here: inversions of accounting.py. What does not: what a plan measures, and how it splits its budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from synth_assets.errors import InputError, UnexpectedError
from synth_assets.privacy import bounds
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.records import Event

TOLERANCE = 2e-5
MAX_DOUBLINGS = 60


def calibrate(plan: Callable[[float], Sequence[Event]], *, epsilon: float, delta: float) -> float:
    """The largest scale of a plan that a target allows, to a relative 2e-5, never above.

    Args:
        plan: Gives the events for a scale; a larger scale must cost more. A natural scale is the total rho: a plan that gives a share s
            of it to k tables has sigma = sqrt(k / (2 s rho)).
        epsilon: Target, > 0.
        delta: In (0, 1).

    Returns:
        A scale with epsilon_spent(plan(scale), delta) <= epsilon.

    Raises:
        InputError: epsilon or delta is out of range, or no scale meets the target (thresholds that use delta up).
    """
    _check(epsilon, delta)

    def fits(scale: float) -> bool:
        return epsilon_spent(plan(scale), delta) <= epsilon

    low = high = gaussian_rho(epsilon, delta)
    for _ in range(MAX_DOUBLINGS):
        if fits(low):
            break
        low, high = low / 2, low
    else:
        raise InputError(f"no scale of this plan costs an epsilon of {epsilon:g} or less.", key="epsilon")
    if low == high:
        for _ in range(MAX_DOUBLINGS):
            high *= 2
            if not fits(high):
                break
            low = high
        else:
            raise InputError("the cost of this plan does not grow with its scale.")
    while high > low * (1 + TOLERANCE):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    if not fits(low):
        raise UnexpectedError("the calibrated plan costs more than its target.")
    return low


def total_rho(epsilon: float, delta: float) -> float:
    """The rho whose plain zCDP bound is epsilon at delta (.0306 for 1 and 1e-5); never above.

    Raises:
        InputError: epsilon or delta is out of range.
    """
    _check(epsilon, delta)
    return _largest(lambda rho: bounds.zcdp_epsilon(rho, delta) <= epsilon)


def gaussian_rho(epsilon: float, delta: float) -> float:
    """The rho = mu^2 / 2 that Gaussian noise alone may have by the exact curve (.0359 for 1 and 1e-5); never above.

    Raises:
        InputError: epsilon or delta is out of range.
    """
    _check(epsilon, delta)
    return _largest(lambda rho: float(bounds.gdp_delta(math.sqrt(2 * rho), epsilon)) <= delta)


def _largest(fits: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _check(epsilon: float, delta: float) -> None:
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise InputError(f"epsilon must be greater than 0, it is {epsilon!r}.", key="epsilon")
    if not 0 < delta < 1:
        raise InputError(f"delta must lie between 0 and 1, it is {delta!r}.", key="delta")
