"""The tables as the audit compares them: which columns, and their values as numbers (or category numbers) in memory.

Numbers, dates and times become float64 (missing is NaN); everything else becomes the number of its category (missing is -1)
in a dictionary that the tables share. Figures over whole tables of any size (`validity`, exact copies) do not use this.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.tables.engine import Session
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

NUMERIC_KINDS = (ColumnKind.NUMBER, ColumnKind.DATE, ColumnKind.DATETIME)
UNIT_COLUMN = "_unit"  # the token of the unit of privacy that the split adds
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tables:
    """The tables of one audit as Ibis expressions, with their sizes."""

    session: Session
    synthetic: ir.Table
    train: ir.Table | None
    holdout: ir.Table | None

    def fetch(self, expression: Any) -> Any:
        """Run an expression: a pyarrow Table, ChunkedArray or Scalar."""
        return self.session.arrow(expression)

    def present(self) -> dict[str, ir.Table]:
        """The tables that were given, by name."""
        given = {"synthetic": self.synthetic, "train": self.train, "holdout": self.holdout}
        return {name: table for name, table in given.items() if table is not None}


@dataclass(frozen=True)
class Part:
    """One table in memory.

    Args:
        rows: Rows of the whole table; more than are held where the table was sampled.
        values: Column to float64 (NaN missing) or int64 category numbers (-1 missing), all of equal length.
        units: Tokens of the unit of privacy per row, where the table has them.
        owners: Whose each row is by columns of the table, where it has no such tokens.
    """

    rows: int
    values: Mapping[str, Array]
    units: Integers | None = None
    owners: Integers | None = None

    @property
    def clusters(self) -> Integers | None:
        """Which rows hang together; None where each stands for itself."""
        return self.owners if self.units is None else self.units

    @property
    def held(self) -> int:
        """Rows held in memory."""
        return len(next(iter(self.values.values()))) if self.values else 0

    def take(self, rows: Integers) -> Part:
        """Some of its rows."""
        units, owners = (None if whose is None else whose[rows] for whose in (self.units, self.owners))
        return Part(self.rows, {name: values[rows] for name, values in self.values.items()}, units, owners)


@dataclass(frozen=True)
class Prepared:
    """The comparable columns of all tables.

    Args:
        columns: Compared columns, in the order of the schema.
        labels: Category column to its sorted labels; values of the data, which never leave this process.
        parts: "synthetic", and "train" and "holdout" where given.
        left_out: Column to the reason why it is not compared.
    """

    columns: tuple[ColumnSchema, ...]
    labels: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, Part]
    left_out: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the compared columns."""
        return tuple(c.name for c in self.columns)

    def numeric(self, name: str) -> bool:
        """Whether a column is compared as a number."""
        return name not in self.labels


def compared_columns(
    schema: TableSchema, tables: Mapping[str, ir.Table], identifiers: Collection[str]
) -> tuple[tuple[ColumnSchema, ...], dict[str, str]]:
    """Columns to compare, and the reason for each one left out.

    Keys, identifiers and free text are not modelled column by column: comparing them would say nothing, or tell a value.
    """
    keys = {*schema.primary_key, *(name for key in schema.foreign_keys for name in key.columns)}
    names = {"synthetic": "synthetic", "train": "real", "holdout": "held-out"}
    kept, left_out = [], {}
    for column in schema.columns:
        missing = [names[side] for side, table in tables.items() if column.name not in table.columns]
        if column.name in keys:
            left_out[column.name] = "key"
        elif column.name in identifiers or column.kind is ColumnKind.ID:
            left_out[column.name] = "identifier"
        elif column.kind is ColumnKind.TEXT:
            left_out[column.name] = "free text"
        elif missing:
            left_out[column.name] = f"not in the {' and the '.join(missing)} table"
        else:
            kept.append(column)
    return tuple(kept), left_out


def comparable(table: ir.Table, column: ColumnSchema) -> Any:
    """One column as an expression of a common type: double, date, timestamp or string; what cannot be read so is missing."""
    value: Any = table[column.name]
    if column.kind is ColumnKind.NUMBER:
        return value.cast("float64") if value.type().is_boolean() else value.try_cast("float64")
    if column.kind is ColumnKind.DATE:
        return value.try_cast("date")
    if column.kind is ColumnKind.DATETIME:
        return value.try_cast("timestamp")
    if value.type().is_numeric() and column.dtype in ("int64", "bool"):
        return (
            value.try_cast("int64").cast("string") if column.dtype == "int64" else value.cast("boolean").cast("string")
        )
    return value.cast("string")


def _numbers(column: pa.ChunkedArray) -> Floats:
    """Seconds for dates and times, the number itself for numbers; NaN for missing."""
    kind = column.type
    if pa.types.is_date(kind):
        column = pc.multiply(pc.cast(pc.cast(column, pa.date32()), pa.int32()).cast(pa.float64()), 86400.0)
    elif pa.types.is_timestamp(kind):
        column = pc.divide(pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64()).cast(pa.float64()), 1e6)
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _categories(columns: Mapping[str, pa.ChunkedArray]) -> tuple[dict[str, Integers], tuple[str, ...]]:
    """Category numbers per table in one shared, sorted dictionary."""
    distinct = pa.chunked_array([pc.unique(column).cast(pa.string()) for column in columns.values()], pa.string())
    labels = sorted(v for v in pc.unique(distinct).to_pylist() if v is not None)
    codes = {
        side: pc.fill_null(pc.index_in(column.cast(pa.string()), value_set=pa.array(labels, pa.string())), -1)
        for side, column in columns.items()
    }
    return {side: np.asarray(code.to_numpy(), dtype=np.int64) for side, code in codes.items()}, tuple(labels)


def prepare(
    tables: Tables,
    columns: tuple[ColumnSchema, ...],
    left_out: Mapping[str, str],
    *,
    limit: int,
    seed: int,
    owners: Sequence[str] = (),
) -> Prepared:
    """Fetch the compared columns of every table, one column at a time.

    Args:
        tables: The tables.
        columns: What to fetch.
        left_out: Passed through.
        limit: Rows to hold per table; of a larger table a seeded sample without replacement is held.
        seed: Seed of that sample.
        owners: Columns that together say whose a row is, for tables without the token of the unit of privacy.

    Raises:
        InputError: a table has no rows.
    """
    present = tables.present()
    sizes = {side: int(tables.fetch(table.count()).as_py()) for side, table in present.items()}
    for side, rows in sizes.items():
        if rows == 0:
            raise InputError(f"the {side} table has no rows.", remedy="Give a table with at least one row.")
    keep = {side: _sample(rows, limit, child_seed(seed, "rows", side)) for side, rows in sizes.items()}
    values: dict[str, dict[str, Array]] = {side: {} for side in present}
    labels: dict[str, tuple[str, ...]] = {}
    for column in columns:
        raw = {side: _column(tables, comparable(table, column), keep[side]) for side, table in present.items()}
        if column.kind in NUMERIC_KINDS:
            fetched: Mapping[str, Array] = {side: _numbers(array) for side, array in raw.items()}
        else:
            fetched, labels[column.name] = _categories(raw)
        for side, array in fetched.items():
            values[side][column.name] = array
    parts = {}
    for side, table in present.items():
        units = _units(tables, table, keep[side]) if side != "synthetic" else None
        known = bool(owners) and units is None and set(owners) <= set(table.columns)
        whose = _whose(tables, table, owners, keep[side]) if known else None
        parts[side] = Part(sizes[side], values[side], units, whose)
    return Prepared(columns, labels, parts, dict(left_out))


def _sample(rows: int, limit: int, seed: int) -> Integers | None:
    """Row numbers to keep, in order; None for all."""
    if rows <= limit:
        return None
    return np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))


def _column(tables: Tables, expression: Any, keep: Integers | None) -> pa.ChunkedArray:
    array = tables.fetch(expression.name("value").as_table())["value"]
    return array if keep is None else array.take(pa.array(keep))


def _units(tables: Tables, table: ir.Table, keep: Integers | None) -> Integers | None:
    """One number per unit of privacy, where the table has its token."""
    if UNIT_COLUMN not in table.columns:
        return None
    tokens: Any = table[UNIT_COLUMN].cast("string")
    return np.asarray(_column(tables, tokens.hash(), keep).to_numpy(), dtype=np.int64)


def _whose(tables: Tables, table: ir.Table, names: Sequence[str], keep: Integers | None) -> Integers:
    """Whose each row is, by columns of the table; numbers from 0."""
    texts = [_column(tables, table[name].cast("string"), keep) for name in names]
    whose = np.zeros(len(texts[0]), dtype=np.int64)
    for text in texts:
        codes = (
            pc.dictionary_encode(text, null_encoding="encode").combine_chunks().indices.to_numpy(zero_copy_only=False)
        )
        whose = np.unique(whose * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    return whose


def sequence_keys(tables: Tables, side: str, order: str, units: Sequence[str]) -> tuple[Integers, Floats] | None:
    """Whose each row is, and its time, for all rows of a table in their stored order; None where a column is not there.

    Args:
        tables: The tables.
        side: Which of them.
        order: Column of numbers, dates or times.
        units: Columns that together say whose a row is; where the table lacks them, the token of the unit of privacy stands in.
    """
    table = tables.present()[side]
    names = list(units) if units and set(units) <= set(table.columns) else [UNIT_COLUMN]
    if order not in table.columns or not set(names) <= set(table.columns):
        return None
    value: Any = table[order]
    if value.type().is_string():
        value = value.try_cast("timestamp")
    return _whose(tables, table, names, None), _numbers(_column(tables, value, None))
