"""One training run with many canaries (Steinke, Nasr, Jagielski 2023): coins, and the verdict.

What belongs here: what every method shares. A method makes its canaries, puts in those whose coin says so, and scores each from what
its run shows: synthesis/canaries.py for noisy tables, step_canaries.py for steps of DP-SGD. What does not: any method, and data.
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
