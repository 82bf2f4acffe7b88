"""Steps of DP-SGD: their loss against exact integrals, their composition, their noise, and the two accountants against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.errors import CheckFailedError, InputError
from synth_assets.privacy import bounds, crosscheck, sampled
from synth_assets.privacy.accounting import ASIDE, SLACK, adaptive_epsilon, compose, covers, epsilon_spent, spent
from synth_assets.privacy.calibration import calibrate_noise
from synth_assets.privacy.records import (
    Event,
    ExponentialEvent,
    GaussianEvent,
    SampledGaussianEvent,
    Spent,
    ThresholdEvent,
)

DELTA = 1e-6


def steps(noise: float, rate: float, count: int = 1) -> SampledGaussianEvent:
    return SampledGaussianEvent(noise_multiplier=noise, sampling_rate=rate, count=count)


def densities(noise: float, rate: float, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With the unit and without it."""
    centre, shifted = (np.exp(-((x - s) ** 2) / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi)) for s in (0, 1))
    return (1 - rate) * centre + rate * shifted, centre


def exact_delta(noise: float, rate: float, count: int, epsilon: float) -> float:
    """Hockey-stick divergence of one or two steps by numerical integration, the larger of both directions."""
    x = np.linspace(-12 * noise, 12 * noise + 1, 200_001 if count == 1 else 3001)
    p, q = densities(noise, rate, x)
    if count == 2:
        p, q = np.outer(p, p), np.outer(q, q)
    cell = (x[1] - x[0]) ** count
    return max(float(np.maximum(a - math.exp(epsilon) * b, 0).sum() * cell) for a, b in ((p, q), (q, p)))


def ours(event: SampledGaussianEvent, delta: float) -> float:
    return sampled.tight_epsilon([event], [], [], delta)


# ---- one and two steps against integrals


@pytest.mark.parametrize(("noise", "rate"), [(0.7, 0.02), (1.0, 0.3), (4.0, 0.1), (2.0, 1.0), (0.5, 0.9)])
@pytest.mark.parametrize("count", [1, 2])
def test_epsilon_of_one_and_two_steps_is_the_integral_or_a_little_above(noise: float, rate: float, count: int) -> None:
    for delta in (1e-3, 1e-5):
        epsilon = ours(steps(noise, rate, count), delta)
        assert exact_delta(noise, rate, count, epsilon) <= delta * (1 + 1e-4)
        assert exact_delta(noise, rate, count, epsilon * 0.99 - 1e-5) > delta


def test_both_directions_count_and_the_larger_one_is_the_claim() -> None:
    """Near a sampling rate of 1 and a large delta the direction "one unit more" is the worse one in one place, not in the other."""
    for epsilon in (0.05, 0.5, 1.5):
        x = np.linspace(-15, 16, 400_001)
        p, q = densities(1.0, 0.4, x)
        cell = x[1] - x[0]
        both = [float(np.maximum(a - math.exp(epsilon) * b, 0).sum() * cell) for a, b in ((p, q), (q, p))]
        found = ours(steps(1.0, 0.4), max(both))
        assert found == pytest.approx(epsilon, rel=1e-2)


def test_at_a_sampling_rate_of_one_steps_are_gaussians_in_closed_form() -> None:
    epsilon = ours(steps(8.0, 1.0, 50), DELTA)
    assert bounds.gdp_delta(math.sqrt(50) / 8, epsilon) == pytest.approx(DELTA, rel=0.01)


# ---- the simple bound


@pytest.mark.parametrize(
    ("noise", "rate", "count"), [(1.0, 0.01, 1000), (0.8, 0.2, 50), (5.0, 1.0, 10), (20.0, 0.5, 3000)]
)
def test_the_renyi_costs_are_those_of_googles_accountant_at_the_same_orders(
    noise: float, rate: float, count: int
) -> None:
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(orders=range(2, sampled.MAX_ORDER + 1))
    accountant.compose(SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), count))
    assert sampled.renyi_epsilon([steps(noise, rate, count)], 0.0, DELTA) == pytest.approx(
        accountant.get_epsilon(DELTA), rel=1e-6
    )


configurations = st.builds(steps, st.floats(0.6, 20.0), st.floats(5e-3, 0.5), st.integers(1, 1000))


@settings(max_examples=8)
@given(configurations, st.sampled_from([1e-5, 1e-7]))
def test_the_claim_is_below_the_simple_bound_and_grows_with_every_danger(
    event: SampledGaussianEvent, delta: float
) -> None:
    claim = spent([event], delta)
    assert claim.epsilon <= claim.epsilon_simple
    slack = 1 + 2e-3  # two grids
    for worse in (
        {"count": event.count + 100},
        {"sampling_rate": event.sampling_rate * 1.5},
        {"noise_multiplier": event.noise_multiplier * 0.9},
    ):
        assert epsilon_spent([event.model_copy(update=worse)], delta) * slack >= claim.epsilon


def test_a_delta_below_the_rounding_falls_back_to_the_simple_bound() -> None:
    claim = spent([steps(1.0, 0.01, 1000)], 1e-11)
    assert claim.accountant == "rdp"
    assert claim.epsilon == claim.epsilon_simple


# ---- composition with everything else


def test_with_selections_it_is_the_composition_of_the_other_module_where_both_apply() -> None:
    """At a sampling rate of 1 a step is a continuous Gaussian; one with a scale above 50 rows costs the same as a discrete one."""
    selections = [ExponentialEvent(epsilon=0.05, count=40), ExponentialEvent(epsilon=0.4)]
    ours_ = sampled.tight_epsilon([steps(60.0, 1.0, 500)], [], selections, DELTA)
    theirs = bounds.tight_epsilon([GaussianEvent(sigma=60.0, count=500)], selections, DELTA)
    assert theirs * (1 - 2e-3) <= ours_ <= theirs * (1 + 3e-3)


def test_half_of_the_gaussians_may_be_given_as_either_kind() -> None:
    mixed = sampled.tight_epsilon([steps(60.0, 1.0, 250)], [GaussianEvent(sigma=60.0, count=250)], [], DELTA)
    alone = bounds.tight_epsilon([GaussianEvent(sigma=60.0, count=500)], [], DELTA)
    assert mixed == pytest.approx(alone, rel=3e-3)


def test_two_kinds_of_steps_add_up_like_one_where_they_are_equal_but_for_rounding() -> None:
    apart = epsilon_spent([steps(1.5, 0.02, 300), steps(1.5 * (1 + 1e-9), 0.02, 300)], DELTA)
    assert apart == pytest.approx(epsilon_spent([steps(1.5, 0.02, 600)], DELTA), rel=1e-3)


def test_steps_beside_counts_and_selections_cost_more_than_alone_and_less_than_the_sum() -> None:
    ran: tuple[Event, ...] = (GaussianEvent(sigma=30.0, count=40), ExponentialEvent(epsilon=0.02, count=30))
    train = (steps(1.6, 0.01, 1000),)
    both = epsilon_spent([*ran, *train], DELTA)
    assert max(epsilon_spent(ran, DELTA), epsilon_spent(train, DELTA)) < both
    assert both < epsilon_spent(ran, DELTA) + epsilon_spent(train, DELTA)


def test_equal_steps_are_joined_and_their_order_does_not_matter() -> None:
    events = [steps(1.0, 0.1, 3), GaussianEvent(sigma=2.0), steps(1.0, 0.2), steps(1.0, 0.1, 4)]
    joined = compose(events)
    assert joined == compose(reversed(events))
    assert [e.count for e in joined if isinstance(e, SampledGaussianEvent)] == [7, 1]


def test_a_run_is_covered_by_a_plan_with_more_steps_less_noise_or_a_larger_rate() -> None:
    plan = (steps(1.0, 0.1, 100), GaussianEvent(sigma=5.0))
    assert covers(plan, (steps(1.0, 0.1, 90),), DELTA)
    assert covers(plan, (steps(1.1, 0.09, 100), GaussianEvent(sigma=6.0)), DELTA)
    for stronger in (steps(1.0, 0.1, 101), steps(0.99, 0.1, 10), steps(1.0, 0.11, 10)):
        assert not covers(plan, (stronger,), DELTA)


# ---- runs that follow on each other


@pytest.mark.parametrize(("noise", "rate", "count"), [(1.0, 0.01, 1000), (4.0, 0.1, 500), (1.2, 0.02, 3000)])
def test_a_run_lies_below_its_gdp_curve_but_for_the_slack_at_every_epsilon(
    noise: float, rate: float, count: int
) -> None:
    """Lemma 8, at points between those that the search looks at."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    slack = 1e-8
    mu = sampled.gdp_mu([steps(noise, rate, count)], slack)
    run = pld.from_gaussian_mechanism(noise, sampling_prob=rate, value_discretization_interval=3.7e-4).self_compose(
        count
    )
    epsilon = np.linspace(0.0, 3 * ours(steps(noise, rate, count), 1e-8), 5003)
    allowed = slack + (1 - slack) * bounds.gdp_delta(mu, epsilon)
    assert np.all(np.asarray(run.get_delta_for_epsilon(epsilon)) <= allowed)
    tighter = slack + (1 - slack) * bounds.gdp_delta(mu * 0.99, epsilon)
    assert np.any(np.asarray(run.get_delta_for_epsilon(epsilon)) > tighter)


def test_the_price_of_choosing_the_next_training_by_the_last_one_is_a_few_percent() -> None:
    run = [steps(1.6, 0.01, 1000)]
    fixed = epsilon_spent([*run, *run], 1e-5)
    assert fixed < adaptive_epsilon([run, run], 1e-5) < 1.06 * fixed


def test_only_a_fixed_share_of_delta_is_spent_on_what_costs_delta_alone() -> None:
    """Who could choose between noise and delta by what was seen would get up to twice the delta."""
    runs = [[steps(50.0, 0.01, 10)]] * round(ASIDE / SLACK)
    adaptive_epsilon(runs, 1e-5)
    with pytest.raises(InputError, match="kept for them"):
        adaptive_epsilon([*runs, [steps(50.0, 0.01, 10)]], 1e-5)
    with pytest.raises(InputError, match="kept for them"):
        adaptive_epsilon([[GaussianEvent(sigma=9.0), ThresholdEvent(delta=ASIDE * 1.01e-5)]], 1e-5)


# ---- calibration


@settings(max_examples=6)
@given(st.floats(0.1, 10.0), st.floats(5e-3, 0.3), st.integers(10, 2000), st.sampled_from([1e-5, 1e-6]))
def test_noise_is_within_half_a_percent_below_its_target_and_never_above(
    epsilon: float, rate: float, count: int, delta: float
) -> None:
    noise = calibrate_noise(lambda s: (steps(s, rate, count),), epsilon=epsilon, delta=delta)
    cost = epsilon_spent((steps(noise, rate, count),), delta)
    assert 0.995 * epsilon <= cost <= epsilon or noise == pytest.approx(0.3)


def test_noise_leaves_room_for_what_runs_beside_it() -> None:
    beside: tuple[Event, ...] = (GaussianEvent(sigma=60.0, count=60), ExponentialEvent(epsilon=0.01, count=60))
    noise = calibrate_noise(lambda s: (*beside, steps(s, 0.05, 200)), epsilon=1.0, delta=DELTA)
    assert noise > calibrate_noise(lambda s: (steps(s, 0.05, 200),), epsilon=1.0, delta=DELTA)
    assert 0.995 <= epsilon_spent((*beside, steps(noise, 0.05, 200)), DELTA) <= 1.0


def test_a_target_that_what_runs_beside_has_used_up_is_refused() -> None:
    with pytest.raises(InputError, match="no noise"):
        calibrate_noise(lambda s: (GaussianEvent(sigma=1.0), steps(s, 0.1, 10)), epsilon=1.0, delta=DELTA)


# ---- the second accountant


def agreement(event: SampledGaussianEvent, delta: float) -> float:
    """How far Opacus' estimate is from the claim, as a share of it."""
    claim = epsilon_spent([event], delta)
    return abs(crosscheck.prv_epsilon([event], 0.0, delta, 0.002 * claim) / claim - 1)


@pytest.mark.parametrize(
    ("noise", "rate", "count"),
    [(1.0, 0.01, 1000), (0.7, 0.02, 300), (4.0, 0.1, 500), (1.0, 0.002, 5000), (30.0, 1.0, 100)],
)
def test_googles_and_opacus_accountants_agree_within_one_percent(noise: float, rate: float, count: int) -> None:
    assert agreement(steps(noise, rate, count), DELTA) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("number", range(50))
def test_googles_and_opacus_accountants_agree_within_one_percent_on_random_configurations(number: int) -> None:
    """As trainings are: epsilon 0.1 to 20, 100 to 10,000 steps, a sample of 0.1 to 30 % per step."""
    draw = np.random.default_rng(number)
    epsilon, rate = (float(np.exp(draw.uniform(*np.log(ends)))) for ends in ((0.1, 20), (1e-3, 0.3)))
    count, delta = int(np.exp(draw.uniform(*np.log((100, 10_000))))), float(draw.choice([1e-5, 1e-6, 1e-7]))
    noise = calibrate_noise(lambda s: (steps(s, rate, count),), epsilon=epsilon, delta=delta)
    cost = epsilon_spent((steps(noise, rate, count),), delta)
    assert 0.995 * epsilon <= cost <= epsilon
    assert agreement(steps(noise, rate, count), delta) < 0.01


TRAINING: tuple[Event, ...] = (steps(1.2, 0.02, 800),)
WHOLE: tuple[Event, ...] = (
    *TRAINING, GaussianEvent(sigma=40.0, count=40), ExponentialEvent(epsilon=0.02, count=30), ThresholdEvent(delta=1e-7),
)  # fmt: skip


@pytest.mark.parametrize("plan", [TRAINING, WHOLE])
def test_a_true_claim_about_a_training_is_accepted(plan: tuple[Event, ...]) -> None:
    claim = spent(plan, DELTA)
    check = crosscheck.verify(plan, claim)
    assert check.accountant == "opacus.prv"
    assert check.epsilon_lower <= claim.epsilon <= check.epsilon_upper * 1.01
    assert check.epsilon_upper < 1.06 * check.epsilon_lower


@pytest.mark.parametrize(
    "ran", [steps(1.2, 0.02, 840), steps(1.2, 0.021, 800), steps(1.15, 0.02, 800)], ids=["steps", "rate", "noise"]
)
def test_a_claim_of_fewer_steps_a_smaller_rate_or_more_noise_than_ran_is_caught(ran: SampledGaussianEvent) -> None:
    with pytest.raises(CheckFailedError, match="noise alone"):
        crosscheck.verify([ran], spent(TRAINING, DELTA))


def test_an_inflated_claim_about_a_training_is_caught() -> None:
    claim = spent(TRAINING, DELTA)
    with pytest.raises(CheckFailedError, match="not of these events"):
        crosscheck.verify(TRAINING, claim.model_copy(update={"epsilon": claim.epsilon * 1.03}))


def test_a_claim_by_the_simple_bound_is_checked_against_googles_own() -> None:
    claim = spent(TRAINING, DELTA)
    simple: Spent = claim.model_copy(update={"epsilon": claim.epsilon_simple, "accountant": "rdp"})
    crosscheck.verify(TRAINING, simple)
    with pytest.raises(CheckFailedError, match="not of these events"):
        crosscheck.verify(TRAINING, simple.model_copy(update={"epsilon": claim.epsilon_simple * 1.05}))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 7.0, 400.0, 2000.0])
def test_the_second_accountant_has_the_same_mu_of_a_discrete_gaussian_by_its_own_formula(sigma: float) -> None:
    assert crosscheck._discrete_mu(sigma) == pytest.approx(bounds.gaussian_mu(sigma), rel=1e-6)
    assert crosscheck._selection_mu(sigma / 100) == pytest.approx(bounds.selection_mu(sigma / 100), rel=1e-6)
