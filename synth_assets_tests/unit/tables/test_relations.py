"""Parents stand before children, and the way to the unit is the shortest one."""

import pytest

from synth_assets.errors import ConfigError
from synth_assets.tables.relations import parents_first, route
from synth_assets.tables.schema import ForeignKey, TableSchema


def table(name, *parents):
    keys = tuple(ForeignKey(columns=(f"{p}_id",), parent_table=p, parent_columns=("id",)) for p in parents)
    return TableSchema(name=name, columns=(), foreign_keys=keys)


def schemas(*tables):
    return {t.name: t for t in tables}


def test_parents_stand_before_children_whatever_the_order_of_the_yaml():
    order = parents_first(schemas(table("claim", "visit", "person"), table("visit", "person"), table("person")))
    assert order == ("person", "visit", "claim")


def test_a_reference_to_the_own_table_is_no_cycle():
    assert parents_first(schemas(table("employee", "employee"))) == ("employee",)


def test_a_cycle_is_named():
    with pytest.raises(ConfigError, match="a, b form a cycle"):
        parents_first(schemas(table("a", "b"), table("b", "a"), table("c")))


def test_the_shortest_way_wins():
    found = route(
        schemas(table("claim", "visit", "person"), table("visit", "person"), table("person")), "claim", "person"
    )
    assert [k.parent_table for k in found] == ["person"]


def test_no_way_and_no_distance():
    known = schemas(table("a"), table("b"))
    assert route(known, "a", "b") is None
    assert route(known, "a", "a") == ()
