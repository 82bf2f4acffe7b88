"""The split: what a model may see (no direct identifiers), divided into train and holdout by a keyed hash of the entity.

The hash makes the division stable: no row moves when rows are added, reordered or loaded again, and all rows of one person, in every
table, stand on one side. Each part also gets `_unit`, a keyed token of the unit of privacy, for contribution bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir

from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.relations import route
from synth_assets.tables.schema import Frozen, TableSchema

UNIT_COLUMN = "_unit"
PARTS = ("train", "holdout")
_HEX_DIGITS = 13  # 52 bits: exact in a double


@dataclass(frozen=True)
class SplitTable:
    """One table to divide.

    Args:
        path: Canonical Parquet.
        schema: Its schema.
        columns: The columns to keep, in order: modelled columns and keys.
    """

    path: Path
    schema: TableSchema
    columns: tuple[str, ...]


class SplitCount(Frozen):
    """Rows of one table on each side."""

    table: str
    train_rows: int
    holdout_rows: int


def split_tables(
    tables: Mapping[str, SplitTable],
    out: Path,
    *,
    unit: tuple[str, str] | None,
    holdout: float,
    key: SecretKey,
    engine: Engine,
) -> tuple[SplitCount, ...]:
    """Write `out/<table>/train/part-*.parquet` and `.../holdout/...` for every table.

    Args:
        tables: The tables by name.
        out: Folder to fill.
        unit: (table, column) of the unit of privacy; None: each row is its own unit.
        holdout: Fraction in (0, 1) of the units that no model sees.
        key: Key of this dataset's split.
        engine: The table engine.

    Returns:
        Row counts, one entry per table.
    """
    counts = []
    with engine.session() as session:
        for name, table in tables.items():
            marked = _with_unit(session, tables, name, unit, key)
            fraction = marked[UNIT_COLUMN].substr(0, _HEX_DIGITS)
            in_holdout = _hex_to_integer(fraction) < int(holdout * 16**_HEX_DIGITS)
            kept = marked.mutate(_holdout=in_holdout)
            rows = []
            for part in PARTS:
                side = kept.filter(kept._holdout if part == "holdout" else ~kept._holdout)  # noqa: SLF001  a column
                target = out / name / part
                session.write(side.select(*table.columns, UNIT_COLUMN), target)
                rows.append(int(session.parquet(target).count().execute()))
            counts.append(SplitCount(table=name, train_rows=rows[0], holdout_rows=rows[1]))
    return tuple(counts)


def _with_unit(
    session: Session, tables: Mapping[str, SplitTable], name: str, unit: tuple[str, str] | None, key: SecretKey
) -> ir.Table:
    """The table with `_unit`: 32 hex digits of sha256(K || entity)."""
    source = session.parquet(tables[name].path)
    entity = _own_entity(source, tables[name].schema, name)
    if unit is not None:
        schemas = {n: t.schema for n, t in tables.items()}
        source, reference = _climb(session, tables, schemas, source, name, unit)
        if reference is not None:
            entity = ibis.coalesce(reference.cast("string"), entity)
    digest = (ibis.literal(key.value.hex()) + entity).hexdigest("sha256")
    return source.mutate(**{UNIT_COLUMN: digest.substr(0, 32)})


def _own_entity(source: ir.Table, schema: TableSchema, name: str) -> ir.StringValue:
    """The primary key, else the whole row (equal rows then stand on one side)."""
    columns = schema.primary_key or schema.names
    parts = [source[c].cast("string").fill_null("") for c in columns]
    text = ibis.literal(f"{name}\x1f")
    for part in parts:
        text = text + part + ibis.literal("\x1f")
    return text


def _climb(
    session: Session,
    tables: Mapping[str, SplitTable],
    schemas: Mapping[str, TableSchema],
    source: ir.Table,
    name: str,
    unit: tuple[str, str],
) -> tuple[ir.Table, ir.Value | None]:
    """Join upwards until the unit's column is in reach; (table, column) or (table, None) where no way leads there."""
    goal, column = unit
    way = route(schemas, name, goal)
    if way is None:
        return source, None
    current = source
    at = {c: c for c in source.columns}  # column of the table we stand in -> its name in `current`
    for step, hop in enumerate(way):
        last = step == len(way) - 1
        if last and column in hop.parent_columns:
            return current, current[at[hop.columns[hop.parent_columns.index(column)]]]
        parent = session.parquet(tables[hop.parent_table].path)
        needed = {c for fk in schemas[hop.parent_table].foreign_keys for c in fk.columns} | set(hop.parent_columns)
        needed |= {column} if last else set()
        renamed = {c: f"_up{step}_{i}" for i, c in enumerate(sorted(needed))}
        parent = parent.select(**{new: parent[old] for old, new in renamed.items()}).distinct(
            on=[renamed[c] for c in hop.parent_columns]
        )
        on = [
            current[at[c]].cast("string") == parent[renamed[p]].cast("string")
            for c, p in zip(hop.columns, hop.parent_columns, strict=True)
        ]
        current = current.left_join(parent, on)
        at = renamed
    return current, current[at[column]]


def _hex_to_integer(digits: ir.StringValue) -> ir.IntegerValue:
    """Hex digits to an integer by DuckDB's cast of a 0x literal."""
    return (ibis.literal("0x") + digits).cast("int64")
