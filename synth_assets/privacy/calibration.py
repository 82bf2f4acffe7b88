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
NOISE_RANGE = (0.3, 1e4)  # noise multipliers that are looked at
NOISE_SLACK = 0.997


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


def calibrate_noise(plan: Callable[[float], Sequence[Event]], *, epsilon: float, delta: float) -> float:
    """The smallest noise that a target allows, for plans whose cost is slow to compute (steps of DP-SGD); never above the target.

    Args:
        plan: Gives the events for a noise multiplier; more noise must cost less. Events that do not depend on it may stand beside.
        epsilon: Target, > 0.
        delta: In (0, 1).

    Returns:
        A noise multiplier with NOISE_SLACK * epsilon <= epsilon_spent(plan(noise), delta) <= epsilon.

    Raises:
        InputError: epsilon or delta is out of range, or no noise multiplier in NOISE_RANGE meets the target.
    """
    _check(epsilon, delta)

    def excess(noise: float) -> float:
        """Logarithm of cost / target."""
        return math.log(max(epsilon_spent(plan(noise), delta), 1e-12) / epsilon)

    low, high = NOISE_RANGE
    over, under = excess(low), excess(high)
    if under > 0:
        raise InputError(
            f"no noise makes these steps cost an epsilon of {epsilon:g} or less.",
            key="epsilon",
            remedy="Train fewer steps, or give what runs beside them less of the budget.",
        )
    if over <= 0:
        return low
    return _root(excess, (low, over), (high, under))


def _root(excess: Callable[[float], float], left: tuple[float, float], right: tuple[float, float]) -> float:
    """Bisection and regula falsi in turn on the logarithm of the noise, until the right end is within NOISE_SLACK of the target."""
    floor = math.log(NOISE_SLACK)
    for turn in range(200):
        if right[1] >= floor:
            return right[0]
        share = 0.5 if turn % 3 == 2 else min(0.98, max(0.02, left[1] / (left[1] - right[1]) + 0.01))
        noise = math.exp((1 - share) * math.log(left[0]) + share * math.log(right[0]))
        value = excess(noise)
        left, right = (left, (noise, value)) if value <= 0 else ((noise, value), right)
    raise UnexpectedError("the cost of this plan does not fall steadily with its noise.")


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
