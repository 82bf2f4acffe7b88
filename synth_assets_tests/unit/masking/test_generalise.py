"""Coarser values, by hand: years, ZIP3 areas, age bands, bins, rounding, limits; partial masks and redaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.rules import Rule
from synth_assets.masking.generalise import RESTRICTED_ZIP3
from synth_assets.masking.operators import recipe_for, suits
from synth_assets.masking.records import ColumnPlan
from synth_assets_tests.unit.masking.conftest import AS_OF

Brew = Callable[..., Any]


def _do(
    brew: Brew, rule: dict[str, Any] | Rule, values: list[Any], dtype: pa.DataType, entity_type: str = "none"
) -> list[Any]:
    rule = rule if isinstance(rule, Rule) else Rule(**rule)
    plan = ColumnPlan(
        column="v", dtype=str(dtype), entity_type=entity_type, form=entity_type, rule=rule, domain="d", reason=""
    )
    return brew(recipe_for(plan, as_of=AS_OF), values, dtype=dtype)


def test_there_are_seventeen_restricted_areas_and_they_become_000(brew: Brew) -> None:
    assert len(set(RESTRICTED_ZIP3)) == 17
    rule = Rule(action="generalise", to="zip3")
    assert _do(brew, rule, [z + "01" for z in RESTRICTED_ZIP3], pa.string()) == ["000"] * 17
    assert _do(brew, rule, ["02139", "10001-1234", "100011234", "SW1A 1AA", "123", None], pa.string()) == [
        "021",
        "100",
        "100",
        "000",
        "000",
        None,
    ]
    assert _do(brew, rule, [2139, 3601], pa.int64()) == ["021", "000"]


def test_dates_become_the_first_day_of_their_year_or_month_in_the_same_type(brew: Brew) -> None:
    year, month = Rule(action="generalise", to="year"), Rule(action="generalise", to="month")
    assert _do(brew, year, [date(2024, 5, 17), None], pa.date32()) == [date(2024, 1, 1), None]
    assert _do(brew, month, [datetime.fromisoformat("2024-05-17T08:30")], pa.timestamp("us")) == [
        datetime.fromisoformat("2024-05-01")
    ]
    assert _do(brew, year, ["2024-05-17", "May 2024", None], pa.string()) == ["2024-01-01", None, None]
    assert _do(brew, year, [1980, 7, None], pa.int64(), "birth_date") == [1980, None, None]


def test_birth_years_that_imply_an_age_over_89_become_one_group(brew: Brew) -> None:
    rule = Rule(action="generalise", to="year", over_89=True)
    born = [
        date(1900, 1, 1),
        date(1935, 12, 31),
        date(1936, 1, 1),
        date(1937, 6, 1),
    ]  # at the end of 2025: 125, 90, 89, 88
    assert _do(brew, rule, born, pa.date32()) == [
        date(1935, 1, 1),
        date(1935, 1, 1),
        date(1936, 1, 1),
        date(1937, 1, 1),
    ]
    assert _do(brew, rule, [1900, 1936, None], pa.int64()) == [1935, 1936, None]


def test_ages_over_89_are_one_group(brew: Brew) -> None:
    assert _do(brew, {"action": "top_code", "upper": 90}, [5, 89, 90, 91, 117, None], pa.int64()) == [
        5,
        89,
        90,
        90,
        90,
        None,
    ]
    bands = _do(brew, {"action": "generalise", "to": "age_band"}, [0, 4, 5, 88, 89, 90, 117, None], pa.int64(), "age")
    assert bands == ["0-4", "0-4", "5-9", "85-89", "85-89", "90+", "90+", None]
    assert _do(brew, {"action": "generalise"}, [44], pa.int64(), "age") == ["40-44"]
    assert _do(brew, {"action": "generalise", "to": "age_band", "width": 20}, [85], pa.int64()) == ["80-89"]


@pytest.mark.parametrize(
    ("rule", "dtype", "raw", "made"),
    [
        ({"action": "round", "digits": 1}, pa.float64(), [1234.567, -1234.55, 0.04], [1234.6, -1234.6, 0.0]),
        ({"action": "round"}, pa.float64(), [2.5, -2.5, 1e300], [3.0, -3.0, 1e300]),
        ({"action": "round", "digits": -2}, pa.float64(), [1250.5, -1249.0], [1300.0, -1200.0]),
        ({"action": "round", "digits": -2}, pa.int64(), [1250, 1249, -1250, -1249, 2**62], [1300, 1200, -1300, -1200, 4611686018427387900]),
        ({"action": "round", "digits": 0}, pa.string(), ["12.5", "many"], [13.0, None]),
        ({"action": "truncate", "digits": 1}, pa.float64(), [1234.567, -1234.567, 0.09], [1234.5, -1234.5, 0.0]),
        ({"action": "truncate", "digits": 2}, pa.float64(), [1.15, 4.35, -1.15, 2.999], [1.15, 4.35, -1.15, 2.99]),
        ({"action": "truncate", "digits": -3}, pa.int64(), [54_321, -54_999, 999], [54_000, -54_000, 0]),
        ({"action": "truncate", "length": 3}, pa.string(), ["02139", "02", "Zürich"], ["021", "02", "Zür"]),
        ({"action": "generalise", "to": "bin", "width": 25}, pa.int64(), [0, 24, 25, -1, -25], [0, 0, 25, -25, -25]),
        ({"action": "generalise", "width": 0.1}, pa.float64(), [42.3, 42.39, -71.05], [42.3, 42.3, -71.1]),
        ({"action": "top_code", "upper": 10, "lower": 0}, pa.float64(), [-5.0, 3.5, 99.0], [0.0, 3.5, 10.0]),
    ],
)  # fmt: skip
def test_numbers_and_texts_are_rounded_cut_binned_and_limited(
    brew: Brew, rule: dict[str, Any], dtype: pa.DataType, raw: list[Any], made: list[Any]
) -> None:
    assert _do(brew, rule, [*raw, None], dtype) == [*made, None]


@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=100),
    st.lists(st.floats(-1e9, 1e9).map(lambda x: round(x, 4)), min_size=1, max_size=100),
    st.integers(0, 6),
)
@settings(max_examples=6)
def test_cutting_agrees_with_exact_decimals(brew: Brew, wholes: list[int], fractions: list[float], digits: int) -> None:
    for down in (False, True):
        action, how = ("truncate", ROUND_DOWN) if down else ("round", ROUND_HALF_UP)
        step = Decimal(10) ** digits
        expected = [int((Decimal(v) / step).quantize(Decimal(1), how) * step) for v in wholes]
        assert _do(brew, {"action": action, "digits": -digits}, wholes, pa.int64()) == expected
    step = Decimal(1).scaleb(-min(digits, 3))
    expected_cut = [float(Decimal(repr(v)).quantize(step, ROUND_DOWN)) for v in fractions]
    made = _do(brew, {"action": "truncate", "digits": min(digits, 3)}, fractions, pa.float64())
    assert made == pytest.approx(expected_cut, abs=1e-9)


def test_coordinates_fall_into_cells_of_a_tenth_of_a_degree(brew: Brew) -> None:
    assert _do(brew, {"action": "generalise"}, [42.3601, -71.0589], pa.float64(), "coordinates") == [42.3, -71.1]


def _plan(dtype: str, rule: dict[str, Any], *, decimals: int | None = None, entity_type: str = "none") -> ColumnPlan:
    return ColumnPlan(
        column="v", dtype=dtype, decimals=decimals, entity_type=entity_type, rule=Rule(**rule), domain="d", reason=""
    )


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (_plan("int64", {"action": "round"}), "changes nothing"),
        (_plan("int64", {"action": "truncate", "digits": 2}), "changes nothing"),
        (_plan("double", {"action": "round", "digits": 2}, decimals=2), "changes nothing"),
        (_plan("string", {"action": "round"}), "needs `digits`"),
        (_plan("string", {"action": "truncate"}), "or `length`"),
        (_plan("int64", {"action": "truncate", "length": 3}), "cuts texts"),
        (_plan("bool", {"action": "round"}), "type bool"),
        (_plan("double", {"action": "generalise"}), "needs `to` or `width`"),
        (_plan("bool", {"action": "generalise"}), "type bool"),
    ],
)
def test_a_rule_that_would_leave_the_values_as_they_are_or_cannot_work_is_refused(plan: ColumnPlan, words: str) -> None:
    problem = suits(plan, as_of=AS_OF)
    assert problem is not None
    assert words in problem


def test_rules_that_do_something_are_not_refused() -> None:
    for plan in (
        _plan("int64", {"action": "round", "digits": -1}),
        _plan("double", {"action": "round", "digits": 1}, decimals=2),
        _plan("double", {"action": "truncate", "digits": 9}),
        _plan("string", {"action": "truncate", "length": 3}),
    ):
        assert suits(plan, as_of=AS_OF) is None


@pytest.mark.parametrize(
    ("entity_type", "raw", "made"),
    [
        ("person_name", "John Smith", "J*** S****"),
        ("person_name", "José Nuñez-Ort", "J*** N********"),
        ("email", "john.smith@mail.co.uk", "***@***.uk"),
        ("email", "no address", "***@***"),
        ("ssn", "123-45-6789", "***-**-****"),
        ("none", "A b", "A b"),
        ("none", "", ""),
    ],
)
def test_partial_masks_show_first_letters_of_words_and_nothing_of_codes(
    brew: Brew, entity_type: str, raw: str, made: str
) -> None:
    assert _do(brew, {"action": "partial"}, [raw, None], pa.string(), entity_type) == [made, None]


def test_a_partial_mask_may_keep_the_last_characters(brew: Brew) -> None:
    rule = {"action": "partial", "keep_last": 4}
    assert _do(brew, rule, ["4111 1111 1111 1234", "12", None], pa.string(), "card_number") == [
        "**** **** **** 1234",
        "12",
        None,
    ]
    assert _do(brew, rule, [123456789], pa.int64(), "ssn") == ["*****6789"]


def test_redaction_leaves_one_text_or_nothing(brew: Brew) -> None:
    assert _do(brew, {"action": "redact"}, ["a", None], pa.string()) == ["[REDACTED]", None]
    assert _do(brew, {"action": "redact", "token": "County"}, ["a"], pa.string()) == ["County"]
    assert _do(brew, {"action": "redact"}, [5, None], pa.int64()) == [None, None]
    assert _do(brew, {"action": "redact"}, [date(2024, 1, 1)], pa.date32()) == [None]


def test_keeping_changes_nothing(brew: Brew) -> None:
    assert _do(brew, {"action": "keep"}, [1.5, None], pa.float64()) == [1.5, None]
