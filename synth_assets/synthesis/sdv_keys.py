"""Keys of tables that SDV has made: new primary keys, and references that always find their row.

What belongs here: which parent a row has, and its keys. What does not: modelled columns (sdv_frames.py). No key of the data is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from synth_assets.tables.schema import ForeignKey, TableSchema

PARENT_ROW = "_parent_row"


def leading_key(schema: TableSchema, schemas: Mapping[str, TableSchema]) -> ForeignKey | None:
    """The reference that a table's rows are grouped by: the first one to another table."""
    return next(
        (fk for fk in schema.foreign_keys if fk.parent_table in schemas and fk.parent_table != schema.name), None
    )


def parents_of(schemas: Mapping[str, TableSchema]) -> dict[str, tuple[str, ...]]:
    """Per table, the other tables that it refers to, in the order of its references."""
    return {
        n: tuple(k.parent_table for k in s.foreign_keys if k.parent_table in schemas and k.parent_table != n)
        for n, s in schemas.items()
    }


def serial(schema: TableSchema, column: str, numbers: np.ndarray[Any, np.dtype[np.int64]]) -> Any:
    """Key values for numbers from 1: whole numbers, or texts such as `patients-000000001`."""
    text = schema.column(column).dtype == "string"
    return [f"{schema.name}-{i:09d}" for i in numbers] if text else numbers


def parent_rows(frame: pd.DataFrame, parents: pd.DataFrame, key: ForeignKey) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each row the row number of its parent, -1 where it has none."""
    numbers = parents[list(key.parent_columns)].assign(_row=np.arange(len(parents)))
    numbers = numbers.dropna(subset=list(key.parent_columns)).drop_duplicates(list(key.parent_columns))
    left = frame[list(key.columns)].set_axis(list(key.parent_columns), axis=1)
    found = left.merge(numbers, on=list(key.parent_columns), how="left")["_row"]
    return found.fillna(-1).to_numpy(np.int64)


def with_keys(
    frame: pd.DataFrame,
    schemas: Mapping[str, TableSchema],
    name: str,
    leading: ForeignKey | None,
    done: Mapping[str, pd.DataFrame],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Fresh primary keys, and foreign keys that point at synthetic parents.

    A reference that the leading parent holds as well (a claim's patient, beside its encounter's patient) is taken from that parent.
    """
    frame, schema = frame.copy(), schemas[name]
    above = None if leading is None else done[leading.parent_table].iloc[frame[PARENT_ROW].to_numpy()]
    for key in schema.foreign_keys:
        parent = None if key.parent_table == name else done.get(key.parent_table)
        if parent is None or parent.empty:
            continue
        source, columns = parent, key.parent_columns
        if above is not None and leading is not None and key == leading:
            source = above
        elif (
            above is not None
            and leading is not None
            and (same := _shared_reference(schemas[leading.parent_table], key)) is not None
        ):
            source, columns = above, same
        rows = np.arange(len(frame)) if source is above else rng.integers(0, len(source), len(frame))
        for column, origin in zip(key.columns, columns, strict=True):
            frame[column] = source[origin].to_numpy()[rows]
    for column in _free_keys(schema, schemas):
        frame[column] = serial(schema, column, np.arange(1, len(frame) + 1))
    if schema.primary_key and set(schema.primary_key) <= set(frame.columns):
        frame = frame.drop_duplicates(list(schema.primary_key)).reset_index(drop=True)
    return _with_own_references(frame, schema, rng)


def _free_keys(schema: TableSchema, schemas: Mapping[str, TableSchema]) -> list[str]:
    """Columns that are a key, or that another table refers to, and that refer to nothing themselves."""
    foreign = {c for key in schema.foreign_keys for c in key.columns}
    referred = {
        c for s in schemas.values() for k in s.foreign_keys if k.parent_table == schema.name for c in k.parent_columns
    }
    return [c for c in schema.names if c in {*schema.primary_key, *referred} - foreign]


def key_columns(schema: TableSchema, schemas: Mapping[str, TableSchema]) -> list[str]:
    """All columns that are made here, in the order of the schema."""
    made = {*_free_keys(schema, schemas), *schema.primary_key, *(c for k in schema.foreign_keys for c in k.columns)}
    return [c for c in schema.names if c in made]


def _with_own_references(frame: pd.DataFrame, schema: TableSchema, rng: np.random.Generator) -> pd.DataFrame:
    """References to the own table point at any of its rows; references to a table that is not there are missing."""
    for key in schema.foreign_keys:
        rows = rng.integers(0, max(len(frame), 1), len(frame))
        for column, origin in zip(key.columns, key.parent_columns, strict=True):
            if column in frame.columns:
                continue
            own = key.parent_table == schema.name and origin in frame.columns
            frame[column] = frame[origin].to_numpy()[rows] if own else None
    return frame


def _shared_reference(parent: TableSchema, key: ForeignKey) -> tuple[str, ...] | None:
    """The parent's own columns that refer to the same columns of the same table."""
    found = (
        k.columns
        for k in parent.foreign_keys
        if (k.parent_table, k.parent_columns) == (key.parent_table, key.parent_columns)
    )
    return next(found, None)
