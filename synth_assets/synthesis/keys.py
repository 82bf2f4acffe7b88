"""Keys of synthetic tables: new primary keys, and foreign keys that are always valid.

What belongs here: which columns are keys, and their values. What does not: modelled columns (release_sample.py). No key of the data
is used.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.synthesis.marginals.sample import arrow_type
from synth_assets.synthesis.release_measure import ReleaseLinks
from synth_assets.tables.schema import ForeignKey, TableSchema

TOKEN_DIGITS = 8


def key_columns(schema: TableSchema, links: ReleaseLinks) -> tuple[str, ...]:
    """Columns that sampling makes itself: primary key, foreign keys, and what other tables refer to; in the order of the schema."""
    wanted = {*schema.primary_key, *(c for k in schema.foreign_keys for c in k.columns)}
    wanted |= {
        c for t in links.tables for k in t.table.foreign_keys if k.parent_table == schema.name for c in k.parent_columns
    }
    return tuple(n for n in schema.names if n in wanted)


def serial(schema: TableSchema, column: str, numbers: np.ndarray) -> pa.Array:
    """Distinct key values for distinct numbers from 1: integers, or tokens such as `patients-00000001`."""
    dtype = schema.column(column).dtype
    if dtype == "string":
        digits = pc.utf8_lpad(pa.array(numbers, pa.int64()).cast(pa.string()), TOKEN_DIGITS, padding="0")
        return pc.binary_join_element_wise(pa.scalar(schema.name), digits, "-")
    if dtype == "date32[day]":
        return pa.array(numbers, pa.int32()).cast(pa.date32())
    return pa.array(numbers, pa.int64()).cast(arrow_type(dtype))


def free_key_columns(schema: TableSchema, links: ReleaseLinks) -> tuple[str, ...]:
    """Key columns that are no part of a foreign key."""
    foreign = {c for k in schema.foreign_keys for c in k.columns}
    return tuple(c for c in key_columns(schema, links) if c not in foreign)


def number_free_keys(
    schema: TableSchema, links: ReleaseLinks, made: dict[str, pa.Array], first: int, rows: int
) -> None:
    """Fill the key columns that are no foreign key.

    The last free column of a composite primary key counts from 1 within equal foreign parts (line numbers); every other one is a serial
    number of the table.

    Args:
        schema: The table.
        links: All tables.
        made: Foreign keys made so far; the new columns are added.
        first: Rows of this table that were made before.
        rows: Rows now.
    """
    numbers = np.arange(first + 1, first + rows + 1)
    foreign = [c for c in schema.primary_key if c in made]
    free = [c for c in schema.primary_key if c not in made]
    for column in free_key_columns(schema, links):
        within = foreign and free and column == free[-1]
        made[column] = serial(schema, column, _count_within(made, foreign) if within else numbers)


def _count_within(made: dict[str, pa.Array], columns: list[str]) -> np.ndarray:
    """1, 2, ... within each combination of values, in the order of the rows."""
    group = _codes(made, columns)
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(group))])[:-1] if len(group) else np.zeros(0, dtype=np.int64)
    out = np.empty(len(group), dtype=np.int64)
    out[order] = np.arange(len(group)) - starts[group[order]] + 1
    return out


def first_of_each(made: dict[str, pa.Array], columns: list[str]) -> np.ndarray:
    """Rows that are the first with their combination of values, ascending."""
    return np.sort(np.unique(_codes(made, columns), return_index=True)[1])


def _codes(made: dict[str, pa.Array], columns: list[str]) -> np.ndarray:
    """An integer per row, equal for equal combinations, dense from 0."""
    code = np.zeros(len(made[columns[0]]), dtype=np.int64)
    for column in columns:
        values = pc.dictionary_encode(made[column], null_encoding="encode").indices.to_numpy(zero_copy_only=False)
        code = np.unique(code * (int(values.max(initial=0)) + 1) + values, return_inverse=True)[1]
    return code


def copy_key(key: ForeignKey, parent_keys: dict[str, pa.Array], rows: np.ndarray, made: dict[str, pa.Array]) -> None:
    """Set the columns of a foreign key to the key of these parent rows; -1 is null. A column that is set already is kept."""
    index = pa.array(np.maximum(rows, 0), pa.int64(), mask=rows < 0)
    for column, source in zip(key.columns, key.parent_columns, strict=True):
        if column not in made:
            made[column] = parent_keys[source].take(index)
