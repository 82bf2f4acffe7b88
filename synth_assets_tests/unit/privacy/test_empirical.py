"""The attacks on noise, and their statistics: honest mechanisms pass, every planted fault is rejected, the bounds are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import InputError
from synth_assets.privacy.empirical.bounds import (
    claimed_mu,
    critical_correct,
    epsilon_of_mu,
    mu_lower,
    mu_of_accuracy,
    one_run_epsilon,
    one_run_p_value,
    power,
    success_lower,
)
from synth_assets.privacy.empirical.noise import attack_noise, attainable_mu
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.privacy.records import ExponentialEvent, GaussianEvent
from synth_assets_tests.unit.privacy.faults import BROKEN, HONEST, HalfNoise, NoNoise, Redrawing

ALPHA = 1e-3
RARE = 1e-9  # false alarms of these tests
REPETITIONS = 20_000


# the attack


def test_an_honest_release_passes_and_most_of_its_claim_is_shown() -> None:
    found = attack_noise(HONEST, SystemNoise(), repetitions=60_000, alpha=RARE)
    assert found.passed
    assert found.mu_claimed == pytest.approx(claimed_mu(HONEST))
    assert 0.75 * found.mu_claimed < found.mu_lower < found.mu_claimed
    assert [s.calls for s in found.steps] == [8, 2, 12, 12]
    assert found.least_fault is not None
    assert 1 < found.least_fault < 1.4


@pytest.mark.parametrize("fault", BROKEN)
def test_a_planted_fault_is_rejected(fault: str) -> None:
    assert not attack_noise(HONEST, BROKEN[fault], repetitions=REPETITIONS).passed


def test_noise_that_is_drawn_again_on_a_retry_is_rejected() -> None:
    found = attack_noise(HONEST, SystemNoise(), repetitions=REPETITIONS, steps=Redrawing)
    assert not found.passed
    assert found.mu_lower > found.mu_claimed


def test_the_fault_in_one_mechanism_is_named() -> None:
    found = attack_noise(HONEST, BROKEN["one scale without noise"], repetitions=REPETITIONS)
    assert [s.scale for s in found.steps if not s.passed] == [60.0]


def test_several_rows_per_unit_are_attacked_at_the_sensitivity_that_is_charged() -> None:
    """By hand: 4 rows at sigma 40 cost what one row costs at sigma 10, and noise planned for one row does not hide four."""
    events = [GaussianEvent(sigma=40.0, l2_sensitivity=4, count=9)]
    four = attack_noise(events, SystemNoise(), repetitions=60_000, alpha=RARE)
    assert four.passed
    assert four.mu_claimed == pytest.approx(0.3, rel=1e-3)
    assert four.mu_lower > 0.2
    told = attack_noise(
        [GaussianEvent(sigma=40.0, l2_sensitivity=4, count=9)], SystemNoise(), repetitions=REPETITIONS,
        claim=[GaussianEvent(sigma=40.0, count=9)],
    )  # fmt: skip
    assert not told.passed


def test_a_release_without_noisy_steps_shows_nothing() -> None:
    found = attack_noise([], SystemNoise(), repetitions=1000)
    assert found.passed
    assert found.mu_lower == 0


def test_the_power_that_is_reported_is_the_share_of_faults_that_are_caught() -> None:
    """The least fault is caught in 95 of 100 attacks: here in at least 33 of 40 (chance of fewer: 1 in 800)."""
    events = (GaussianEvent(sigma=10.0, count=4),)
    found = attack_noise(events, SystemNoise(), repetitions=4000)
    assert found.least_fault is not None
    factor = found.least_fault

    class Smaller(SystemNoise):
        def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
            return super().discrete_gaussian(sigma=sigma / factor, size=size)

    caught = [not attack_noise(events, Smaller(), repetitions=4000).passed for _ in range(40)]
    assert sum(caught) >= 33


def test_a_claim_beyond_what_repetitions_can_show_is_told() -> None:
    found = attack_noise([GaussianEvent(sigma=0.1)], NoNoise(), repetitions=1000)
    assert found.mu_ceiling < found.mu_claimed
    assert found.passed  # nothing can be shown ...
    assert found.least_fault is None  # ... and the verdict says so


# the statistics


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.05, 1e-3, 1e-6]))
def test_the_confidence_bound_is_the_one_of_clopper_and_pearson(trials: int, share: float, alpha: float) -> None:
    """The bound p0 solves P[Binomial(n, p0) >= k] = alpha, summed here term by term."""
    correct = round(share * trials)
    bound = success_lower(correct, trials, alpha)
    if correct == 0:
        assert bound == 0
        return
    tail = math.fsum(math.comb(trials, k) * bound**k * (1 - bound) ** (trials - k) for k in range(correct, trials + 1))
    assert tail == pytest.approx(alpha, rel=1e-6)


def test_the_confidence_bound_by_hand() -> None:
    """All right: p0^n = alpha. One of one at alpha 0.05: 0.05."""
    assert success_lower(3, 3, 0.001) == pytest.approx(0.1)
    assert success_lower(1, 1, 0.05) == pytest.approx(0.05)
    for correct, trials, alpha in ((2, 1, 0.1), (-1, 1, 0.1), (0, 0, 0.1), (1, 1, 0.0)):
        with pytest.raises(InputError):
            success_lower(correct, trials, alpha)


@pytest.mark.parametrize("mu", [0.0, 0.05, 0.27, 2.0, 5.0])
@pytest.mark.parametrize("trials", [100, 10_000, 1_000_000])
def test_an_honest_mechanism_of_any_strength_is_rejected_in_at_most_one_of_a_thousand(mu: float, trials: int) -> None:
    """Exact: the chance of a number of right answers whose bound is above mu, where each is right with the largest chance allowed."""
    critical = critical_correct(trials, mu, ALPHA)
    assert power(trials, critical, mu) <= ALPHA
    assert power(trials, critical - 1, mu) > ALPHA
    if critical <= trials:
        assert mu_lower(critical, trials, ALPHA) > mu
    assert mu_lower(critical - 1, trials, ALPHA) <= mu


def test_simulated_honest_attacks_give_at_most_the_false_alarms_that_are_promised() -> None:
    """200,000 attacks on a mechanism exactly as strong as its claim; more than 260 alarms would be 1 chance in 60,000."""
    from scipy.special import ndtr

    mu, trials = 0.27, 20_000
    correct = np.random.default_rng(11).binomial(trials, float(ndtr(mu / 2)), 200_000)
    alarms = int((correct >= critical_correct(trials, mu, ALPHA)).sum())
    assert 100 < alarms <= 260


def test_a_gaussian_shift_and_its_accuracy_by_hand() -> None:
    """Phi(1/2) = 0.691462: the best guess between N(0,1) and N(1,1)."""
    assert mu_of_accuracy(0.6914624612740131) == pytest.approx(1.0)
    assert mu_of_accuracy(0.4) == 0
    assert epsilon_of_mu(1.0, 0.126936737506644) == pytest.approx(1.0, abs=1e-5)
    assert epsilon_of_mu(0.0, 1e-5) == 0


def test_what_the_attack_can_reach_is_below_the_claim() -> None:
    assert attainable_mu([GaussianEvent(sigma=10.0, count=4)]) == pytest.approx(0.2, rel=1e-3)
    assert attainable_mu([ExponentialEvent(epsilon=0.1, count=4)]) == pytest.approx(0.1)
    assert attainable_mu(HONEST) < claimed_mu(HONEST)


# one run with many canaries


def reference_p_value(m: int, r: int, v: int, eps: float, delta: float) -> float:
    """The pseudo-code of the paper's appendix D, step by step."""
    from scipy.stats import binom

    q = 1 / (1 + math.exp(-eps))
    beta = binom.sf(v - 1, r, q)
    alpha, total = 0.0, 0.0
    for i in range(1, v + 1):
        total += binom.pmf(v - i, r, q)
        if total > i * alpha:
            alpha = total / i
    return min(1.0, beta + alpha * delta * 2 * m)


@given(st.integers(1, 200), st.floats(0, 1), st.floats(0, 1), st.floats(0, 5), st.sampled_from([0.0, 1e-6, 1e-3]))
def test_the_p_value_of_one_run_is_that_of_the_paper(m: int, a: float, b: float, eps: float, delta: float) -> None:
    r = round(a * m)
    v = round(b * r)
    assert one_run_p_value(m, r, v, eps, delta) == pytest.approx(reference_p_value(m, r, v, eps, delta), rel=1e-9)


def test_one_run_by_hand() -> None:
    """Without delta: 10 right of 10 excludes q^10 <= alpha, so q <= 0.05^(1/10) = 0.7411, epsilon = log(q / (1 - q)) = 1.0518."""
    assert one_run_epsilon(10, 10, 10, 0.0, 0.05) == pytest.approx(1.0518, abs=1e-3)
    assert one_run_epsilon(10, 10, 5, 0.0, 0.05) == 0
    assert one_run_epsilon(10, 0, 0, 1e-5, 0.05) == 0
    with pytest.raises(InputError):
        one_run_p_value(10, 11, 5, 1.0, 0.0)


def test_randomised_response_of_the_claimed_epsilon_is_rejected_in_at_most_the_share_that_is_promised() -> None:
    """The worst (epsilon, 0)-DP run there is; exact share of rejections at alpha 0.05."""
    from scipy.stats import binom

    m, eps, alpha = 300, 1.0, 0.05
    q = 1 / (1 + math.exp(-eps))
    rejected = [v for v in range(m + 1) if one_run_epsilon(m, m, v, 0.0, alpha) > eps]
    share = binom.pmf(rejected, m, q).sum()
    assert 0.02 < share <= alpha


def test_half_the_noise_is_caught_at_every_repetition_count_of_a_release() -> None:
    assert not attack_noise(HONEST, HalfNoise(), repetitions=10_000).passed
