"""The accountant against published figures, exact computations and independent code; and its lemmas, one by one."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import InputError, UnexpectedError
from synth_assets.privacy import bounds
from synth_assets.privacy.accounting import ASIDE, adaptive_epsilon, compose, covers, epsilon_spent, spent, zcdp_rho
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, Spent, ThresholdEvent

DELTA = 1e-5
gaussians = st.builds(
    GaussianEvent, sigma=st.floats(1.0, 500.0), l2_sensitivity=st.floats(0.5, 5.0), count=st.integers(1, 30)
)
selections = st.builds(ExponentialEvent, epsilon=st.floats(0.005, 1.0), count=st.integers(1, 30))
plans = st.lists(gaussians | selections, min_size=1, max_size=5)


def exact_delta(p: np.ndarray, q: np.ndarray, epsilon: float) -> float:
    """Hockey-stick divergence of two discrete distributions on one support."""
    return float(np.maximum(p - math.exp(epsilon) * q, 0).sum())


def discrete_gaussian(sigma: float, reach: int, shift: int = 0) -> np.ndarray:
    k = np.arange(-reach, reach + 1) - shift
    weights = np.exp(-(k**2) / (2 * sigma**2))
    return weights / weights.sum()


def two_point(epsilon: float, t: float) -> tuple[np.ndarray, np.ndarray]:
    """The worst pair of a mechanism whose loss lies in [t - epsilon, t]: losses t and t - epsilon."""
    p = (1 - math.exp(t - epsilon)) / (1 - math.exp(-epsilon))
    return np.array([p, 1 - p]), np.array([p * math.exp(-t), 1 - p * math.exp(-t)])


# ---- published and independent figures


def test_the_gaussian_curve_has_the_published_value() -> None:
    """Delta of sigma = 1 at epsilon 1 (Balle, Wang 2018; the reference value of Google's dp_accounting tests)."""
    assert bounds.gdp_delta(1.0, 1.0) == pytest.approx(0.12693673750664397, rel=1e-12)


@pytest.mark.parametrize(("rho", "delta"), [(0.0306, 1e-5), (0.5, 1e-6), (2.56, 1e-10), (1e-4, 1e-6), (30.0, 1e-5)])
def test_the_zcdp_conversion_agrees_with_googles_renyi_accountant(rho: float, delta: float) -> None:
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    orders = 1 + np.exp(np.linspace(math.log(1e-3), math.log(1e6), 4000))
    accountant = RdpAccountant(orders=orders)
    accountant.compose(dp_accounting.ZCDpEvent(rho=rho))
    assert bounds.zcdp_epsilon(rho, delta) == pytest.approx(accountant.get_epsilon(delta), rel=1e-5)


def test_the_conversion_is_the_formula_of_the_paper_at_its_best_order() -> None:
    """By hand for rho = 0.5, delta = 1e-6 at alpha = 6: 3 + (ln 1e6 + 6 ln(5/6) - ln 5) / 5 = 5.2225; the best order is no worse."""
    at_six = 6 * 0.5 + (math.log(1e6) + 6 * math.log(5 / 6) - math.log(5)) / 5
    assert at_six == pytest.approx(5.2225, abs=1e-4)
    assert at_six - 0.2 < bounds.zcdp_epsilon(0.5, 1e-6) <= at_six


@pytest.mark.parametrize(("sigma", "count"), [(1.5, 1), (3.0, 4), (10.0, 20), (25.0, 60)])
def test_gaussians_are_within_one_percent_above_the_exact_discrete_loss_distribution(sigma: float, count: int) -> None:
    from dp_accounting.pld import privacy_loss_distribution as pld

    exact = pld.from_discrete_gaussian_mechanism(sigma, 1, value_discretization_interval=2e-4).self_compose(count)
    reference = exact.get_epsilon_for_delta(DELTA)
    ours = epsilon_spent([GaussianEvent(sigma=sigma, count=count)], DELTA)
    assert reference * (1 - 2e-3) < ours < reference * 1.01  # the reference rounds its own losses upwards


def test_one_selection_costs_at_most_its_epsilon_and_a_bit_less_at_a_delta() -> None:
    assert 0.49 < epsilon_spent([ExponentialEvent(epsilon=0.5)], DELTA) <= 0.5


# ---- lemma 2: one discrete Gaussian


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 3.0, 40.0])
def test_mu_of_a_discrete_gaussian_is_twice_the_quantile_of_its_upper_half(sigma: float) -> None:
    """The largest step between corners is the one at 0: mu = 2 Phi^-1((1 + P[0]) / 2)."""
    from scipy.stats import norm

    p0 = discrete_gaussian(sigma, 2000)[2000]
    assert bounds.gaussian_mu(sigma) == pytest.approx(2 * norm.ppf((1 + p0) / 2), rel=1e-7)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5, 12.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.5, 1.0, 3.0])
def test_the_gdp_curve_lies_above_the_exact_curve_of_the_discrete_gaussian(sigma: float, epsilon: float) -> None:
    reach = math.ceil(30 * sigma) + 5
    exact = exact_delta(discrete_gaussian(sigma, reach, 1), discrete_gaussian(sigma, reach), epsilon)
    assert exact <= bounds.gdp_delta(bounds.gaussian_mu(sigma), epsilon) * (1 + 1e-9) + 1e-16


def test_the_curve_of_the_continuous_gaussian_would_not_be_a_bound() -> None:
    """Negative control: with mu = 1 / sigma the exact discrete curve lies above at some epsilon."""
    exact = exact_delta(discrete_gaussian(1.0, 60, 1), discrete_gaussian(1.0, 60), 0.0)
    assert exact > bounds.gdp_delta(1.0, 0.0) * 1.02


@pytest.mark.parametrize("change", [(2,), (1, 1), (1, -1, 1), (2, 1)])
def test_a_change_of_several_cells_is_covered_by_its_l2_norm(change: tuple[int, ...]) -> None:
    sigma = 2.5
    p, q = np.ones(1), np.ones(1)
    for step in change:
        p = np.outer(p, discrete_gaussian(sigma, 45, step)).ravel()
        q = np.outer(q, discrete_gaussian(sigma, 45)).ravel()
        keep = (p > 1e-13) | (q > 1e-13)
        p, q = p[keep], q[keep]
    event = GaussianEvent(sigma=sigma, l2_sensitivity=math.sqrt(sum(s * s for s in change)))
    for epsilon in (0.1, 1.0, 2.0):
        assert exact_delta(p, q, epsilon) <= bounds.gdp_delta(bounds.total_mu([event]), epsilon) * (1 + 1e-9) + 1e-10


def test_mu_is_continuous_where_the_formula_for_large_scales_takes_over() -> None:
    below, above = bounds.gaussian_mu(bounds.LARGE_SIGMA), bounds.gaussian_mu(bounds.LARGE_SIGMA * (1 + 1e-12))
    assert below == pytest.approx(above, rel=2e-6)
    assert above > 1 / bounds.LARGE_SIGMA


# ---- lemma 4: one selection


@pytest.mark.parametrize("width", [0.02, 0.5, 2.0])
def test_the_curve_of_a_selection_is_the_worst_over_all_positions_of_its_interval(width: float) -> None:
    for epsilon in np.linspace(-1.2 * width, 1.2 * width, 25):
        worst = max(exact_delta(*two_point(width, t), epsilon) for t in np.linspace(1e-6, width - 1e-6, 2001))
        ours = float(bounds.selection_delta(width, np.array([epsilon]))[0])
        assert worst <= ours + 1e-12
        assert ours <= worst + 1e-6 * width


def test_the_loss_distribution_of_one_selection_dominates_and_adds_to_one() -> None:
    losses, mass = bounds.selection_losses([ExponentialEvent(epsilon=0.5)])
    assert mass.sum() == pytest.approx(1, abs=1e-12)
    assert (np.exp(-losses) * mass).sum() == pytest.approx(1, abs=1e-12)
    for epsilon in np.linspace(-0.6, 0.6, 37):
        ours = (np.maximum(1 - np.exp(epsilon - losses), 0) * mass).sum()
        exact = float(bounds.selection_delta(0.5, np.array([epsilon]))[0])
        assert exact - 1e-12 <= ours <= exact + 1e-5


@pytest.mark.parametrize("width", [0.1, 0.5, 2.0])
def test_an_exponential_mechanism_stays_below_the_curve(width: float) -> None:
    """Exact output distributions of the mechanism for random neighbouring scores (each score moves by at most 1)."""
    generator = np.random.default_rng(3)
    for _ in range(200):
        scores = generator.normal(0, 3, 6)
        moved = scores + generator.uniform(-1, 1, 6)
        p, q = (np.exp(width * s / 2) / np.exp(width * s / 2).sum() for s in (scores, moved))
        for epsilon in (-0.5 * width, 0.0, 0.3 * width, 0.7 * width):
            assert exact_delta(p, q, epsilon) <= float(bounds.selection_delta(width, np.array([epsilon]))[0]) + 1e-12


# ---- composition


def adaptive_worst(width: float, steps: int, epsilon: float, loss: float = 0.0, grid: int = 9) -> float:
    """Delta of the worst adaptive adversary who places the interval of each selection after seeing the losses before."""
    if steps == 0:
        return max(0.0, 1 - math.exp(epsilon - loss))
    worst = 0.0
    for t in np.linspace(0.02, 0.98, grid) * width:
        high = (1 - math.exp(t - width)) / (1 - math.exp(-width))
        value = high * adaptive_worst(width, steps - 1, epsilon, loss + t, grid)
        value += (1 - high) * adaptive_worst(width, steps - 1, epsilon, loss + t - width, grid)
        worst = max(worst, value)
    return worst


@pytest.mark.parametrize(("width", "epsilon"), [(0.5, 0.2), (0.5, 0.6), (0.2, 0.3), (2.0, 1.5)])
def test_an_adaptive_adversary_stays_below_the_composed_curve(width: float, epsilon: float) -> None:
    steps = 3
    losses, mass = bounds.selection_losses([ExponentialEvent(epsilon=width, count=steps)])
    bound = (np.maximum(1 - np.exp(epsilon - losses), 0) * mass).sum()
    worst = adaptive_worst(width, steps, epsilon)
    assert worst <= bound
    assert bound < 2.5 * worst  # and the bound says something


@pytest.mark.parametrize("t_share", [0.2, 0.5, 0.8])
def test_selections_and_gaussians_together_are_bounded(t_share: float) -> None:
    """Exact composition of k equal two-point pairs with discrete Gaussians, against the bound."""
    width, k, sigma = 0.3, 5, 3.0
    p, q = two_point(width, t_share * width)
    losses = np.log(p / q)
    counts = np.arange(k + 1)
    ways = np.array([math.comb(k, int(j)) for j in counts])
    selected = ways * p[0] ** counts * p[1] ** (k - counts)
    total_loss = counts * losses[0] + (k - counts) * losses[1]
    noise_p, noise_q = discrete_gaussian(sigma, 120, 1), discrete_gaussian(sigma, 120)
    target = epsilon_spent([GaussianEvent(sigma=sigma), ExponentialEvent(epsilon=width, count=k)], 1e-3)
    both = sum(s * exact_delta(noise_p, noise_q, target - loss) for s, loss in zip(selected, total_loss, strict=True))
    assert both <= 1e-3
    assert both > 1e-5


@given(plans, st.sampled_from([1e-9, 1e-6, 1e-3]))
def test_the_primary_is_never_above_the_simple_bound(plan: list[Event], delta: float) -> None:
    cost = spent(plan, delta)
    assert 0 < cost.epsilon <= cost.epsilon_simple
    assert cost.rho_zcdp == pytest.approx(zcdp_rho(plan))


@given(plans, st.randoms(use_true_random=False))
def test_neither_order_nor_grouping_changes_the_cost(plan: list[Event], shuffle: object) -> None:
    single = [e.model_copy(update={"count": 1}) for e in plan for _ in range(e.count)]
    shuffle.shuffle(single)  # type: ignore[attr-defined]
    assert compose(single) == compose(plan)
    assert spent(single, DELTA) == spent(plan, DELTA)


@given(plans, gaussians | selections)
def test_a_further_event_costs_and_a_part_never_costs_more_than_the_whole(plan: list[Event], more: Event) -> None:
    whole = epsilon_spent([*plan, more], DELTA)
    slack = 1 + 1e-3  # the grid of the loss distribution differs from plan to plan
    assert epsilon_spent(plan, DELTA) <= whole * slack
    assert epsilon_spent([more], DELTA) <= whole * slack


@given(gaussians, st.floats(1.001, 3.0))
def test_more_noise_costs_less_and_more_sensitivity_more(event: GaussianEvent, factor: float) -> None:
    base = epsilon_spent([event], DELTA)
    quieter = event.model_copy(update={"sigma": event.sigma * factor})
    stronger = event.model_copy(update={"l2_sensitivity": event.l2_sensitivity * factor})
    assert epsilon_spent([quieter], DELTA) < base < epsilon_spent([stronger], DELTA)


@given(plans, st.floats(1e-9, 1e-3), st.floats(1.01, 100.0))
def test_a_larger_delta_needs_no_larger_epsilon(plan: list[Event], delta: float, factor: float) -> None:
    assert epsilon_spent(plan, delta * factor) <= epsilon_spent(plan, delta) * (1 + 1e-6)


def test_thresholds_take_their_delta_off_first() -> None:
    noise = GaussianEvent(sigma=5.0)
    with_threshold = spent([noise, ThresholdEvent(delta=1e-6, count=5)], 1e-5)
    assert with_threshold.epsilon == spent([noise], 5e-6).epsilon
    assert with_threshold.delta_thresholds == pytest.approx(5e-6)
    assert with_threshold.epsilon > spent([noise], 1e-5).epsilon


def test_thresholds_that_use_all_of_delta_up_raise() -> None:
    with pytest.raises(InputError, match="thresholds"):
        spent([ThresholdEvent(delta=1e-6, count=11)], 1e-5)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_that_is_no_probability_raises(delta: float) -> None:
    with pytest.raises(InputError, match="delta"):
        spent([GaussianEvent(sigma=5.0)], delta)


def test_no_event_costs_nothing() -> None:
    cost = spent([], DELTA)
    assert (cost.epsilon, cost.epsilon_simple, cost.rho_zcdp, cost.accountant) == (0, 0, 0, "none")


def test_a_loss_distribution_that_lost_mass_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "selection_losses", lambda _: (np.zeros(1), np.array([0.999])))
    with pytest.raises(UnexpectedError, match="does not add to 1"):
        bounds.tight_epsilon([], [ExponentialEvent(epsilon=0.1)], DELTA)


def test_a_tiny_delta_falls_back_to_the_simple_bound() -> None:
    cost = spent([GaussianEvent(sigma=5.0), ExponentialEvent(epsilon=0.1)], 1e-14)
    assert (cost.accountant, cost.epsilon) == ("zcdp", cost.epsilon_simple)


def test_many_small_selections_alone_are_cheaper_by_the_simple_bound() -> None:
    assert spent([ExponentialEvent(epsilon=0.05, count=400)], DELTA).accountant == "zcdp"


def test_the_convolution_agrees_with_a_plain_one() -> None:
    """Against numpy.convolve, in the far tail where the rounding of the transform would show first."""
    losses, mass = bounds.selection_losses(
        [ExponentialEvent(epsilon=0.3, count=6), ExponentialEvent(epsilon=0.1, count=2)]
    )
    h = losses[1] - losses[0]
    plain = np.ones(1)
    for width, count in ((0.1, 2), (0.3, 6)):
        for _ in range(count):
            plain = np.convolve(plain, bounds._one_selection(width, h))
    assert len(plain) == len(mass)
    assert np.abs(plain - mass).max() < 1e-15
    assert abs(plain[losses > 1.4].sum() - mass[losses > 1.4].sum()) < 1e-15


# ---- parameters chosen after seeing results


@pytest.mark.parametrize("width", [0.01, 0.5, 3.0])
def test_mu_of_a_selection_is_the_worst_over_all_positions_of_its_interval(width: float) -> None:
    from scipy.special import ndtri

    worst = 0.0
    for t in np.linspace(1e-6, width - 1e-6, 2001):
        (p, _), (q, _) = two_point(width, t)
        worst = max(worst, float(ndtri(p) - ndtri(q)))
    assert bounds.selection_mu(width) == pytest.approx(worst, rel=1e-6)
    if width < 0.1:
        assert bounds.selection_mu(width) == pytest.approx(0.6267 * width, rel=1e-3)


@given(plans, st.sampled_from([1e-9, 1e-6, 1e-3]))
def test_the_bound_for_adaptive_parameters_is_never_below_the_one_for_fixed_ones(
    plan: list[Event], delta: float
) -> None:
    assert adaptive_epsilon([plan], delta) >= epsilon_spent(plan, delta)


def test_the_bound_for_adaptive_parameters_is_the_same_for_gaussians_and_costs_little_for_selections() -> None:
    noise = GaussianEvent(sigma=50.0, count=100)
    """At the delta that is left when the share for thresholds is kept; keeping it costs about 1 %."""
    assert adaptive_epsilon([[noise]], DELTA) == epsilon_spent([noise], (1 - ASIDE) * DELTA)
    both = [noise, ExponentialEvent(epsilon=0.013, count=74)]
    assert 1 < adaptive_epsilon([both], DELTA) / epsilon_spent(both, (1 - ASIDE) * DELTA) < 1.01
    assert adaptive_epsilon([both], DELTA) / epsilon_spent(both, DELTA) < 1.025


def test_the_bound_for_adaptive_parameters_takes_thresholds_off_as_well() -> None:
    plan: list[Event] = [GaussianEvent(sigma=5.0), ThresholdEvent(delta=1e-6)]
    assert adaptive_epsilon([plan], 1e-5) == adaptive_epsilon([plan[:1]], 1e-5)
    assert adaptive_epsilon([], 1e-5) == 0
    with pytest.raises(InputError, match="thresholds"):
        adaptive_epsilon([plan], 4e-6)


@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_hardly_any_noise_has_a_huge_but_finite_cost(sigma: float) -> None:
    cost = spent([GaussianEvent(sigma=sigma, count=50)], DELTA)
    assert cost.epsilon > 100


def test_what_lies_beyond_the_corners_that_were_looked_at_must_fit_into_the_reserve() -> None:
    """A change of 39 sigmas leaves a window of one sigma, whose tails do not fit: the tight bound gives up."""
    event = GaussianEvent(sigma=1.0, l2_sensitivity=39.0)
    assert bounds.log_tails([event]) > math.log(1e-6)
    assert bounds.tight_epsilon([event], [], DELTA) == math.inf
    assert bounds.log_tails([GaussianEvent(sigma=1.0)]) < -700


# ---- what ran against what was planned


def test_a_run_is_covered_by_a_plan_of_which_it_is_a_part() -> None:
    plan = compose([GaussianEvent(sigma=5.0, count=3), ExponentialEvent(epsilon=0.1, count=4)])
    assert covers(plan, compose([GaussianEvent(sigma=5.0, count=2), ExponentialEvent(epsilon=0.1, count=4)]), DELTA)
    assert covers(plan, compose([GaussianEvent(sigma=5.0), GaussianEvent(sigma=6.0, count=2)]), DELTA)
    assert covers(plan, (), DELTA)


@pytest.mark.parametrize(
    "ran",
    [
        GaussianEvent(sigma=5.0, count=4),
        GaussianEvent(sigma=4.9, count=3),
        GaussianEvent(sigma=5.0, l2_sensitivity=1.2, count=3),
        ExponentialEvent(epsilon=0.9),
        ThresholdEvent(delta=1e-7),
    ],
)
def test_a_run_that_did_more_than_planned_is_not_covered(ran: Event) -> None:
    plan = compose([GaussianEvent(sigma=5.0, count=3)])
    assert not covers(plan, compose([GaussianEvent(sigma=5.0, count=3), ran][ran.kind == "gaussian" :]), DELTA)


def test_a_run_of_another_form_is_covered_when_it_is_cheaper() -> None:
    plan = compose([GaussianEvent(sigma=5.0, count=10)])
    assert covers(plan, compose([GaussianEvent(sigma=4.0, count=2)]), DELTA)


# ---- records


@given(plans)
def test_events_and_costs_survive_json(plan: list[Event]) -> None:
    cost = spent(plan, DELTA)
    assert Spent.model_validate_json(cost.model_dump_json()) == cost
    for event in plan:
        assert type(event).model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    "fields",
    [
        {"sigma": 0},
        {"sigma": -1},
        {"sigma": math.inf},
        {"sigma": math.nan},
        {"sigma": 1, "count": 0},
        {"sigma": 1, "seed": 1},
    ],
)
def test_an_event_that_cannot_be_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        GaussianEvent.model_validate(fields)


def test_the_records_load_without_numerics() -> None:
    heavy = "{'numpy', 'scipy', 'sqlalchemy', 'dp_accounting'}"
    code = f"import sys, synth_assets.privacy.records; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_combinations_of_kinds_all_have_a_cost() -> None:
    kinds: list[Event] = [GaussianEvent(sigma=9.0), ExponentialEvent(epsilon=0.1), ThresholdEvent(delta=1e-7)]
    for size in (1, 2, 3):
        for plan in itertools.combinations(kinds, size):
            assert spent(plan, DELTA).epsilon >= 0
