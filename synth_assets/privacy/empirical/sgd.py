"""The white-box attack on DP-SGD: many repetitions of its noisy steps on worst-case neighbours, without a model.

What belongs here: the attack, for any code that draws the steps. What does not: that code, gradients, and the accountant, whose
claim is handed in as its delta at epsilon 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synth_assets.errors import InputError
from synth_assets.privacy.empirical.bounds import mu_lower, mu_of_accuracy
from synth_assets.privacy.empirical.records import NoiseAttack
from synth_assets.privacy.empirical.step_power import assumed_noise, least_step_fault, step_ratio
from synth_assets.privacy.records import SampledGaussianEvent

BLOCK = 1 << 14
Step = Callable[[np.ndarray], np.ndarray]


def attack_steps(
    step: Step,
    plan: SampledGaussianEvent,
    *,
    delta_at_zero: float,
    repetitions: int,
    alpha: float = 1e-3,
) -> NoiseAttack:
    """Guess from all noisy sums of a run whether one example was part of it.

    The example's clipped gradient is the clipping norm in a coordinate of its own. The guess is by the likelihood ratio for the noise
    that one step of runs without the example shows: the ratio for the claimed noise alone is blind where there is less.

    Args:
        step: Draws one step of independent runs: given for each run whether the example is part of the data (bool, shape (n,)), it
            samples as the loader does, and returns the noisy sum in its coordinate, in units of the clipping norm, shape (n,). This
            must be the code that trains.
        plan: The steps of a run, as the accountant was told.
        delta_at_zero: The accountant's delta at epsilon 0 for that: no test tells neighbours apart with more right guesses than
            (1 + delta) / 2, since P(S) <= Q(S) + delta for every set S of outputs.
        repetitions: Runs to attack, at least 1.
        alpha: Chance of a false alarm.

    Raises:
        InputError: no repetition, or a delta outside [0, 1].
    """
    if repetitions < 1 or not 0 <= delta_at_zero <= 1:
        raise InputError("an attack on steps needs repetitions, and the accountant's delta at epsilon 0.")
    coins = np.random.default_rng()  # as the noise, the attacker's coins come from the system
    noise = assumed_noise(step(np.zeros(BLOCK, dtype=bool)), plan.noise_multiplier)
    correct = 0
    for start in range(0, repetitions, BLOCK):
        present = coins.random(min(BLOCK, repetitions - start)) < 0.5
        ratios = np.zeros(len(present))
        for _ in range(plan.count):
            ratios += step_ratio(step(present), sampling_rate=plan.sampling_rate, noise_multiplier=noise)
        correct += int(((ratios > 0) == present).sum())
    claimed, lower = mu_of_accuracy((1 + delta_at_zero) / 2), mu_lower(correct, repetitions, alpha)
    return NoiseAttack(
        repetitions=repetitions,
        correct=correct,
        confidence=1 - alpha,
        mu_claimed=claimed,
        mu_lower=lower,
        mu_ceiling=mu_of_accuracy(alpha ** (1 / repetitions)),
        least_fault=least_step_fault(plan, mu_claimed=claimed, trials=repetitions, alpha=alpha),
        steps=(),
        passed=lower <= claimed,
    )
