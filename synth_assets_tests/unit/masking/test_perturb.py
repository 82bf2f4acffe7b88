"""Bounded noise: the bound holds, the precision stays, the same row gets the same noise, and another key gives another one."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.rules import Rule
from synth_assets.errors import ConfigError
from synth_assets.masking.operators import suits
from synth_assets.masking.perturb import perturb
from synth_assets.masking.records import ColumnPlan
from synth_assets_tests.unit.masking.conftest import AS_OF, House

Brew = Callable[..., Any]
TYPES = {"int64": pa.int64(), "double": pa.float64(), "date32[day]": pa.date32(), "timestamp[us]": pa.timestamp("us")}


def _plan(dtype: str, *, entity_type: str = "none", decimals: int | None = None, **rule: Any) -> ColumnPlan:
    return ColumnPlan(
        column="v",
        dtype=dtype,
        decimals=decimals,
        entity_type=entity_type,
        rule=Rule(action="perturb", **rule),
        domain="pay",
        reason="",
    )


def _noisy(brew: Brew, plan: ColumnPlan, values: list[Any], **options: Any) -> list[Any]:
    rows = {"row": [str(i) for i in range(len(values))]} | options.pop("companions", {})
    return brew(perturb(plan), values, dtype=TYPES.get(plan.dtype, pa.string()), companions=rows, **options)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=200), st.integers(1, 10**6))
@settings(max_examples=6)
def test_whole_numbers_move_by_at_most_the_bound_and_always(brew: Brew, values: list[int], bound: int) -> None:
    for raw, made in zip(values, _noisy(brew, _plan("int64", bound=bound), values), strict=True):
        assert 0 < abs(made - raw) <= bound


@given(st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=200), st.floats(0.1, 100))
@settings(max_examples=6)
def test_amounts_move_by_at_most_their_percentage_and_keep_their_cents(
    brew: Brew, cents: list[int], percent: float
) -> None:
    values = [c / 100 for c in cents]
    for raw, made in zip(values, _noisy(brew, _plan("double", decimals=2, percent=percent), values), strict=True):
        assert abs(made - raw) <= abs(raw) * percent / 100 + 1e-7
        assert made == round(made, 2)
        if abs(raw) * percent / 100 >= 0.011:
            assert made != raw


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.floats(0.01, 1000))
@settings(max_examples=6)
def test_fractions_of_unknown_precision_stay_within_the_bound(brew: Brew, values: list[float], bound: float) -> None:
    for raw, made in zip(values, _noisy(brew, _plan("double", bound=bound), values), strict=True):
        assert abs(made - raw) <= bound * (1 + 1e-9) + 1e-9


def test_days_and_times_move_within_the_bound_in_their_own_type(brew: Brew) -> None:
    days = [date(2024, 1, 1) + timedelta(days=i) for i in range(300)]
    moved = [m - d for d, m in zip(days, _noisy(brew, _plan("date32[day]", bound=7), days), strict=True)]
    assert {abs(m.days) for m in moved} == set(range(1, 8))
    times = [datetime.fromisoformat("2024-01-01T08:30:15") + timedelta(hours=i) for i in range(300)]
    shifts = [m - t for t, m in zip(times, _noisy(brew, _plan("timestamp[us]", bound=1), times), strict=True)]
    assert all(timedelta(0) < abs(s) <= timedelta(days=1) and not s.microseconds for s in shifts)
    assert len(set(shifts)) > 250


def test_texts_of_dates_become_iso_texts_and_texts_of_numbers_numbers(brew: Brew) -> None:
    made = _noisy(brew, _plan("string", entity_type="birth_date", bound=3), ["2024-05-17", "soon", None])
    assert abs(date.fromisoformat(made[0]) - date(2024, 5, 17)) <= timedelta(days=3)
    assert made[1:] == [None, None]
    made = _noisy(brew, _plan("string", bound=3), ["100", "many", None])
    assert 0 < abs(made[0] - 100) <= 3
    assert made[1:] == [None, None]


def test_the_noise_of_a_row_is_the_same_again_and_another_key_row_or_column_has_another(brew: Brew) -> None:
    plan, values = _plan("int64", bound=10**9), [500] * 50
    first = _noisy(brew, plan, values)
    assert first == _noisy(brew, plan, values)
    assert len(set(first)) == 50  # equal values in different rows do not get equal noise
    assert not set(first) & set(_noisy(brew, plan, values, release_domain="other"))
    assert not set(first) & set(_noisy(brew, plan, values, companions={"row": [f"x{i}" for i in range(50)]}))


def test_the_noise_is_centred_and_reaches_both_ends(brew: Brew) -> None:
    noise = [m - 1000 for m in _noisy(brew, _plan("int64", bound=10), [1000] * 20_000)]
    assert {*noise} == {n for n in range(-10, 11) if n}
    assert abs(statistics.fmean(noise)) < 5 * 6.2 / 20_000**0.5  # five standard errors; fixed key, so no flakiness


def test_odd_numbers_break_nothing(brew: Brew) -> None:
    made = _noisy(brew, _plan("double", decimals=2, percent=5), [0.0, 1e300, -1e300, float("nan"), None])
    assert made[0] == 0.0
    assert made[4] is None
    assert _noisy(brew, _plan("int64", percent=50), [0, 1, None]) == [0, 1, None]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (_plan("bool", bound=1), "type bool"),
        (_plan("int64", bound=0.5), "below 1"),
        (_plan("double", decimals=1, bound=0.05), "below 0.1"),
        (_plan("date32[day]", percent=5), "in days"),
        (_plan("timestamp[us]", bound=0.5), "at least one day"),
    ],
)
def test_noise_that_cannot_work_is_refused(plan: ColumnPlan, words: str) -> None:
    assert words in str(suits(plan, as_of=AS_OF))


@pytest.mark.parametrize("rule", [{}, {"bound": 1, "percent": 1}, {"bound": 0}, {"percent": 101}, {"digits": 1}])
def test_a_rule_has_one_bound_that_is_one(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="perturb|greater|less"):
        Rule(action="perturb", **rule)


def test_rows_are_named_by_their_key_so_their_order_does_not_matter(house: House) -> None:
    ids, pay = [f"P{i}" for i in range(40)], [50_000 + i for i in range(40)]
    rule = {"t": {"pay": ColumnConfig(action=Rule(action="perturb", percent=10)), "id": ColumnConfig(action="keep")}}
    types = {"id": "none", "pay": "salary_or_income"}
    house.table("t", {"id": ids, "pay": pay}, types, key=("id",))
    house.mask(overrides=rule, out="forward")
    house.table("t", {"id": ids[::-1], "pay": pay[::-1]}, types, key=("id",))
    summary = house.mask(overrides=rule, out="backward")["t"]
    assert house.read("t", "forward")["pay"] == house.read("t", "backward")["pay"][::-1]
    assert {c.column: c.action for c in summary.columns}["pay"] == "perturb"
    assert all(abs(m - r) <= r * 0.1 for m, r in zip(house.read("t", "forward")["pay"], pay, strict=True))


def test_without_a_key_the_rows_are_named_by_their_number(house: House) -> None:
    house.table("t", {"pay": [50_000] * 40}, {"pay": "none"})
    rule = {"t": {"pay": ColumnConfig(action=Rule(action="perturb", bound=10_000))}}
    house.mask(overrides=rule)
    assert len(set(house.read("t")["pay"])) > 35


def test_an_override_that_cannot_work_is_an_error_with_its_column(house: House) -> None:
    house.table("t", {"ok": [True]}, {"ok": "none"})
    with pytest.raises(ConfigError, match="noise cannot be added") as caught:
        house.plans(overrides={"t": {"ok": ColumnConfig(action=Rule(action="perturb", bound=1))}})
    assert caught.value.column == "ok"
