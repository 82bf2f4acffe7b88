"""The attack on DP-SGD and the verdict on canaries, on a toy: Poisson-subsampled Gaussian noise in one coordinate per example."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from synth_assets.errors import InputError
from synth_assets.privacy.empirical.bounds import mu_of_accuracy, one_run_epsilon
from synth_assets.privacy.empirical.canaries import flip_coins, judge_canaries
from synth_assets.privacy.empirical.sgd import attack_steps
from synth_assets.privacy.empirical.step_canaries import GradientScores
from synth_assets.privacy.empirical.step_power import least_step_fault, right_guesses, step_ratio
from synth_assets.privacy.records import SampledGaussianEvent

STEPS, RATE, NOISE = 60, 0.02, 1.0
PLAN = SampledGaussianEvent(noise_multiplier=NOISE, sampling_rate=RATE, count=STEPS)


def accountant(rate: float, noise: float = NOISE, steps: int = STEPS) -> Callable[[float], float]:
    """Delta at epsilon by Google's loss distributions, which nothing of ours shares code with."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.pld import PLDAccountant

    found = PLDAccountant(value_discretization_interval=1e-3)
    found.compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    return found.get_delta


def epsilon_of(rate: float, delta: float, noise: float = NOISE, steps: int = STEPS) -> float:
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.pld import PLDAccountant

    found = PLDAccountant(value_discretization_interval=1e-3)
    found.compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    return float(found.get_epsilon(delta))


def toy(rate: float, noise: float) -> Callable[[np.ndarray], np.ndarray]:
    """One step of a loader that samples at `rate`, and noise of `noise` clipping norms; fresh from the system."""
    rng = np.random.default_rng()

    def step(present: np.ndarray) -> np.ndarray:
        sampled = rng.random(len(present)) < rate
        return (present & sampled) + noise * rng.standard_normal(len(present))

    return step


def attack(rate: float, noise: float, *, told: float = RATE, repetitions: int = 20_000) -> bool:
    delta = accountant(told)(0.0)
    return attack_steps(
        toy(rate, noise),
        SampledGaussianEvent(noise_multiplier=NOISE, sampling_rate=told, count=STEPS),
        delta_at_zero=delta,
        repetitions=repetitions,
    ).passed


def test_an_honest_run_passes_and_most_of_its_claim_is_shown() -> None:
    found = attack_steps(
        toy(RATE, NOISE), PLAN, delta_at_zero=accountant(RATE)(0.0), repetitions=60_000, alpha=1e-9,
    )  # fmt: skip
    assert found.passed
    assert 0.5 * found.mu_claimed < found.mu_lower < found.mu_claimed


@pytest.mark.parametrize(
    ("rate", "noise"),
    [(0.04, NOISE), (RATE, NOISE / 2), (RATE, NOISE / 1.5), (RATE, NOISE / 3), (RATE, 1e-6)],
    ids=["larger rate", "half the noise", "two thirds of the noise", "a third of the noise", "no noise"],
)
def test_a_planted_fault_is_rejected(rate: float, noise: float) -> None:
    """The accountant was told a smaller sampling rate; sigma divided by 2; no noise."""
    assert not attack(rate, noise)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "noise"), [(0.04, NOISE), (RATE, NOISE / 2), (RATE, 1e-6)])
def test_a_fault_of_training_is_rejected_in_twenty_of_twenty(rate: float, noise: float) -> None:
    assert not any(attack(rate, noise) for _ in range(20))


def test_the_attack_tells_what_fault_it_sees_and_catches_that_fault() -> None:
    delta = accountant(RATE)(0.0)
    told = attack_steps(toy(RATE, NOISE), PLAN, delta_at_zero=delta, repetitions=20_000).least_fault
    assert told is not None
    assert 1.05 < told < 2
    caught = sum(not attack(RATE, NOISE / (1.1 * told)) for _ in range(5))
    assert caught >= 4
    few = least_step_fault(PLAN, mu_claimed=mu_of_accuracy((1 + delta) / 2), trials=50, alpha=1e-3)
    assert few is None  # with rare samples, 50 guesses cannot even see that there is no noise


def test_less_noise_is_seen_by_more_right_guesses_up_to_those_that_sampling_allows() -> None:
    """With next to no noise a guess is right where the example was drawn at all, or is not in the data: (1 + 1 - 0.98^60) / 2."""
    shares = [right_guesses(PLAN, factor) for factor in (1.0, 2.0, 4.0, 100.0)]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx((1 + accountant(RATE)(0.0)) / 2, abs=0.02)
    assert shares[-1] == pytest.approx((2 - 0.98**60) / 2, abs=0.02)


def test_the_likelihood_ratio_of_a_step_by_hand() -> None:
    """q = 1: (2 x - 1) / (2 z^2). q = 1/2, z = 1, x = 1/2: log(1/2 + 1/2) = 0."""
    assert step_ratio(np.array([2.0]), sampling_rate=1, noise_multiplier=2.0)[0] == pytest.approx(3 / 8)
    assert step_ratio(np.array([0.5]), sampling_rate=0.5, noise_multiplier=1.0)[0] == pytest.approx(0)
    assert step_ratio(np.array([1.5]), sampling_rate=0.5, noise_multiplier=1.0)[0] == pytest.approx(
        math.log(0.5 + 0.5 * math.e)
    )


def one_run(rate: float, noise: float, canaries: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Coins and scores of one toy run in which every canary has a coordinate of its own."""
    included, step = flip_coins(canaries), toy(rate, noise)
    scores = GradientScores(canaries=canaries, sampling_rate=RATE, noise_multiplier=NOISE)
    for _ in range(STEPS):
        scores.observe(step(included))
    assert scores.steps == STEPS
    return included, scores.values


def test_one_run_with_canaries_passes_an_honest_run_and_rejects_one_without_noise() -> None:
    delta = 1e-5
    epsilon = epsilon_of(RATE, delta)
    included, scores = one_run(RATE, NOISE)
    honest = judge_canaries(included, scores, epsilon=epsilon, delta=delta, scored_on="noisy gradients")
    assert honest.passed
    assert honest.gates
    assert honest.guesses == 500
    included, scores = one_run(RATE, 1e-3)
    broken = judge_canaries(included, scores, epsilon=epsilon, delta=delta, scored_on="noisy gradients")
    assert not broken.passed
    assert broken.epsilon_lower > epsilon


def test_scores_of_a_sample_never_gate() -> None:
    included = flip_coins(1000)
    found = judge_canaries(included, included.astype(float), epsilon=1.0, delta=1e-5, scored_on="sample")
    assert found.epsilon_lower == found.epsilon_ceiling > 1
    assert found.passed
    assert not found.gates


def test_perfect_scores_give_the_ceiling_and_random_ones_nothing() -> None:
    included = np.arange(400) % 2 == 0
    perfect = judge_canaries(included, included.astype(float), epsilon=1.0, delta=0.0, scored_on="noisy tables")
    assert (perfect.correct, perfect.epsilon_lower) == (200, perfect.epsilon_ceiling)
    assert perfect.epsilon_ceiling == one_run_epsilon(400, 200, 200, 0.0, 1e-3)
    constant = judge_canaries(included, np.zeros(400), epsilon=1.0, delta=0.0, scored_on="noisy tables")
    assert constant.epsilon_lower == 0


@pytest.mark.parametrize(
    ("included", "scores"),
    [
        (np.ones(3, bool), np.ones(3)),
        (np.ones(8, bool), np.ones(7)),
        (np.ones(8, bool), np.full(8, np.nan)),
        (np.ones((4, 2), bool), np.ones((4, 2))),
    ],
)
def test_scores_that_do_not_fit_are_refused(included: np.ndarray, scores: np.ndarray) -> None:
    with pytest.raises(InputError):
        judge_canaries(included, scores, epsilon=1.0, delta=0.0, scored_on="noisy tables")


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(InputError):
        GradientScores(canaries=1, sampling_rate=0.0, noise_multiplier=1.0)
    with pytest.raises(InputError):
        GradientScores(canaries=2, sampling_rate=0.1, noise_multiplier=1.0).observe(np.zeros(3))
    with pytest.raises(InputError):
        attack_steps(toy(0.1, 1.0), PLAN, delta_at_zero=0.1, repetitions=0)
