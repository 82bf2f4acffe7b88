"""Formulas: what they mean on columns, and what they refuse."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.config.formulas import formula_names, parse_formula
from synth_assets.errors import ConfigError
from synth_assets.generation.formulas import evaluate, numbers
from synth_assets.generation.values import Coded, to_arrow

TODAY = dt.date(2025, 12, 31)
COLUMNS = {
    "age": np.array([10, 70, 40]),
    "kind": Coded(np.array([0, 1, 1]), ("a", "b")),
    "day": np.array(["2024-01-31", "2025-12-31", "2020-02-29"], dtype="datetime64[D]"),
    "name": pa.array(["x", "y", "x"]),
    "p.size": np.array([1.5, 2.5, 3.5]),
    "flag": np.array([True, False, True]),
}


def value(formula: str) -> object:
    return to_arrow(evaluate(formula, COLUMNS.__getitem__, 3, today=TODAY, key="k")).to_pylist()


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("1 + 2 * age", [21, 141, 81]),
        ("age // 20 + age % 20 - 1", [9, 12, 1]),
        ("p.size ** 2", [2.25, 6.25, 12.25]),
        ("0.5 * (age >= 65) + 0.1", [0.1, 0.6, 0.1]),
        ("1 if age < 18 else 2 if age < 65 else 3", [1, 3, 2]),
        ("kind == 'a'", [True, False, False]),
        ("'a' != kind", [False, True, True]),
        ("kind in ('a', 'c')", [True, False, False]),
        ("age not in [10, 40]", [False, True, False]),
        ("name == 'x' and not age == 10", [False, False, True]),
        ("{'a': 5, 'b': age}[kind]", [5, 70, 40]),
        ("{'a': 'one', 'b': 'two'}[kind]", ["one", "two", "two"]),
        ("'old' if age > 60 else kind", ["a", "old", "b"]),
        ("10 < age <= 70", [False, True, True]),
        ("day + 1", [dt.date(2024, 2, 1), dt.date(2026, 1, 1), dt.date(2020, 3, 1)]),
        ("today - day", [700.0, 0.0, 2132.0]),
        ("day - 31 <= date('2023-12-31')", [True, False, True]),
        ("max(day, date('2024-06-01'))", [dt.date(2024, 6, 1), dt.date(2025, 12, 31), dt.date(2024, 6, 1)]),
        ("year(day) * 100 + month(day)", [202401, 202512, 202002]),
        ("weekday(day)", [2, 2, 5]),  # Wednesday, Wednesday, Saturday
        ("years(today - day)", [1.0, 0.0, 5.0]),
        ("min(age, 20) + max(age, 20, 30)", [40, 90, 60]),
        ("clip(age, 20, 50)", [20, 50, 40]),
        ("round(p.size / 2, 1)", [0.8, 1.2, 1.8]),
        ("sigmoid(age - 40) > 0.5", [False, True, False]),
        ("-age", [-10, -70, -40]),
        ("floor(1.7) + ceil(1.2) + abs(0 - 3) + sqrt(16) + exp(0) + log(1)", [11.0, 11.0, 11.0]),
        ("flag + flag", [2, 0, 2]),
        ("'same'", ["same", "same", "same"]),
        ("7", [7, 7, 7]),
    ],
)
def test_a_formula_gives_what_it_says(formula: str, expected: list[object]) -> None:
    assert value(formula) == pytest.approx(expected) if isinstance(expected[0], float) else value(formula) == expected


@pytest.mark.parametrize(
    ("formula", "part"),
    [
        ("__import__('os')", "only these functions"),
        ("age.real.imag", "table.column"),
        ("age[0]", "choice by value"),
        ("lambda: 1", "lambda"),
        ("[x for x in age]", "listcomp"),
        ("f'{age}'", "joinedstr"),
        ("age :=3", "not a formula"),
        ("1 +", "not a formula"),
        ("None", "constants"),
        ("round(1, 2, 3)", "1 to 2 arguments"),
        ("round(x=1)", "only these functions"),
        ("date(age)", "one day in quotes"),
        ("date('2024-13-01')", "one day in quotes"),
        ("{age: 1}[kind]", "constants"),
        ("age & 1", "bitand"),
        ("'a'" * 900, "characters"),
        ("-" * 500 + "1", "deeply"),
        ("1" * 30, "below 2"),
    ],
)
def test_what_is_no_formula_is_refused_when_it_is_read(formula: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        parse_formula(formula)


@pytest.mark.parametrize(
    "formula",
    [
        "kind + 1",
        "kind < 1",
        "not kind",
        "max(kind, 1)",
        "'a' if age > 1 else 2",
        "{'a': 1}[kind]",
        "day * 2",
        "day + day",
    ],
)
def test_kinds_that_do_not_go_together_name_the_key(formula: str) -> None:
    with pytest.raises(ConfigError) as error:
        value(formula)
    assert error.value.key == "k"


@pytest.mark.parametrize("formula", ["1 / (age - 10)", "log(0 - age)", "kind", "day"])
def test_a_number_is_a_finite_number(formula: str) -> None:
    with pytest.raises(ConfigError):
        numbers(formula, COLUMNS.__getitem__, 3, today=TODAY, key="k")


def test_the_names_of_a_formula_are_its_columns() -> None:
    assert formula_names("max(a, t.b) + {'x': c}[d] + (today - e) / 2 if f in ('g', h) else 1") == {
        "a",
        "t.b",
        "c",
        "d",
        "e",
        "f",
        "h",
    }
    assert formula_names(3.0) == frozenset()


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(1, 50))
def test_arithmetic_is_that_of_python(a: int, b: int, c: int) -> None:
    column = {"a": np.array([a]), "b": np.array([b]), "c": np.array([c])}
    got = evaluate("a * b - c + a // c + b % c + (a > b)", column.__getitem__, 1, today=TODAY, key="k")
    assert np.asarray(got)[0] == a * b - c + a // c + b % c + (a > b)
