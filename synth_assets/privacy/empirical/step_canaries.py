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
from synth_assets.privacy.empirical.step_power import assumed_noise, least_step_fault, step_ratio
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

    Beside the canaries there are as many blanks, weights that nothing is ever in: what the first step shows there is the noise that the
    scores assume.

    Args:
        plan: The steps, as the accountant was told.
        canaries: How many.

    Attributes:
        included: The coins, bool, shape (canaries,).
        weights: Weights that are observed: one for each canary, then one for each blank.
    """

    def __init__(self, plan: SampledGaussianEvent, canaries: int = CANARIES) -> None:
        self.plan, self.included, self.weights = plan, flip_coins(canaries), 2 * canaries
        self._scores: GradientScores | None = None

    def observe(self, projections: np.ndarray) -> None:
        """Take one step.

        Args:
            projections: The noisy sum of this step in every weight, in units of the clipping norm, shape (weights,).
        """
        count = len(self.included)
        if self._scores is None:
            noise = assumed_noise(projections[count:], self.plan.noise_multiplier)
            self._scores = GradientScores(canaries=count, sampling_rate=self.plan.sampling_rate, noise_multiplier=noise)
        self._scores.observe(projections[:count])

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

        Raises:
            InputError: nothing was observed.
        """
        if self._scores is None:
            raise InputError("a run without a step has no verdict.")
        scores, count = self._scores.values, len(self.included)
        judged = judge_canaries(
            self.included, scores, epsilon=epsilon, delta=delta, scored_on="noisy gradients", alpha=alpha / 2
        )
        right = int(((scores > 0) == self.included).sum())
        claimed, lower = mu_of_accuracy((1 + delta_at_zero) / 2), mu_lower(right, count, alpha / 2)
        return judged.model_copy(
            update={
                "confidence": 1 - alpha,
                "mu_claimed": claimed,
                "mu_lower": lower,
                "least_fault": least_step_fault(self.plan, mu_claimed=claimed, trials=count, alpha=alpha / 2),
                "passed": judged.passed and lower <= claimed,
            }
        )
