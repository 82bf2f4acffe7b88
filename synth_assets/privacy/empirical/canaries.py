"""One training run with many canaries (Steinke, Nasr, Jagielski 2023): coins, the verdict, and scores from the steps of DP-SGD.

What belongs here: what every method shares. A method makes its canaries, puts in those whose coin says so, and scores each from what
its run shows; synthesis/canaries.py does it for noisy tables. What does not: any method, and data.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from synth_assets.errors import InputError
from synth_assets.privacy.empirical.bounds import one_run_epsilon
from synth_assets.privacy.empirical.records import CanaryAttack

GUESSED = 0.5
ALPHA = 1e-3
ScoredOn = Literal["noisy tables", "noisy gradients", "sample"]


def flip_coins(canaries: int) -> np.ndarray:
    """Which canaries go in: independent fair coins from the operating system, bool, shape (canaries,)."""
    return np.random.default_rng().random(canaries) < 0.5


def judge_canaries(
    included: np.ndarray,
    scores: np.ndarray,
    *,
    epsilon: float,
    delta: float,
    scored_on: ScoredOn,
    alpha: float = ALPHA,
) -> CanaryAttack:
    """Guess "in" for the quarter with the highest scores and "out" for the quarter with the lowest, and count.

    How many guesses are made is fixed before the scores are seen.

    Args:
        included: The coins, bool, shape (m,), m >= 4.
        scores: Higher means "in", shape (m,), finite; from what the run shows, never from the coins.
        epsilon: The claim of the run.
        delta: Its delta.
        scored_on: What the scores were made from; scores of a sample never gate.
        alpha: Chance, at most, that an honest run fails.

    Raises:
        InputError: shapes that do not fit, fewer than 4 canaries, or a score that is not finite.
    """
    included, scores = np.asarray(included, dtype=bool), np.asarray(scores, dtype=np.float64)
    m = len(included)
    if included.ndim != 1 or included.shape != scores.shape or m < 4 or not np.isfinite(scores).all():
        raise InputError("an attack with canaries needs one coin and one finite score for each of at least 4 canaries.")
    each = max(1, int(m * GUESSED / 2))
    order = np.argsort(scores, kind="stable")
    correct = int(included[order[-each:]].sum() + (~included[order[:each]]).sum())
    lower = one_run_epsilon(m, 2 * each, correct, delta, alpha)
    gates = scored_on != "sample"
    return CanaryAttack(
        scored_on=scored_on,
        canaries=m,
        guesses=2 * each,
        correct=correct,
        confidence=1 - alpha,
        epsilon_claimed=epsilon,
        delta=delta,
        epsilon_lower=lower,
        epsilon_ceiling=one_run_epsilon(m, 2 * each, 2 * each, delta, alpha),
        gates=gates,
        passed=not gates or lower <= epsilon,
    )


class GradientScores:
    """Scores of canaries from the noisy gradient sums of DP-SGD with Poisson sampling, step by step.

    A canary is an example whose clipped gradient has norm C in a direction that is its own (a "Dirac" canary: one coordinate that no
    other example has; Nasr et al. 2023). Its projection of one noisy sum is b s C + N(0, (z C)^2), where b says whether it is in the
    run and s whether it was sampled. The score is the log-likelihood ratio of b = 1 against b = 0 over all steps.

    In the training loop, after noise has been added and before the optimiser averages:

        scores = GradientScores(canaries=m, sampling_rate=q, noise_multiplier=z)
        scores.observe(directions @ noisy_sum / C)     # directions: shape (m, d), rows of norm 1
        ...
        judge_canaries(included, scores.values, epsilon=..., delta=..., scored_on="noisy gradients")

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


def step_ratio(projections: np.ndarray, *, sampling_rate: float, noise_multiplier: float) -> np.ndarray:
    """log((1 - q) + q exp((2 x - 1) / (2 z^2))): likelihood ratio of one step of the Poisson-subsampled Gaussian mechanism."""
    shifted = (2 * np.asarray(projections, dtype=np.float64) - 1) / (2 * noise_multiplier**2)
    if sampling_rate == 1:
        return np.asarray(shifted)
    return np.asarray(np.logaddexp(np.log1p(-sampling_rate), np.log(sampling_rate) + shifted))
