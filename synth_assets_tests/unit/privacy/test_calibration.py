"""Calibration: close to the target, never above it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import InputError
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.calibration import calibrate, gaussian_rho, total_rho
from synth_assets.privacy.mechanisms import effective_sigma
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, ThresholdEvent


def plan(rho: float) -> list[Event]:
    """A small marginal plan: 20 one-way tables, 60 selections, 60 pairs."""
    return [
        GaussianEvent(sigma=effective_sigma(math.sqrt(20 / (2 * 0.15 * rho))), count=20),
        ExponentialEvent(epsilon=math.sqrt(8 * 0.05 * rho / 60), count=60),
        GaussianEvent(sigma=effective_sigma(math.sqrt(60 / (2 * 0.8 * rho))), count=60),
    ]


@pytest.mark.parametrize(
    ("epsilon", "delta", "zcdp", "exact"),
    [(1.0, 1e-5, 0.0306, 0.0359), (1.0, 1e-6, 0.0244, 0.0280), (10.0, 1e-5, 1.783, 2.001)],
)
def test_the_exact_curve_is_worth_twelve_to_nineteen_percent_of_rho(
    epsilon: float, delta: float, zcdp: float, exact: float
) -> None:
    assert total_rho(epsilon, delta) == pytest.approx(zcdp, abs=5e-4 * zcdp + 5e-5)
    assert gaussian_rho(epsilon, delta) == pytest.approx(exact, abs=5e-4 * exact + 5e-5)
    assert 1.12 < gaussian_rho(epsilon, delta) / total_rho(epsilon, delta) < 1.19


@given(st.floats(0.05, 20.0), st.sampled_from([1e-9, 1e-6, 1e-5]))
def test_a_calibrated_plan_meets_its_target_from_below(epsilon: float, delta: float) -> None:
    scale = calibrate(plan, epsilon=epsilon, delta=delta)
    cost = epsilon_spent(plan(scale), delta)
    assert epsilon * (1 - 1e-3) < cost <= epsilon


def test_selections_and_thresholds_leave_most_of_the_gain() -> None:
    with_selections = calibrate(plan, epsilon=1.0, delta=1e-5)
    assert total_rho(1.0, 1e-5) * 1.13 < with_selections < gaussian_rho(1.0, 1e-5)
    with_threshold = calibrate(lambda r: [*plan(r), ThresholdEvent(delta=5e-6)], epsilon=1.0, delta=1e-5)
    assert with_threshold < with_selections


def test_a_plan_with_its_own_unit_of_scale_is_calibrated_too() -> None:
    scale = calibrate(lambda s: [GaussianEvent(sigma=1e4 / s)], epsilon=1.0, delta=1e-5)
    assert 0.999 < epsilon_spent([GaussianEvent(sigma=1e4 / scale)], 1e-5) <= 1.0


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 1e-5), (-1.0, 1e-5), (math.inf, 1e-5), (1.0, 0.0), (1.0, 1.0)])
def test_a_target_that_cannot_be_is_refused(epsilon: float, delta: float) -> None:
    for function in (total_rho, gaussian_rho, lambda e, d: calibrate(plan, epsilon=e, delta=d)):
        with pytest.raises(InputError):
            function(epsilon, delta)


def test_a_plan_that_no_scale_makes_cheap_enough_is_refused() -> None:
    with pytest.raises(InputError, match="no scale"):
        calibrate(lambda _: [GaussianEvent(sigma=1.0)], epsilon=1.0, delta=1e-5)


def test_a_plan_whose_cost_does_not_grow_is_refused() -> None:
    with pytest.raises(InputError, match="does not grow"):
        calibrate(lambda _: [GaussianEvent(sigma=100.0)], epsilon=1.0, delta=1e-5)
