"""The public form: no extreme, no value of an identifying column, no group of 1 to 10 rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.profiling.disclosure import SMALLEST_CELL, SMALLEST_SHOWN, rounded, suppressed
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
    return profile_table(path, schema, engine, identifying=identifying, quasi=("plain",), sensitive=("cost",))


def test_no_value_of_an_identifying_column_is_left(full: TableProfile) -> None:
    text = full.public().model_dump_json()
    assert CANARY in full.model_dump_json()
    assert "canary" not in text
    assert "4111222333" not in text
    ssn = full.public().column("ssn")
    assert (ssn.number, ssn.histogram, ssn.top_values) == (None, None, ())
    assert full.column("ssn").distinct == 286
    assert ssn.distinct is None  # all but 14 rows have a number of their own
    assert full.public().column("email").distinct == 100


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
    assert ward.rows_of_other_values == 20  # 25, in tens
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
    assert [(s.value, s.rows) for s in code.shapes] == [("?9?", 20), ("A-9", 20)]
    assert [(s.value, s.rows) for s in other.shapes] == [("A-9", 20)]


def test_shapes_of_an_identifying_column_do_not_tell_the_length_of_words(written: Any, engine: Engine) -> None:
    path, schema = written(
        {"state": ["Massachusetts"] * 40, "mail": [f"{'ab' * (1 + i % 3)}{i:02}@x.org" for i in range(40)]}
    )
    public = profile_table(path, schema, engine, identifying=frozenset({"mail"}), quasi=("state",)).public()
    state, mail = public.column("state").text, public.column("mail").text
    assert state is not None
    assert mail is not None
    assert [s.value for s in state.shapes] == ["Aa\u2026"]
    assert [(s.value, s.rows) for s in mail.shapes] == [("a\u202699@a.a\u2026", 40)]


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
    assert suppressed([5, 20, 30, 300]) == [None, None, 30, 300]
    assert suppressed([5, 9, 30, 40]) == [None, None, None, 40]
    assert suppressed([5, 14, 30, 40]) == [None, None, 30, 40]
    assert suppressed([1, 2, 40, 50]) == [None, None, None, 50]
    assert suppressed([0, 15, 17]) == [0, 20, 20]
    assert suppressed([3]) == [None]


def test_counts_are_rounded_to_tens_and_to_three_digits() -> None:
    assert [rounded(n) for n in (None, 0, 15, 994, 26_254, 1_234_567)] == [None, 0, 20, 990, 26_300, 1_230_000]


@given(st.lists(st.integers(0, 60), max_size=25))
def test_no_hidden_cell_follows_from_the_sum(counts: list[int]) -> None:
    shown = suppressed(counts)
    hidden = [n for n, s in zip(counts, shown, strict=True) if s is None]
    assert all(s is None or s == 0 or s > SMALLEST_CELL for s in shown)
    assert all(s is None or s == rounded(n) for n, s in zip(counts, shown, strict=True))
    if hidden and any(s for s in shown if s):
        assert len(hidden) >= 2
        assert sum(hidden) >= SMALLEST_SHOWN


QUASI_CITY, QUASI_AGE = "Quillvexham", 4_111


def test_no_value_of_a_quasi_identifier_is_left(written: Any, engine: Engine) -> None:
    """Values in 100 rows of 300, well above any limit of small cells."""
    rng = np.random.default_rng(3)
    data = {
        "city": [QUASI_CITY] * 100 + ["Nuxwem"] * 200,
        "age": [QUASI_AGE] * 100 + [int(a) for a in rng.integers(4_000, 4_090, 200)],
        "born": pa.array(np.full(300, np.datetime64("1961-07-19")), pa.date32()),
        "blood": ["A+"] * 150 + ["0-"] * 150,
    }
    full = profile_table(*written(data), engine, quasi=("city", "age", "born"), sensitive=("blood",))
    public = full.public()
    assert all(str(v) in full.model_dump_json() for v in (QUASI_CITY, QUASI_AGE, "Nuxwem", "1961-07-19"))
    assert not [v for v in (QUASI_CITY, str(QUASI_AGE), "Nuxwem", "1961-07") if v in public.model_dump_json()]
    assert [v.value for v in public.column("blood").top_values] == ["0-", "A+"]  # of no identifying column: it stays
    age, born = public.column("age"), public.column("born")
    assert age.number is not None
    assert (age.number.median, age.number.q75) == (4_100, 4_100)  # two digits
    assert age.histogram is not None
    assert set(age.histogram.edges) == {None}
    assert born.time is not None
    assert born.time.median == "1961"
    assert set(TableProfile.model_validate(public).column("city").model_dump()["top_values"]) == set()


def test_bins_do_not_tell_how_far_an_extreme_lies(written: Any, engine: Engine, tmp_path: Path) -> None:
    """The same public histogram with and without somebody far out, whose value the bins of equal width used to give away."""
    rng = np.random.default_rng(4)
    usual = [float(v) for v in np.round(rng.normal(100, 10, 2_000), 1)]
    shown = []
    for number, extreme in enumerate((135.0, 98_765.5, 9_876_543.5)):
        folder = tmp_path / str(number)
        folder.mkdir()
        full = profile_table(*written({"cost": [*usual, extreme]}, folder=folder), engine)
        histogram = full.column("cost").histogram
        assert histogram is not None
        assert sum(n or 0 for n in histogram.counts) == 2_001
        public = full.public().column("cost").histogram
        assert public is not None
        assert public.edges[0] is public.edges[-1] is None
        assert all(n is None or n > SMALLEST_CELL for n in (public.counts[0], public.counts[-1]))
        shown.append(public)
    assert shown[1] == shown[2]
    assert len(shown[0].counts) == pytest.approx(len(shown[1].counts), abs=6)


def test_a_smallest_class_of_ten_rows_is_a_small_cell(written: Any, engine: Engine, tmp_path: Path) -> None:
    for size, told in ((10, False), (11, True)):
        folder = tmp_path / str(size)
        folder.mkdir()
        wards = ["north"] * 80 + ["south"] * size
        data = {"ward": wards, "ill": ["yes", "no"] * (len(wards) // 2) + ["no"] * (len(wards) % 2)}
        full = profile_table(*written(data, folder=folder), engine, quasi=("ward",), sensitive=("ill",))
        assert full.anonymity is not None
        assert (full.anonymity.k, full.anonymity.highest_risk) == (size, pytest.approx(1 / size, abs=1e-6))
        public = full.public().anonymity
        assert public is not None
        assert public.classes == 2
        assert (public.k, public.highest_risk) == ((size, 0.09) if told else (None, None))
        assert (public.sensitive[0].l_diversity, public.sensitive[0].t_closeness is None) == (
            (2, False) if told else (None, True)
        )


def test_counts_of_the_public_form_are_rounded(written: Any, engine: Engine) -> None:
    data = {"x": [float(i % 7) for i in range(1_234)], "s": ["a"] * 617 + ["b"] * 400 + [None] * 217}
    public = profile_table(*written(data), engine).public()
    x, s = public.column("x"), public.column("s")
    assert (public.row_count, public.duplicates, s.count, s.missing) == (1_230, 1_210, 1_020, 220)
    assert [(v.value, v.rows) for v in s.top_values] == [("a", 620), ("b", 400)]
    assert x.histogram is not None
    assert all(n is not None and n % 10 == 0 for n in x.histogram.counts)
