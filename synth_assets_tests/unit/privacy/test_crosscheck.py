"""The second accountant accepts true claims and fires on false ones."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import CheckFailedError
from synth_assets.privacy import crosscheck
from synth_assets.privacy.accounting import spent
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, ThresholdEvent

DELTA = 1e-6
PLAN: tuple[Event, ...] = (GaussianEvent(sigma=30.0, count=40), ExponentialEvent(epsilon=0.02, count=30))
gaussians = st.builds(
    GaussianEvent, sigma=st.floats(1.0, 500.0), l2_sensitivity=st.floats(0.5, 5.0), count=st.integers(1, 30)
)
selections = st.builds(ExponentialEvent, epsilon=st.floats(0.005, 1.0), count=st.integers(1, 30))


@given(st.lists(gaussians | selections, min_size=1, max_size=4), st.sampled_from([1e-9, 1e-6, 1e-4]))
def test_every_true_claim_is_accepted(plan: list[Event], delta: float) -> None:
    claim = spent(plan, delta)
    check = crosscheck.verify(plan, claim)
    assert check.epsilon_lower * (1 - 1e-6) <= check.epsilon_claimed <= check.epsilon_upper * (1 + 1e-6)


def test_a_claim_with_thresholds_is_accepted() -> None:
    plan = (*PLAN, ThresholdEvent(delta=1e-7, count=3))
    crosscheck.verify(plan, spent(plan, DELTA))


def test_a_claim_of_fewer_events_than_ran_is_caught() -> None:
    ran = (GaussianEvent(sigma=30.0, count=80), *PLAN[1:])
    with pytest.raises(CheckFailedError, match="Gaussian noise alone"):
        crosscheck.verify(ran, spent(PLAN, DELTA))


def test_a_single_forgotten_release_among_a_thousand_is_caught() -> None:
    ran = [GaussianEvent(sigma=100.0, count=1000)]
    with pytest.raises(CheckFailedError, match="Gaussian noise alone"):
        crosscheck.verify(ran, spent([GaussianEvent(sigma=100.0, count=999)], DELTA))


def test_a_claim_with_more_noise_than_was_drawn_is_caught() -> None:
    ran = (GaussianEvent(sigma=20.0, count=40), *PLAN[1:])
    with pytest.raises(CheckFailedError, match="Gaussian noise alone"):
        crosscheck.verify(ran, spent(PLAN, DELTA))


def test_a_claim_above_the_simple_bound_is_caught() -> None:
    claim = spent(PLAN, DELTA)
    inflated = claim.model_copy(update={"epsilon": claim.epsilon_simple * 1.01})
    with pytest.raises(CheckFailedError, match="simple bound"):
        crosscheck.verify(PLAN, inflated)


def test_a_claim_whose_delta_does_not_cover_the_thresholds_is_caught() -> None:
    with pytest.raises(CheckFailedError, match="thresholds"):
        crosscheck.verify((*PLAN, ThresholdEvent(delta=DELTA)), spent(PLAN, DELTA))


def test_nothing_costs_nothing() -> None:
    check = crosscheck.verify([], spent([], DELTA))
    assert (check.epsilon_lower, check.epsilon_upper) == (0, 0)


def test_the_closed_curve_has_the_published_value() -> None:
    assert crosscheck.gaussian_epsilon([GaussianEvent(sigma=1.0)], 0.12693673750664397) == pytest.approx(1.0, abs=1e-9)


def test_the_second_accountant_shares_no_code_with_the_first() -> None:
    tree = ast.parse(Path(crosscheck.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {module for module in imported if module and module.startswith("synth_assets")}
    assert own == {"synth_assets.errors", "synth_assets.privacy.records"}
