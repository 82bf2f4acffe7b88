"""Confidence intervals: numbers in, numbers out. Nothing here knows what a rate is a rate of.

All intervals are two-sided. A rate over no trials has no information: its interval is (0, 1).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from synth_assets.errors import InputError

COINCIDENCE = 0.001

Pair = tuple[float, float]


def _check(successes: float, trials: float) -> None:
    if trials < 0 or not 0 <= successes <= trials:
        raise InputError(f"{successes} successes of {trials} trials are no rate.")


def wilson(successes: float, trials: float, confidence: float = 0.95) -> Pair:
    """Score interval of a proportion.

    Args:
        successes: In [0, trials]; need not be whole.
        trials: At least 0.
        confidence: Coverage in (0, 1).

    Returns:
        (low, high) in [0, 1]; (0, 1) for no trials.

    Raises:
        InputError: more successes than trials, or negative counts.

    Source:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.
    """
    _check(successes, trials)
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else float(max(centre - half, 0.0))
    high = 1.0 if successes == trials else float(min(centre + half, 1.0))
    return low, high


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Pair:
    """Exact interval of a proportion; covers at least `confidence`, for every true rate.

    Args:
        successes: Whole number in [0, trials].
        trials: At least 0.
        confidence: Coverage in (0, 1).

    Returns:
        (low, high) in [0, 1]; (0, 1) for no trials.

    Raises:
        InputError: more successes than trials, or negative counts.

    Source:
        Clopper, Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934), 404-413.
    """
    from scipy.stats import beta

    _check(successes, trials)
    if trials == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def mover(first: float, first_interval: Pair, second: float, second_interval: Pair) -> Pair:
    """Interval of a difference of two independent estimates, from an interval of each.

    Args:
        first: Estimate; the difference is first - second.
        first_interval: Its (low, high).
        second: Estimate.
        second_interval: Its (low, high).

    Returns:
        (low, high) of the difference.

    Source:
        Zou, Donner, "Construction of confidence limits about effect measures: a general approach",
        Statistics in Medicine 27 (2008), 1693-1702.
    """
    difference = first - second
    low = difference - float(np.hypot(first - first_interval[0], second_interval[1] - second))
    high = difference + float(np.hypot(first_interval[1] - first, second - second_interval[0]))
    return low, high


def newcombe(first: Pair, second: Pair, confidence: float = 0.95) -> Pair:
    """Interval of the difference of two independent proportions.

    Args:
        first: (successes, trials); the difference is first - second.
        second: (successes, trials).
        confidence: Coverage in (0, 1).

    Returns:
        (low, high) in [-1, 1]; (-1, 1) where one side has no trials.

    Raises:
        InputError: more successes than trials, or negative counts.

    Source:
        Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17 (1998),
        873-890, method 10.
    """
    if first[1] == 0 or second[1] == 0:
        return -1.0, 1.0
    return mover(first[0] / first[1], wilson(*first, confidence), second[0] / second[1], wilson(*second, confidence))


def above_by_chance(first: Pair, second: Pair) -> float:
    """How likely the first of two rates would be as far above the second, were they equal (one-sided, exact).

    Args:
        first: (successes, trials), whole numbers.
        second: (successes, trials).

    Source:
        Fisher, "The logic of inductive inference", Journal of the Royal Statistical Society 98 (1935), 39-82.
    """
    from scipy.stats import hypergeom

    _check(*first)
    _check(*second)
    return float(hypergeom.sf(first[0] - 1, first[1] + second[1], first[0] + second[0], first[1]))


def shown_difference(first: Pair, second: Pair) -> float:
    """How far the first of two rates is shown to lie above the second: the lower bound of Newcombe's 95 % interval.

    An audit asks many such questions, so an answer above 0 also needs a chance below one in a thousand to arise between equal rates.

    Args:
        first: (successes, trials), whole numbers.
        second: (successes, trials).

    Returns:
        A fraction, at least 0; 0 where the difference could be coincidence.
    """
    if above_by_chance(first, second) >= COINCIDENCE:
        return 0.0
    return max(newcombe(first, second)[0], 0.0)


def mover_ratio(first: float, first_interval: Pair, second: float, second_interval: Pair) -> Pair:
    """Interval of a ratio of two independent estimates of rates, from an interval of each.

    Args:
        first: Estimate, at least 0; the ratio is first / second.
        first_interval: Its (low, high), low at least 0.
        second: Estimate, above 0.
        second_interval: Its (low, high), low at least 0.

    Returns:
        (low, high) of the ratio; high is infinite where the second may be 0.

    Source:
        Donner, Zou, "Closed-form confidence intervals for functions of the normal mean and standard deviation", Statistical Methods
        in Medical Research 21 (2012), 347-359 (MOVER-R).
    """
    product = first * second

    def other(mine: float, theirs: float) -> tuple[float, float]:
        part = mine * (2 * first - mine)
        return part, product + float(np.sqrt(max(product**2 - part * theirs * (2 * second - theirs), 0.0)))

    low_part, low_divisor = other(first_interval[0], second_interval[1])
    _, high_sum = other(first_interval[1], second_interval[0])
    high_divisor = second_interval[0] * (2 * second - second_interval[0])
    low = low_part / low_divisor if low_divisor > 0 else 0.0
    return max(low, 0.0), high_sum / high_divisor if high_divisor > 0 else float("inf")


def residual_risk(attack: Pair, control: Pair, confidence: float = 0.95) -> tuple[float, Pair] | None:
    """The share of what a control leaves to gain that an attack gains, (attack - control) / (1 - control), with its interval.

    Args:
        attack: (successes, trials) of the attack.
        control: The same of the control.
        confidence: Coverage in (0, 1).

    Returns:
        Risk and (low, high), in [-1, 1]; None where the control leaves nothing, or one side has no trials.

    Source:
        Giomi, Boenisch, Wehmeyer, Tasnadi, "A Unified Framework for Quantifying Privacy Risk in Synthetic Data", PoPETs 2023.
    """
    if attack[1] == 0 or control[1] == 0 or control[0] >= control[1]:
        return None
    failures = [(trials - successes, trials) for successes, trials in (attack, control)]
    (first, low_high), (second, other) = ((f / n, wilson(f, n, confidence)) for f, n in failures)
    low, high = mover_ratio(first, low_high, second, other)
    return max(1 - first / second, -1.0), (max(1 - high, -1.0), 1 - low)


def chi_square_effect(effect: float, degrees: int, trials: float, confidence: float = 0.95) -> Pair:
    """Interval of Cramer's V of a table with two rows, by inverting the noncentral chi-square distribution.

    Args:
        effect: V, in [0, 1].
        degrees: Degrees of freedom of the test.
        trials: Rows of the table.
        confidence: Coverage in (0, 1).

    Returns:
        (low, high) in [0, 1]; low is 0 where chance alone gives as much. (0, 1) without rows or degrees of freedom.

    Source:
        Smithson, "Confidence Intervals" (2003), chapter 4; Steiger, "Beyond the F test", Psychological Methods 9 (2004), 164-182.
    """
    from scipy.optimize import brentq
    from scipy.stats import ncx2

    if degrees < 1 or trials <= 0:
        return 0.0, 1.0
    statistic, tail = effect * effect * trials, (1 - confidence) / 2

    def bound(probability: float) -> float:
        def beyond(noncentrality: float) -> float:
            return float(ncx2.cdf(statistic, degrees, noncentrality)) - probability

        if beyond(0.0) <= 0:
            return 0.0
        top = statistic + degrees + 10 * (2 * degrees + 4 * statistic) ** 0.5 + 20
        return float(np.sqrt(brentq(beyond, 0.0, top, xtol=1e-6, rtol=1e-6) / trials))

    return min(bound(1 - tail), effect), max(min(bound(tail), 1.0), effect)
