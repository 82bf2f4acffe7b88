"""Canaries in the steps of DP-SGD: what each shows along its own direction, and the verdict on one run.

What belongs here: scores and bounds. What does not: the steps, which put the canaries in (synthesis/dpsgd/steps.py). Derivation:
docs/mechanisms/empirical_audit.md.
"""

from __future__ import annotations

import numpy as np

from synth_assets.errors import InputError
from synth_assets.privacy.empirical.bounds import mu_lower, mu_of_accuracy
from synth_assets.privacy.empirical.canaries import flip_coins, judge_canaries
from synth_assets.privacy.empirical.records import CanaryAttack
from synth_assets.privacy.empirical.step_power import ASSUMED, least_step_fault, step_ratio
from synth_assets.privacy.records import SampledGaussianEvent

CANARIES = 1000
FALSE_ALARM = 1e-6  # an alarm throws away a training that was paid for, and there is no second try


class GradientScores:
    """Scores of canaries from the noisy gradient sums of DP-SGD with Poisson sampling, step by step.

    A canary is an example whose clipped gradient has norm C in a direction that is its own (a "Dirac" canary: one coordinate that no
    other example has; Nasr et al. 2023). Its projection of one noisy sum is b s C + N(0, (z C)^2), where b says whether it is in the
    run and s whether it was sampled. The score is the log-likelihood ratio of b = 1 against b = 0 over all steps.

    Args:
        canaries: Number of canaries m.
        sampling_rate: q, as the accountant was told.
        noise_multiplier: z, as the accountant was told.

    Raises:
        InputError: q not in (0, 1], or z not positive.
    """

    def __init__(self, *, canaries: int, sampling_rate: float, noise_multiplier: float) -> None:
        if not (0 < sampling_rate <= 1 and noise_multiplier > 0 and canaries > 0):
            raise InputError(
                "scores of gradients need canaries, a sampling rate in (0, 1] and a positive noise multiplier."
            )
        self._rate, self._noise = sampling_rate, noise_multiplier
        self.values = np.zeros(canaries)
        self.steps = 0

    def observe(self, projections: np.ndarray) -> None:
        """Take one step.

        Args:
            projections: The noisy sum of this step along each canary's direction, in units of the clipping norm, shape (m,).
        """
        if projections.shape != self.values.shape:
            raise InputError("a step needs one projection per canary.")
        self.values += step_ratio(projections, sampling_rate=self._rate, noise_multiplier=self._noise)
        self.steps += 1


class StepCanaries:
    """The canaries of one run: fair coins say which are in, every step is observed, and the verdict compares with the claim.

    Args:
        plan: The steps, as the accountant was told.
        canaries: How many.

    Attributes:
        included: The coins, bool, shape (canaries,).
    """

    def __init__(self, plan: SampledGaussianEvent, canaries: int = CANARIES) -> None:
        self.plan, self.included = plan, flip_coins(canaries)
        self._scores = [
            GradientScores(
                canaries=canaries, sampling_rate=plan.sampling_rate, noise_multiplier=share * plan.noise_multiplier
            )
            for share in ASSUMED
        ]

    def observe(self, projections: np.ndarray) -> None:
        """Take one step; see `GradientScores`."""
        for scores in self._scores:
            scores.observe(projections)

    def verdict(
        self, *, epsilon: float, delta: float, delta_at_zero: float, alpha: float = FALSE_ALARM
    ) -> CanaryAttack:
        """Judge the run by two bounds, each with half of alpha; it passes where neither is above its claim.

        That of epsilon holds for every mechanism. That of mu takes the canaries for independent, which they are in a run that does what
        the accountant was told, so that a bound above the claim says that it does not; it sees smaller faults.

        Args:
            epsilon: The accountant's, for the steps alone.
            delta: Its delta.
            delta_at_zero: The accountant's delta at epsilon 0 for the steps alone.
            alpha: Chance, at most, that an honest run fails.
        """
        each = alpha / 2 / len(self._scores)
        judged = [
            judge_canaries(
                self.included, s.values, epsilon=epsilon, delta=delta, scored_on="noisy gradients", alpha=each
            )
            for s in self._scores
        ]
        strongest = max(judged, key=lambda a: a.epsilon_lower)
        count = len(self.included)
        right = max(int(((s.values > 0) == self.included).sum()) for s in self._scores)
        claimed, lower = mu_of_accuracy((1 + delta_at_zero) / 2), mu_lower(right, count, each)
        return strongest.model_copy(
            update={
                "confidence": 1 - alpha,
                "mu_claimed": claimed,
                "mu_lower": lower,
                "least_fault": least_step_fault(self.plan, mu_claimed=claimed, trials=count, alpha=each),
                "passed": strongest.passed and lower <= claimed,
            }
        )
