"""Coarser values, by hand: years, ZIP3 areas, age bands, bins, rounding, limits; partial masks and redaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import ibis
import pyarrow as pa
import pytest

from synth_assets.config.policy import Rule
from synth_assets.masking.generalise import RESTRICTED_ZIP3, generalised
from synth_assets.masking.operators import recipe_for
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


def test_numbers_are_rounded_cut_binned_and_limited(brew: Brew) -> None:
    numbers = [1234.567, -1234.567, None]
    assert _do(brew, {"action": "generalise", "to": "round", "digits": 1}, numbers, pa.float64()) == [
        1234.6,
        -1234.6,
        None,
    ]
    assert _do(brew, {"action": "generalise", "to": "truncate", "digits": 1}, numbers, pa.float64()) == [
        1234.5,
        -1234.5,
        None,
    ]
    assert _do(brew, {"action": "generalise", "to": "round", "digits": -2}, [1250, 1249, None], pa.int64()) == [
        1300,
        1200,
        None,
    ]
    assert _do(brew, {"action": "generalise", "to": "bin", "width": 25}, [0, 24, 25, -1], pa.int64()) == [0, 0, 25, -25]
    assert _do(brew, {"action": "top_code", "upper": 10, "lower": 0}, [-5.0, 3.5, 99.0], pa.float64()) == [0, 3.5, 10]


def test_a_type_that_cannot_be_generalised_says_so() -> None:
    for kind in ("bool", "string"):
        column = ibis.table({"x": "boolean" if kind == "bool" else "string"}, name="t")["x"]
        assert generalised(column, kind, Rule(action="generalise"), entity_type="none", as_of=AS_OF) is None


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
