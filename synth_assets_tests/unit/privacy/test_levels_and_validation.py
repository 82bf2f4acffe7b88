"""Levels by their bounds; the verdict on a configuration, with reasons and without spending."""

from __future__ import annotations

import itertools
import math

import pytest

from synth_assets.errors import InputError
from synth_assets.privacy.levels import LEVELS, level_of
from synth_assets.privacy.records import BudgetStatus, GaussianEvent, ThresholdEvent
from synth_assets.privacy.validate import validate


@pytest.mark.parametrize(
    ("epsilon", "name"),
    [
        (0.0, "very strong"),
        (math.nextafter(1, 0), "very strong"),
        (1.0, "strong"),
        (math.nextafter(5, 0), "strong"),
        (5.0, "moderate"),
        (math.nextafter(10, 0), "moderate"),
        (10.0, "weak"),
        (math.nextafter(20, 0), "weak"),
        (20.0, "minimal"),
        (1e9, "minimal"),
        (math.inf, "minimal"),
    ],
)
def test_a_level_holds_its_lower_bound_and_not_its_upper(epsilon: float, name: str) -> None:
    assert level_of(epsilon).name == name
    assert level_of(epsilon).use_case


def test_the_levels_follow_on_each_other_without_a_gap() -> None:
    assert LEVELS[0].lower == 0
    assert LEVELS[-1].upper == math.inf
    assert all(a.upper == b.lower for a, b in itertools.pairwise(LEVELS))


@pytest.mark.parametrize("epsilon", [-1e-9, math.nan])
def test_an_epsilon_that_cannot_be_has_no_level(epsilon: float) -> None:
    with pytest.raises(InputError):
        level_of(epsilon)


def budget(left: float = 9.0, epsilon: float = 10.0) -> BudgetStatus:
    return BudgetStatus(
        population="clinic",
        unit="row",
        epsilon=epsilon,
        delta=1e-5,
        spent=epsilon - left,
        reserved=0,
        left=left,
        overspent=False,
        level="strong",
        events=0,
        ledger_rows=1,
        ledger_head="0" * 64,
        releases=(),
    )


def test_a_sound_configuration_has_no_finding_and_a_predicted_epsilon() -> None:
    verdict = validate(epsilon=1.0, delta=1e-6, rows=50_000, plan=[GaussianEvent(sigma=4.25)], budget=budget())
    assert verdict.valid
    assert verdict.errors == verdict.warnings == ()
    assert verdict.predicted_epsilon == pytest.approx(0.995, abs=0.01)
    assert verdict.recommended == {"epsilon": 1.0, "delta": 1e-6}
    assert verdict.level == "strong"


@pytest.mark.parametrize(
    ("epsilon", "delta", "rows", "key", "words"),
    [
        (0.0, 1e-6, None, "epsilon", "greater than 0"),
        (-1.0, 1e-6, None, "epsilon", "greater than 0"),
        (math.inf, 1e-6, None, "epsilon", "greater than 0"),
        (math.nan, 1e-6, None, "epsilon", "greater than 0"),
        (1.0, 0.0, None, "delta", "between 0 and 1"),
        (1.0, 1.0, None, "delta", "between 0 and 1"),
        (1.0, 1e-3, 1000, "delta", "not below 1/n"),
        (1.0, 1e-2, 1000, "delta", "not below 1/n"),
        (1.0, 1e-6, 0, "rows", "at least 1"),
    ],
)
def test_an_unusable_configuration_is_an_error_with_a_reason(
    epsilon: float, delta: float, rows: int | None, key: str, words: str
) -> None:
    verdict = validate(epsilon=epsilon, delta=delta, rows=rows)
    assert not verdict.valid
    assert [(e.key, words in e.message) for e in verdict.errors] == [(key, True)]
    assert verdict.recommended["epsilon"] > 0
    assert 0 < verdict.recommended["delta"] < 1 / max(rows or 1, 1)
    assert validate(**{**verdict.recommended, "rows": rows or None}).valid  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("epsilon", "delta", "rows", "words"),
    [
        (0.09, 1e-6, None, "below 0.1"),
        (10.1, 1e-6, None, "above 10"),
        (1.0, 5e-4, 1000, "factor of 10"),
        (1.0, 1e-4, None, "not declared"),
    ],
)
def test_a_doubtful_configuration_is_a_warning_with_a_reason(
    epsilon: float, delta: float, rows: int | None, words: str
) -> None:
    verdict = validate(epsilon=epsilon, delta=delta, rows=rows)
    assert verdict.valid
    assert [words in w.message for w in verdict.warnings] == [True]


@pytest.mark.parametrize("epsilon", [0.1, 10.0])
def test_the_ends_of_the_recommended_range_do_not_warn(epsilon: float) -> None:
    assert validate(epsilon=epsilon, delta=1e-6).warnings == ()


def test_a_plan_that_costs_more_than_its_target_is_an_error() -> None:
    verdict = validate(epsilon=1.0, delta=1e-6, plan=[GaussianEvent(sigma=3.0)])
    assert not verdict.valid
    assert "above the target" in verdict.errors[0].message
    assert verdict.predicted_epsilon is not None
    assert verdict.predicted_epsilon > 1


def test_a_plan_that_leaves_budget_unused_is_a_warning() -> None:
    verdict = validate(epsilon=1.0, delta=1e-6, plan=[GaussianEvent(sigma=30.0)])
    assert verdict.valid
    assert "less noise would be possible" in verdict.warnings[0].message


def test_a_plan_whose_thresholds_use_delta_up_is_an_error() -> None:
    verdict = validate(epsilon=1.0, delta=1e-6, plan=[GaussianEvent(sigma=30.0), ThresholdEvent(delta=1e-6)])
    assert not verdict.valid
    assert verdict.predicted_epsilon is None


def test_the_budget_is_held_against_the_target() -> None:
    above = validate(epsilon=11.0, delta=1e-6, budget=budget())
    assert not above.valid
    assert "whole budget" in above.errors[0].message
    doubtful = validate(epsilon=2.0, delta=1e-4, rows=100, budget=budget(left=1.0))
    assert doubtful.valid
    assert [w.key for w in doubtful.warnings] == ["delta", "epsilon"]
    assert validate(epsilon=0.0, delta=1e-6, budget=budget(left=0.2, epsilon=0.5)).recommended["epsilon"] == 0.5
