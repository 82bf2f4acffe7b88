"""The public form: no extreme, no value of an identifying column, no group of 1 to 10 rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.profiling.disclosure import SMALLEST_CELL, suppressed
from synth_assets.profiling.profile import profile_table
from synth_assets.profiling.records import TableProfile
from synth_assets.tables.engine import Engine

CANARY = "canary.person@example.org"


@pytest.fixture
def full(written: Any, engine: Engine) -> TableProfile:
    rng = np.random.default_rng(2)
    rows = 300
    days = np.datetime64("1950-03-17") + np.arange(rows).astype("timedelta64[D]")
    data = {
        "email": pa.array([CANARY] * 12 + [f"p{i % 100}@example.org" for i in range(rows - 12)]),
        "ssn": pa.array([4_111_222_333] * 15 + [int(v) for v in rng.integers(10**8, 10**9, rows - 15)], pa.int64()),
        "ward": pa.array(["north"] * 150 + ["south"] * 120 + ["rare ward"] * 5 + ["west"] * 20 + [None] * 5),
        "cost": pa.array([98_765.4321] + [float(v) for v in rng.normal(100, 10, rows - 1)]),
        "born": pa.array(days, pa.date32()),
        "plain": pa.array(["x"] * 200 + [None] * 100),
    }
    path, schema = written(data)
    identifying = frozenset({"email", "ssn"})
    return profile_table(path, schema, engine, identifying=identifying, quasi=("ward", "plain"), sensitive=("cost",))


def test_no_value_of_an_identifying_column_is_left(full: TableProfile) -> None:
    text = full.public().model_dump_json()
    assert CANARY in full.model_dump_json()
    assert "canary" not in text
    assert "4111222333" not in text
    ssn = full.public().column("ssn")
    assert (ssn.number, ssn.histogram, ssn.top_values) == (None, None, ())
    assert ssn.distinct == full.column("ssn").distinct


def test_extremes_are_gone_from_every_column(full: TableProfile) -> None:
    public = full.public()
    text = public.model_dump_json()
    assert "98765" in full.model_dump_json()
    assert "98765" not in text
    assert "1950-03-17" not in text
    cost, born, ward = public.column("cost"), public.column("born"), public.column("ward")
    assert cost.number is not None
    assert (cost.number.minimum, cost.number.maximum) == (None, None)
    assert cost.number.median == pytest.approx(100, abs=3)
    assert cost.histogram is not None
    assert (cost.histogram.edges[0], cost.histogram.edges[-1]) == (None, None)
    assert born.time is not None
    assert (born.time.minimum, born.time.median) == (None, "1950-08")
    assert ward.text is not None
    assert (ward.text.min_length, ward.text.max_length) == (None, None)


def test_rare_values_and_small_counts_are_hidden(full: TableProfile) -> None:
    ward = full.public().column("ward")
    assert [v.value for v in ward.top_values] == ["north", "south"]  # west joins the rest, which would else be 5
    assert ward.rows_of_other_values == 25
    assert (ward.count, ward.missing) == (None, None)
    assert "rare ward" not in full.public().model_dump_json()
    plain = full.public().column("plain")
    assert (plain.count, plain.missing) == (200, 100)
    cost = full.public().column("cost").number
    assert cost is not None
    assert cost.outliers_zscore is None  # one row


def test_the_public_form_is_marked_and_stable(full: TableProfile) -> None:
    public = full.public()
    assert (full.form, public.form) == ("full", "public")
    assert public.public() is public
    assert TableProfile.model_validate_json(public.model_dump_json()) == public
    assert public.anonymity is not None
    assert public.anonymity.unique_rows == 0
    assert public.anonymity.rows_below_5 == 0
    assert public.associations is not None


def test_shapes_of_an_identifying_column_show_no_rare_sign(written: Any, engine: Engine) -> None:
    path, schema = written({"code": ["#1!", "*2!"] * 12 + ["A-1"] * 20, "other": ["#1!", "*2!"] * 12 + ["A-1"] * 20})
    public = profile_table(path, schema, engine, identifying=frozenset({"code"})).public()
    code, other = public.column("code").text, public.column("other").text
    assert code is not None
    assert other is not None
    assert [(s.value, s.rows) for s in code.shapes] == [("?9?", 24), ("A-9", 20)]
    assert [(s.value, s.rows) for s in other.shapes] == [("A-9", 20), ("#9!", 12), ("*9!", 12)]


def test_a_table_of_ten_rows_shows_names_only(written: Any, engine: Engine) -> None:
    path, schema = written({"x": list(range(10)), "s": ["a"] * 10})
    public = profile_table(path, schema, engine).public()
    assert (public.row_count, public.duplicates, public.associations, public.uniqueness) == (None, None, None, None)
    assert [(c.name, c.count, c.number, c.top_values) for c in public.columns] == [
        ("x", None, None, ()),
        ("s", None, None, ()),
    ]


def test_a_column_with_few_values_shows_none_of_them(written: Any, engine: Engine) -> None:
    path, schema = written({"x": pa.array([7.25] * 8 + [None] * 92), "y": pa.array([None] * 100, pa.float64())})
    public = profile_table(path, schema, engine).public()
    x, y = public.column("x"), public.column("y")
    assert (x.count, x.missing, x.number, x.top_values, x.histogram) == (None, None, None, (), None)
    assert (y.count, y.missing) == (0, 100)


def test_one_hidden_cell_hides_a_second() -> None:
    assert suppressed([5, 20, 30]) == [None, None, 30]
    assert suppressed([5, 9, 30]) == [None, None, 30]
    assert suppressed([1, 2, 40, 50]) == [None, None, None, 50]
    assert suppressed([0, 11, 12]) == [0, 11, 12]
    assert suppressed([3]) == [None]


@given(st.lists(st.integers(0, 60), max_size=25))
def test_no_hidden_cell_follows_from_the_sum(counts: list[int]) -> None:
    shown = suppressed(counts)
    hidden = [n for n, s in zip(counts, shown, strict=True) if s is None]
    assert all(s is None or s == 0 or s >= SMALLEST_CELL for s in shown)
    assert all(s is None or s == n for n, s in zip(counts, shown, strict=True))
    if hidden and any(s for s in shown if s):
        assert len(hidden) >= 2
        assert sum(hidden) >= SMALLEST_CELL
