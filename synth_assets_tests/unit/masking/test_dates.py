"""Dates that stand as texts or numbers: moved with their person, in the form they had."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.masking.dates import date_shift
from synth_assets_tests.unit.masking.conftest import House

Brew = Callable[..., Any]
FORMS = ("%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%m-%d-%Y", "%d.%m.%Y", "%Y%m%d")
DAY = date(2024, 5, 17)


def _shift(brew: Brew, values: list[Any], dtype: pa.DataType | None = None, days: int = 90) -> list[Any]:
    dtype = dtype or pa.string()
    return brew(date_shift(str(dtype), days), values, dtype=dtype, companions={"person": ["P1"] * len(values)})


@given(st.lists(st.dates(date(1900, 1, 1), date(2100, 12, 31)), min_size=1, max_size=60))
@settings(max_examples=2)
def test_a_text_date_keeps_its_form_and_all_of_a_person_move_by_the_same_days(brew: Brew, days: list[date]) -> None:
    for form in FORMS:
        made = _shift(brew, [d.strftime(form) for d in days])
        moved = {(datetime.strptime(m, form).date() - d).days for m, d in zip(made, days, strict=True)}
        assert len(moved) == 1
        assert 0 < abs(moved.pop()) <= 90


def test_the_shift_is_the_same_in_every_form_and_type(brew: Brew) -> None:
    texts = _shift(brew, [DAY.strftime(form) for form in FORMS])
    days = {datetime.strptime(m, form).date() for m, form in zip(texts, FORMS, strict=True)}
    days |= {_shift(brew, [DAY], pa.date32())[0]}
    days |= {datetime.strptime(str(_shift(brew, [20240517], pa.int64())[0]), "%Y%m%d").date()}
    assert len(days) == 1


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        ("5/7/2024", r"\d{1,2}/\d{1,2}/\d{4}"),
        ("17.5.2024", r"\d{1,2}\.\d{1,2}\.\d{4}"),
        ("17/05/2024", r"\d\d/\d\d/\d{4}"),
        ("2024-05-17T08:30:00Z", r"\d{4}-\d\d-\d\dT08:30:00Z"),
        ("5/17/2024 8:30 PM", r"\d{1,2}/\d\d/\d{4} 8:30 PM"),
        (" 2024-05-17 ", r"\d{4}-\d\d-\d\d"),
    ],
)
def test_separators_padding_and_time_of_day_stay(brew: Brew, raw: str, form: str) -> None:
    (made,) = _shift(brew, [raw])
    assert re.fullmatch(form, made)
    assert made != raw


def test_what_is_no_date_becomes_null_and_a_year_stays_a_year(brew: Brew) -> None:
    assert _shift(brew, [None, "", "soon", "2024-02-31", "13/13/2024", "123456789", "2024-05"]) == [None] * 7
    (year,) = _shift(brew, ["1980"], days=3650)
    assert re.fullmatch(r"19[6-9]\d", year)
    assert _shift(brew, [None, 7, 20241399], pa.int64()) == [None] * 3


@pytest.mark.parametrize("action", ["date_shift", "format_preserving"])
def test_columns_of_text_dates_and_of_digits_move_with_their_person(house: House, action: str) -> None:
    house.table(
        "t",
        {
            "pid": ["a", "b", "a"],
            "seen": ["5/17/2024", "5/18/2024", "6/1/2024"],
            "left": [20240520, 20240520, None],
            "born": pa.array([date(1980, 1, 1)] * 3),
        },
        {"pid": "customer_id", "seen": "event_date", "left": "event_date", "born": "birth_date"},
    )
    over = {"t": {c: ColumnConfig(action=action) for c in ("seen", "left", "born")}}
    house.mask(overrides=over, unit=("t", "pid"))
    made = house.read("t")
    seen = [datetime.strptime(d, "%m/%d/%Y").date() for d in made["seen"]]
    left = [datetime.strptime(str(d), "%Y%m%d").date() for d in made["left"][:2]]
    moves = [(s - r).days for s, r in zip(seen, [DAY, date(2024, 5, 18), date(2024, 6, 1)], strict=True)]
    assert moves[0] == moves[2] == (made["born"][0] - date(1980, 1, 1)).days == (left[0] - date(2024, 5, 20)).days
    assert moves[1] == (made["born"][1] - date(1980, 1, 1)).days == (left[1] - date(2024, 5, 20)).days
    assert moves[0] != moves[1]
    assert made["left"][2] is None


def test_no_day_leaves_the_years_that_other_programs_read(brew: Brew) -> None:
    """9999-12-31 means no end in many systems; a shift must not make it the year 10000, nor the year 1 the year 0."""
    for form, dtype in (("string", pa.string()), ("date32[day]", pa.date32()), ("timestamp[us]", pa.timestamp("us"))):
        raw = pa.array(["0001-01-02", "9999-12-31", "2020-05-17"] * 40).cast(dtype)
        people = [str(i // 3) for i in range(120)]
        made = brew(date_shift(form, 365), raw, companions={"person": people}, as_arrow=True).combine_chunks()
        texts = [str(v)[:10] for v in made.cast(pa.string()).to_pylist()]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", t) and not t.startswith("0000") for t in texts)
        assert "0001-01-01" in texts
        assert "9999-12-31" in texts
