"""Statistics of the attacks: exact confidence bounds, and what they say about mu and epsilon.

What belongs here: one function per statement of docs/mechanisms/empirical_audit.md. What does not: any mechanism.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from synth_assets.errors import InputError
from synth_assets.privacy.bounds import epsilon_at, gaussian_mu, gdp_delta, selection_mu
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, ThresholdEvent

MOST_EPSILON = 200.0


def success_lower(correct: int, trials: int, alpha: float) -> float:
    """The largest p0 with P[Binomial(trials, p0) >= correct] <= alpha: a lower bound of the probability of success.

    It is above the true probability in at most a share alpha of all experiments, exactly, for every number of trials.

    Raises:
        InputError: not 0 <= correct <= trials, or alpha not in (0, 1).

    Source:
        Clopper, Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26, 1934:
        the quantile alpha of Beta(correct, trials - correct + 1).
    """
    from scipy.stats import beta

    if not (0 <= correct <= trials and trials > 0 and 0 < alpha < 1):
        raise InputError(
            "a confidence bound needs 0 <= correct <= trials, at least one trial and alpha between 0 and 1."
        )
    return float(beta.ppf(alpha, correct, trials - correct + 1)) if correct else 0.0


def mu_of_accuracy(accuracy: float) -> float:
    """The smallest mu at which a mu-GDP mechanism allows this share of right answers, one of two neighbours being drawn by a fair coin.

    mu-GDP: a test with false positives a has false negatives of at least G_mu(a) (Dong, Roth, Su 2019). The share of right answers
    1 - (a + G_mu(a)) / 2 is largest at a = Phi(-mu / 2), where it is Phi(mu / 2).
    """
    from scipy.special import ndtri

    return max(0.0, 2 * float(ndtri(accuracy)))


def mu_lower(correct: int, trials: int, alpha: float) -> float:
    """Lower bound of mu at confidence 1 - alpha from right answers among independent repetitions."""
    return mu_of_accuracy(success_lower(correct, trials, alpha))


def claimed_mu(events: Sequence[Event]) -> float:
    """The mu for which all events together are claimed to be mu-GDP: mu^2 adds (docs/mechanisms/accounting.md, lemmas 1, 2 and 5).

    Thresholds are left out: their cost is a delta, far below what repetitions can show.

    Raises:
        InputError: an event on random samples, whose attack and claim are those of sgd.py.
    """
    parts = []
    for event in events:
        if isinstance(event, GaussianEvent):
            parts.append(math.sqrt(event.count) * event.l2_sensitivity * gaussian_mu(event.sigma))
        elif isinstance(event, ExponentialEvent):
            parts.append(math.sqrt(event.count) * selection_mu(event.epsilon))
        elif not isinstance(event, ThresholdEvent):
            raise InputError("the attack on counts does not cover noise on random samples of rows.")
    return math.hypot(*parts)


def epsilon_of_mu(mu: float, delta: float) -> float:
    """Epsilon at delta of a mechanism whose trade-off curve is that of the shift mu."""
    return 0.0 if mu <= 0 else epsilon_at(delta, lambda e: float(gdp_delta(mu, e)))


def critical_correct(trials: int, mu: float, alpha: float) -> int:
    """The fewest right answers whose lower bound is above mu; trials + 1 where none is."""
    from scipy.special import ndtr
    from scipy.stats import binom

    least = int(binom.isf(alpha, trials, float(ndtr(mu / 2))))
    while least <= trials and mu_lower(least, trials, alpha) <= mu:
        least += 1
    while least > 0 and mu_lower(least - 1, trials, alpha) > mu:
        least -= 1
    return least


def power(trials: int, critical: int, mu: float) -> float:
    """The chance that a mechanism on which the attack has the strength of a shift mu gives at least `critical` right answers."""
    from scipy.special import ndtr
    from scipy.stats import binom

    return float(binom.sf(critical - 1, trials, float(ndtr(mu / 2))))


def one_run_p_value(canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """The chance, at most, that an (epsilon, delta)-DP run gives so many right guesses about independent fair coins.

    Args:
        canaries: Examples that were each in or out of the run by a fair coin.
        guesses: On how many of them the attack guessed.
        correct: How many guesses were right.
        epsilon: Of the claim.
        delta: Of the claim.

    Source:
        Steinke, Nasr, Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS 2023 (arXiv 2305.08846), theorem 5.2 and
        appendix D: P[Binomial(r, q) >= v] + 2 m delta max_i P[v > Binomial(r, q) >= v - i] / i, with q = e^epsilon / (1 + e^epsilon).
    """
    import numpy as np
    from scipy.stats import binom

    if not 0 <= correct <= guesses <= canaries:
        raise InputError("a one-run attack needs 0 <= correct <= guesses <= canaries.")
    q = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(correct - 1, guesses, q))
    if not delta or not correct:
        return min(1.0, tail)
    steps = np.arange(1, correct + 1)
    below = np.cumsum(binom.pmf(correct - steps, guesses, q))
    return min(1.0, tail + 2 * canaries * delta * float((below / steps).max()))


def one_run_epsilon(canaries: int, guesses: int, correct: int, delta: float, alpha: float) -> float:
    """The largest epsilon, rounded down, that so many right guesses exclude at confidence 1 - alpha; 0 where they exclude none."""
    if one_run_p_value(canaries, guesses, correct, 0.0, delta) > alpha:
        return 0.0
    low, high = 0.0, MOST_EPSILON
    while high - low > 1e-6:
        middle = (low + high) / 2
        rejected = one_run_p_value(canaries, guesses, correct, middle, delta) <= alpha
        low, high = (middle, high) if rejected else (low, middle)
    return low
