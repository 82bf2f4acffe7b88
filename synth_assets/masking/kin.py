"""The rows above a row: parent rows joined along foreign keys, for names that stand in a parent and are told in a child.

What belongs here: the join. What does not: what is done with the joined columns (scrub.py, run.py, leakcheck.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import ibis.expr.types as ir

from synth_assets.masking.recipes import as_text
from synth_assets.tables.engine import Session
from synth_assets.tables.schema import TableSchema

MARK = "\x1f"  # no column of a table is called so


@dataclass(frozen=True)
class Kin:
    """One ancestor of a row.

    Args:
        table: Name of the ancestor's table.
        columns: Its wanted columns -> their names in the joined table.
    """

    table: str
    columns: Mapping[str, str]


def join_kin(
    session: Session,
    base: ir.Table,
    name: str,
    *,
    paths: Mapping[str, Path],
    schemas: Mapping[str, TableSchema],
    wanted: Callable[[str], frozenset[str]],
    label: str = "kin",
) -> tuple[ir.Table, tuple[Kin, ...]]:
    """A table with columns of all its ancestors beside its own, and of the rows of the same table that its rows refer to.

    A parent key that stands twice is joined once, so the number of rows never changes. The order of rows may.

    Args:
        session: The open session.
        base: The table to start from.
        name: Its name.
        paths: Parquet of every table.
        schemas: Schemas of every table.
        wanted: Columns wanted of a table; ancestors that lead to none are not joined.
        label: Part of the joined columns' names, where two joins meet in one query.

    Returns:
        The joined table, and the ancestors in order of distance.
    """
    current = base
    found: list[Kin] = []
    waiting: list[tuple[str, Mapping[str, str], frozenset[str]]] = [
        (name, {c: c for c in base.columns}, frozenset({name}))
    ]
    while waiting:
        table, at, seen = waiting.pop(0)
        for key in schemas[table].foreign_keys:
            parent = key.parent_table
            here = all(c in at for c in key.columns)
            itself = parent == name and seen == {name}  # an employee's superior, and not the superior's as well
            leads = (
                bool(wanted(name)) if itself else parent not in seen and _leads(schemas, paths, parent, wanted, seen)
            )
            if parent not in paths or not here or not leads:
                continue
            source = session.parquet(paths[parent])
            upward = {c for fk in schemas[parent].foreign_keys for c in fk.columns}
            columns = [c for c in source.columns if c in wanted(parent) | upward | set(key.parent_columns)]
            if not set(key.parent_columns) <= set(columns):
                continue
            names = {c: f"{MARK}{label}{len(found)}_{i}" for i, c in enumerate(columns)}
            side = source.select(**{new: source[old] for old, new in names.items()})
            side = side.distinct(on=[names[c] for c in key.parent_columns])
            on = [
                same_key(current[at[c]], side[names[p]]) for c, p in zip(key.columns, key.parent_columns, strict=True)
            ]
            current = current.left_join(side, on)
            found.append(Kin(parent, {c: names[c] for c in columns if c in wanted(parent)}))
            if not itself:
                waiting.append((parent, names, seen | {parent}))
    return current, tuple(found)


def same_key(own: ir.Value, other: ir.Value) -> ir.BooleanValue:
    """Whether a foreign key holds its parent's key; the text 7 joins the number 7 (and the fraction 7.0), the text 007 does not."""
    if own.type() == other.type():
        return own == other
    return _key_text(own) == _key_text(other)


def _key_text(value: ir.Value) -> ir.StringValue:
    kind = value.type()
    return as_text(value, "double" if kind.is_floating() else "string" if kind.is_string() else "int64")


def _leads(
    schemas: Mapping[str, TableSchema],
    paths: Mapping[str, Path],
    table: str,
    wanted: Callable[[str], frozenset[str]],
    seen: frozenset[str],
) -> bool:
    """Whether a table, or one above it, has wanted columns."""
    if wanted(table):
        return True
    above = [
        fk.parent_table
        for fk in schemas[table].foreign_keys
        if fk.parent_table in paths and fk.parent_table not in seen
    ]
    return any(_leads(schemas, paths, parent, wanted, seen | {table}) for parent in above)
