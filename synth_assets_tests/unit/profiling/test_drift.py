"""The distance of two profiles, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from synth_assets.profiling.drift import drift
from synth_assets.profiling.records import ColumnProfile, Histogram, TableProfile, ValueCount
from synth_assets.tables.schema import ColumnKind


def column(name: str, **changes: Any) -> ColumnProfile:
    plain = {"kind": ColumnKind.CATEGORY, "dtype": "string", "count": 1000, "missing": 0, "distinct": 2}
    return ColumnProfile(name=name, **{**plain, "constant": False, "unique": False, **changes})


def table(*columns: ColumnProfile) -> TableProfile:
    return TableProfile(name="people", row_count=1000, columns=columns, duplicates=0, form="public")


def values(women: int, men: int) -> dict[str, Any]:
    top = (ValueCount(value="F", rows=women), ValueCount(value="M", rows=men))
    return {"top_values": top, "rows_of_other_values": 0}


def test_equal_profiles_are_at_distance_zero() -> None:
    same = table(column("sex", **values(600, 400)))
    found = drift(same, same)
    assert (found.distances, found.beyond(0.0)) == ({"sex": 0.0}, ())


def test_categories_are_compared_by_their_shares() -> None:
    found = drift(table(column("sex", **values(600, 400))), table(column("sex", **values(80, 120))))
    assert found.distances == {"sex": pytest.approx(0.2)}
    assert found.beyond(0.1) == ("sex",)
    assert found.beyond(0.2) == ()


def test_missing_values_count_where_they_differ_more() -> None:
    found = drift(table(column("sex")), table(column("sex", count=700, missing=300)))
    assert found.distances == {"sex": pytest.approx(0.3)}


def test_histograms_are_compared_where_their_edges_are_equal_and_nothing_is_hidden() -> None:
    def numbers(*counts: int | None, edges: tuple[int, ...] = (0, 10, 20)) -> TableProfile:
        return table(
            column("age", kind=ColumnKind.NUMBER, missing=None, histogram=Histogram(edges=edges, counts=counts))
        )

    assert drift(numbers(50, 50), numbers(75, 25)).distances == {"age": pytest.approx(0.25)}
    assert drift(numbers(50, 50), numbers(75, None)).distances == {}
    assert drift(numbers(50, 50), numbers(75, 25, edges=(0, 5, 20))).distances == {}


def test_columns_that_come_go_or_change_their_kind_are_named() -> None:
    found = drift(table(column("a"), column("b")), table(column("b", kind=ColumnKind.NUMBER), column("c")))
    assert (found.added, found.removed, found.changed) == (("c",), ("a",), ("b",))
