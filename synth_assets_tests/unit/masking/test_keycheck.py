"""The key check: foreign keys find as many parents as before, unique columns are still unique; a broken key makes it fail."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.rules import Rule
from synth_assets.masking.keycheck import check_keys
from synth_assets.masking.policies import load_policy
from synth_assets.masking.records import KeyReport, MaskSummary
from synth_assets_tests.unit.masking.conftest import ENGINE, House


def _shop(house: House) -> House:
    house.table(
        "people",
        {"pid": ["a", "b", "c"], "email": ["a@x.co", "b@x.co", None], "city": ["Rome", "Rome", "Oslo"]},
        {"pid": "customer_id", "email": "email", "city": "city"},
        key=("pid",),
    )
    house.table(
        "orders",
        {"oid": [1, 2, 3, 4], "pid": ["a", "a", "z", None]},
        {"oid": "other_id", "pid": "customer_id"},
        key=("oid",),
        parents={"pid": "people.pid"},
    )
    return house


def _check(house: House, summaries: dict[str, MaskSummary], **other: Path) -> KeyReport:
    return check_keys(
        {n: t.path for n, t in house.tables.items()},
        {n: house.folder / "masked" / n for n in house.tables} | other,
        schemas={n: t.schema for n, t in house.tables.items()},
        summaries=summaries,
        engine=ENGINE,
    )


def _with(house: House, table: str, column: str, values: list[Any]) -> Path:
    """A copy of a masked table with another column."""
    masked = pq.read_table(house.folder / "masked" / table / "part-00000.parquet")
    at = masked.column_names.index(column)
    path = house.folder / "changed.parquet"
    pq.write_table(masked.set_column(at, column, pa.array(values, masked.schema.field(column).type)), path)
    return path


def test_keys_hold_after_masking_with_counts_by_hand(house: House) -> None:
    report = _check(_shop(house), house.mask())
    assert report.passed
    found = {(k.kind, k.table, k.columns): (k.before, k.after) for k in report.keys}
    assert found[("foreign_key", "orders", ("pid",))] == (2, 2)  # z and the missing one have no parent
    assert found[("unique", "people", ("pid",))] == (3, 3)
    assert found[("unique", "people", ("email",))] == (2, 2)
    assert ("unique", "people", ("city",)) not in found


def test_a_reference_that_no_longer_finds_its_parent_fails(house: House) -> None:
    summaries = _shop(house).mask()
    masked = house.read("orders")["pid"]
    report = _check(house, summaries, orders=_with(house, "orders", "pid", [masked[0], "lost", masked[2], None]))
    assert [(k.kind, k.before, k.after) for k in report.keys if not k.passed] == [("foreign_key", 2, 1)]
    assert not report.passed


def test_a_column_that_is_no_longer_unique_fails(house: House) -> None:
    summaries = _shop(house).mask()
    report = _check(
        house, summaries, people=_with(house, "people", "email", ["same@example.com", "same@example.com", None])
    )
    assert [(k.kind, k.columns, k.before, k.after) for k in report.keys if not k.passed] == [
        ("unique", ("email",), 2, 1)
    ]


def test_a_key_that_a_person_dropped_on_purpose_passes_and_is_shown(house: House) -> None:
    summaries = _shop(house).mask(overrides={"orders": {"pid": ColumnConfig(action="drop")}})
    report = _check(house, summaries)
    assert report.passed
    assert [k.after for k in report.keys if k.kind == "foreign_key"] == [None]


def test_a_parents_key_that_a_person_redacted_fails(house: House) -> None:
    summaries = _shop(house).mask(overrides={"people": {"pid": ColumnConfig(action="redact")}})
    assert not _check(house, summaries).passed


def test_a_text_that_holds_a_number_still_finds_the_parent_with_that_number(house: House) -> None:
    numbers = pa.table({"pid": pa.array([7, 70, 700], pa.int64())})
    house.table("people", numbers, {"pid": "customer_id"}, key=("pid",))
    house.table(
        "bills",
        {"pid": ["7", "007", "70", None, "X1"], "note": ["about 7", "b", "c", "d", "e"]},
        {"pid": "customer_id", "note": "free_text"},
        parents={"pid": "people.pid"},
    )
    report = _check(house, house.mask())
    assert [(k.columns, k.before, k.after) for k in report.keys if k.kind == "foreign_key"] == [(("pid",), 2, 2)]
    people, bills = house.read("people")["pid"], house.read("bills")["pid"]
    assert [bills[0], bills[2]] == [str(people[0]), str(people[1])]
    assert bills[3] is None
    assert len(bills[1]) == len(bills[4]) == 32


def test_a_key_of_several_columns_may_lose_a_day_and_is_no_key_any_more(house: House) -> None:
    house.table("people", {"pid": ["a", "b"]}, {"pid": "customer_id"}, key=("pid",))
    days = pa.array([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 1)])
    house.table(
        "readings",
        {"pid": ["a", "a", "b"], "day": days},
        {"pid": "customer_id", "day": "event_date"},
        key=("pid", "day"),
        parents={"pid": "people.pid"},
    )
    policy = load_policy("dev_test").model_copy(
        update={"entity_types": {"event_date": Rule(action="generalise", to="year")}}
    )
    summaries = house.mask(policy)
    assert _check(house, summaries).passed
    assert summaries["readings"].output_schema.primary_key == ()
    kept = house.mask("dev_test")
    assert kept["readings"].output_schema.primary_key == ("pid", "day")
    assert ("pid", "day") in {k.columns for k in _check(house, kept).keys}


def test_addresses_that_differ_by_letter_case_alone_were_never_unique(house: House) -> None:
    house.table("people", {"email": ["Bob@x.co", "bob@x.co"]}, {"email": "email"})
    assert _check(house, house.mask()).passed
