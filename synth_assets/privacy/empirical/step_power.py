"""What one noisy step says about an example, and how small a fault of the steps an attack on many of them can see.

What belongs here: the likelihood ratio, the noise that it assumes, and the power of the attacks that use it (sgd.py and
step_canaries.py), by a simulation of steps with less noise than the accountant was told. What does not: the attacks.
"""

from __future__ import annotations

import math

import numpy as np

from synth_assets.privacy.empirical.bounds import critical_correct, mu_of_accuracy, power
from synth_assets.privacy.records import SampledGaussianEvent

LEAST_SHARE = 1 / 64
POWER, WORST_FAULT, PRECISION = 0.95, 100.0, 1.01
RUNS, LEAST_RUNS, DRAWS = 20_000, 500, 2_000_000
BLOCK = 1 << 18


def step_ratio(projections: np.ndarray, *, sampling_rate: float, noise_multiplier: float) -> np.ndarray:
    """log((1 - q) + q exp((2 x - 1) / (2 z^2))): likelihood ratio of one step of the Poisson-subsampled Gaussian mechanism."""
    shifted = (2 * np.asarray(projections, dtype=np.float64) - 1) / (2 * noise_multiplier**2)
    if sampling_rate == 1:
        return np.asarray(shifted)
    return np.asarray(np.logaddexp(np.log1p(-sampling_rate), np.log(sampling_rate) + shifted))


def least_step_fault(plan: SampledGaussianEvent, *, mu_claimed: float, trials: int, alpha: float) -> float | None:
    """The smallest factor by which noise must be too small to be caught in 95 of 100 attacks, to about 5 %; None where 100 is not.

    Args:
        plan: The steps, as the accountant was told.
        mu_claimed: The claim of the attack.
        trials: Guesses that it makes.
        alpha: Chance of a false alarm.
    """
    critical = critical_correct(trials, mu_claimed, alpha)

    def caught(factor: float) -> bool:
        return power(trials, critical, mu_of_accuracy(right_guesses(plan, factor))) >= POWER

    if not caught(WORST_FAULT):
        return None
    low, high = 1.0, WORST_FAULT
    while high / low > PRECISION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if caught(middle) else (middle, high)
    return math.ceil(high * 100) / 100


def right_guesses(plan: SampledGaussianEvent, factor: float) -> float:
    """Share of right guesses in runs whose noise is smaller than planned by a factor, which the attack has measured. Repeatable."""
    rng = np.random.default_rng(20231)  # the same draws for every factor: the share then grows with it
    runs = max(LEAST_RUNS, min(RUNS, DRAWS // plan.count))
    present = np.arange(runs) % 2 == 0
    noise, ratios, left = plan.noise_multiplier / factor, np.zeros(runs), plan.count
    while left:
        some = min(left, max(1, BLOCK // runs))
        hit = (rng.random((some, runs)) < plan.sampling_rate) & present
        seen = hit + noise * rng.standard_normal((some, runs))
        ratios += step_ratio(seen, sampling_rate=plan.sampling_rate, noise_multiplier=noise).sum(0)
        left -= some
    return float(((ratios > 0) == present).mean())


def assumed_noise(blanks: np.ndarray, noise_multiplier: float) -> float:
    """The noise multiplier that a guess assumes: what places without any example show, at most what the accountant was told.

    A ratio for another noise than there is drifts by a little in every step, and after some hundred steps guesses the same for all.

    Args:
        blanks: Noisy sums in places where no example can be, in units of the clipping norm.
        noise_multiplier: As the accountant was told.
    """
    share = float(np.sqrt(np.mean(np.square(blanks)))) / noise_multiplier
    return noise_multiplier * min(1.0, max(LEAST_SHARE, share))
