"""Delimited text to typed columns: which cells become numbers, dates and categories, and which keep their spelling."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import ConfigError, SourceError
from synth_assets.tables.engine import Engine
from synth_assets.tables.sources import ingest

at = datetime.fromisoformat


def _one(read: Any, cells: list[str], **options: Any) -> Any:
    """A table with the column x and a row number."""
    text = "n,x\n" + "".join(f'{i},"{c}"\n' for i, c in enumerate(cells))
    return read.text(text, **options)


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", "-2", "+3", " 4 "], "int64", [1, -2, 3, 4]),
        (["1", "2.50", "1e3", ".5"], "double", [1.0, 2.5, 1000.0, 0.5]),
        (["1,234.50", "12,000", "7"], "double", [1234.5, 12000.0, 7.0]),
        (["1.234,50", "0,99"], "double", [1234.5, 0.99]),
        (["00123", "45"], "string", ["00123", "45"]),
        (["9223372036854775808", "1"], "string", ["9223372036854775808", "1"]),
        (["82544000000000707.52"], "string", ["82544000000000707.52"]),
        (["1", "NaN"], "string", ["1", "NaN"]),
        (["1.5", "inf"], "string", ["1.5", "inf"]),
        (["1.5", "1e400"], "string", ["1.5", "1e400"]),
        (["12%", "3%"], "string", ["12%", "3%"]),
        (["true", "false", "true"], "bool", [True, False, True]),
        (["True", "False"], "bool", [True, False]),
        (["true", "FALSE"], "string", ["true", "FALSE"]),
        (["yes", "no"], "string", ["yes", "no"]),
        (["t", "f"], "string", ["t", "f"]),
        (["2024-02-29", "2023-1-5"], "date32[day]", [date(2024, 2, 29), date(2023, 1, 5)]),
        (["2023-02-29", "2023-01-05"], "string", ["2023-02-29", "2023-01-05"]),
        (["31/01/2020", "01/02/2020"], "date32[day]", [date(2020, 1, 31), date(2020, 2, 1)]),
        (["01/31/2020", "02/01/2020"], "date32[day]", [date(2020, 1, 31), date(2020, 2, 1)]),
        (["01/02/2020", "03/04/2020"], "string", ["01/02/2020", "03/04/2020"]),
        (["31/01/2020", "01/31/2020"], "string", ["31/01/2020", "01/31/2020"]),
        (["01.02.2020", "31.12.2023"], "date32[day]", [date(2020, 2, 1), date(2023, 12, 31)]),
        (["11-May-2011", "27-JAN-1926"], "date32[day]", [date(2011, 5, 11), date(1926, 1, 27)]),
        (["07/10/83", "05/22/77"], "string", ["07/10/83", "05/22/77"]),
        (["2020-01-01 10:00", "2020-01-01T10:00:30.5"], "timestamp[us]", [at("2020-01-01T10:00"), at("2020-01-01T10:00:30.500000")]),
        (["2020-01-01T10:00:00Z", "2020-01-01T10:00:00+02:00"], "timestamp[us]", [at("2020-01-01T10:00"), at("2020-01-01T08:00")]),
        (["2020-01-01T00:30:00-0530", "2020-06-01 12:00:00 UTC"], "timestamp[us]", [at("2020-01-01T06:00"), at("2020-06-01T12:00")]),
        (["2020-01-01T10:00:00Z", "2020-01-01T10:00:00"], "string", ["2020-01-01T10:00:00Z", "2020-01-01T10:00:00"]),
        (["1/20/2020 2:23:00 PM", "1/2/2020 12:00 AM"], "timestamp[us]", [at("2020-01-20T14:23"), at("2020-01-02T00:00")]),
    ],
)  # fmt: skip
def test_cells_become_the_type_that_all_of_them_have(
    read: Any, cells: list[str], dtype: str, values: list[Any]
) -> None:
    table = _one(read, cells)
    assert (table.dtype("x"), table.column("x")) == (dtype, values)


@pytest.mark.parametrize(("delimiter", "expected"), [(",", "double"), (";", "string")])
def test_a_comma_before_three_digits_is_a_thousands_sign_only_in_a_comma_separated_file(
    read: Any, delimiter: str, expected: str
) -> None:
    table = read.text(f'n{delimiter}x\n1{delimiter}"1,234"\n2{delimiter}"2,500"\n')
    assert table.dtype("x") == expected
    assert ("decimal sign cannot be told" in table.notes) == (expected == "string")


def test_only_the_empty_cell_is_missing(read: Any) -> None:
    table = read.text('a,b,c\n1,,""\n?,NA,N\nnull,None,-\n')
    assert table.rows == [("1", None, None), ("?", "NA", "N"), ("null", "None", "-")]


def test_named_texts_are_missing_and_leave_the_numbers_free(read: Any) -> None:
    table = _one(read, ["1", "NA", "?", "3"], null_values=("NA", "?"))
    assert (table.dtype("x"), table.column("x")) == ("int64", [1, None, None, 3])


def test_a_declared_category_is_a_value_even_where_it_is_named_as_missing(read: Any) -> None:
    table = _one(read, ["a", "NA", "b"], null_values=("NA", "b"), columns={"x": {"categories": ["a", "NA"]}})
    assert table.column("x") == ["a", "NA", None]


def test_a_quoted_text_that_means_missing_may_hold_a_quote(read: Any) -> None:
    assert read.text("x,y\nit's,1\nb,2\n", null_values=("it's",)).column("x") == [None, "b"]


def test_decimals_are_recorded_as_written(read: Any) -> None:
    schema = read.text("a,b,c\n1.50,2,1e3\n1.5,3,2\n").schema
    assert [c.decimals for c in schema.columns] == [2, None, 0]


def test_a_late_word_turns_the_column_into_text_and_says_so(read: Any) -> None:
    text = "id,x\n" + "".join(f"{i},{i * 2}\n" for i in range(3_000)) + "3000,NA\n"
    table = read.text(text)
    assert (table.dtype("x"), table.column("x")[-2:]) == ("string", ["5998", "NA"])
    assert "'x' holds numbers and a few words" in table.notes


def test_naive_times_have_the_zone_of_the_configuration(read: Any) -> None:
    table = _one(read, ["2020-01-15 12:00:00", "2020-07-15 12:00:00"], timezone="America/New_York")
    assert table.column("x") == [at("2020-01-15T17:00"), at("2020-07-15T16:00")]
    zoned = _one(read, ["2020-01-15T12:00:00Z"], timezone="America/New_York")
    assert zoned.column("x") == [at("2020-01-15T12:00")]


def test_an_unknown_time_zone_is_an_error_of_the_configuration(read: Any) -> None:
    with pytest.raises(ConfigError, match="time zone is not known") as caught:
        _one(read, ["2020-01-15 12:00:00"], timezone="Mars/Olympus")
    assert caught.value.key == "timezone"


def test_declared_kinds_win_over_inferred_ones(read: Any) -> None:
    table = read.text(
        "k,zip,year,when,flag,amount\n1,2134,2020,2020-01-01 00:00:00,y,007\n2,501,2021,2021-01-01 00:00:00,0,8.5\n",
        columns={
            "k": {"kind": "id"},
            "zip": {"kind": "text"},
            "year": {"kind": "category"},
            "when": {"kind": "date"},
            "flag": {"kind": "boolean"},
            "amount": {"kind": "number"},
        },
    )
    assert table.rows == [
        (1, "2134", "2020", date(2020, 1, 1), True, 7.0),
        (2, "501", "2021", date(2021, 1, 1), False, 8.5),
    ]
    assert [c.kind.value for c in table.schema.columns] == ["id", "text", "category", "date", "boolean", "number"]
    assert not any(c.inferred for c in table.schema.columns)


def test_a_declared_identifier_keeps_every_spelling(read: Any) -> None:
    assert _one(read, ["1", "02"], columns={"x": {"kind": "id"}}).column("x") == ["1", "02"]
    assert _one(read, ["1", "+2"], columns={"x": {"kind": "id"}}).column("x") == ["1", "+2"]
    assert _one(read, ["1", "2"], columns={"x": {"kind": "id"}}).column("x") == [1, 2]


def test_a_kind_from_an_unconfirmed_draft_stays_inferred(read: Any) -> None:
    table = _one(read, ["1", "2"], columns={"x": {"kind": "category", "inferred": True}})
    assert table.schema.column("x").inferred
    assert table.schema.column("n").inferred


def test_bounds_and_categories_declare_a_kind(read: Any) -> None:
    table = read.text("a,b\n1,2\n3,4\n", columns={"a": {"categories": [1, 3]}, "b": {"lower": 0, "upper": 9}})
    assert (table.kind("a"), table.column("a"), table.kind("b"), table.column("b")) == (
        "category",
        ["1", "3"],
        "number",
        [2, 4],
    )


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("date", ["2020-01-01", "2020-01-02", "secret-canary"]),
        ("datetime", ["2020-01-01 10:00", "2020-01-01 11:00", "secret-canary"]),
        ("number", ["1", "2.5", "secret-canary"]),
        ("boolean", ["yes", "no", "secret-canary"]),
    ],
)
def test_a_cell_without_the_declared_kind_is_named_by_line_and_column_and_not_shown(
    read: Any, kind: str, cells: list[str]
) -> None:
    with pytest.raises(SourceError) as caught:
        _one(read, ["", *cells], columns={"x": {"kind": kind}})
    assert (caught.value.row, caught.value.column) == (5, "x")
    assert "secret-canary" not in str(caught.value)
    assert "null_values" in str(caught.value)


def test_the_line_of_a_wrong_cell_counts_lines_inside_quotes_and_comments(read: Any) -> None:
    with pytest.raises(SourceError) as caught:
        read.text('# made by hand\nid,note,x\n1,"two\nlines",5\n\n2,b,oops\n', columns={"x": {"kind": "number"}})
    assert caught.value.row == 6


def test_a_declared_date_in_two_possible_orders_is_refused(read: Any) -> None:
    with pytest.raises(SourceError, match="two ways"):
        _one(read, ["01/02/2020", "03/04/2020"], columns={"x": {"kind": "date"}})


@pytest.mark.parametrize(
    ("kind", "dtype"), [("number", "double"), ("date", "date32[day]"), ("boolean", "bool"), ("text", "string")]
)
def test_a_declared_column_without_any_value_has_its_declared_type(read: Any, kind: str, dtype: str) -> None:
    table = _one(read, ["", ""], columns={"x": {"kind": kind}})
    assert (table.dtype("x"), table.column("x")) == (dtype, [None, None])


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([f"u{i}" for i in range(50)], "id"),
        ([f"user {i}" for i in range(50)], "text"),
        (["a", "b"] * 25, "category"),
        ([f"c{i % 20}" for i in range(100)], "category"),
        ([f"c{i % 60}" for i in range(100)], "text"),
        (["0b6f8a44-1111-4222-8333-00000000000" + str(i % 5) for i in range(40)], "id"),
        (["M", "F", "M"], "category"),
        (["Ann", "Ben", "Cleo", "Dan", "Ann"], "text"),
        (["", ""], "text"),
    ],
)
def test_texts_are_identifiers_categories_or_free_text_by_how_they_repeat(
    read: Any, cells: list[str], kind: str
) -> None:
    assert _one(read, cells).kind("x") == kind


def test_whole_numbers_are_identifiers_only_by_name_or_key(read: Any) -> None:
    rows = "".join(f"{i},{i},{i},{i % 60},{i % 3}\n" for i in range(120))
    table = read.text("id,weight,claim_no,CustomerId,dept_id\n" + rows, primary_key="weight")
    assert [c.kind.value for c in table.schema.columns] == ["id", "id", "id", "id", "number"]
    assert [c.inferred for c in table.schema.columns] == [True, False, True, True, True]
    plain = read.text("weight,x\n" + "".join(f"{i},1\n" for i in range(120)))
    assert plain.kind("weight") == "number"


def test_keys_and_references_stand_in_the_schema(read: Any) -> None:
    table = read.text("id,p\n1,7\n2,7\n", primary_key="id", foreign_keys={"p": "parents.key"})
    assert table.schema.primary_key == ("id",)
    assert (table.schema.foreign_keys[0].parent_table, table.schema.foreign_keys[0].parent_columns) == (
        "parents",
        ("key",),
    )
    assert table.kind("p") == "id"


_CELL = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\ufeff\ufffd", exclude_categories=["Cs"]), max_size=12
)


@given(rows=st.lists(st.tuples(_CELL, _CELL, _CELL), min_size=1, max_size=12))
def test_any_text_written_as_csv_comes_back_cell_by_cell(rows: list[tuple[str, str, str]]) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("first", "second", "third"), *(("k", b, c) for _, b, c in rows)])
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "t.csv").write_text(buffer.getvalue(), newline="")
        from synth_assets.config.dataset import ColumnConfig, TableConfig

        source = SourceConfig(path="t.csv")
        table = TableConfig(source=source, columns={n: ColumnConfig(kind="text") for n in ("first", "second", "third")})
        schema = ingest(source, name="t", base_dir=base, out=base / "out", engine=Engine(threads=1), table=table)
        found = pq.read_table(base / "out" / "part-00000.parquet")
    assert schema.row_count == len(rows)
    assert found.column("second").to_pylist() == [b or None for _, b, _ in rows]
    assert found.column("third").to_pylist() == [c or None for _, _, c in rows]


@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_every_64_bit_integer_keeps_its_digits(numbers: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "t.csv").write_text("label,x\n" + "".join(f"a,{n}\n" for n in numbers))
        ingest(SourceConfig(path="t.csv"), name="t", base_dir=base, out=base / "out", engine=Engine(threads=1))
        assert pq.read_table(base / "out" / "part-00000.parquet").column("x").to_pylist() == numbers
