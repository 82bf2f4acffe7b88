"""Tables for SDV and back: reading the train part, the kind of each column, declared orders as differences, exact types on the way out.

What belongs here: columns that are modelled. What does not: keys (sdv_keys.py), models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.errors import InputError
from synth_assets.storage import atomic
from synth_assets.synthesis.marginals.sample import arrow_type
from synth_assets.synthesis.protocol import TableSpec
from synth_assets.tables.schema import ColumnKind, TableSchema

NUMBERS = frozenset({ColumnKind.NUMBER, ColumnKind.DATE, ColumnKind.DATETIME})
DAY = 86_400.0
MICROSECONDS = 1e6
PART = "part-00000.parquet"


def read_rows(spec: TableSpec, *, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Modelled columns and keys of the train part; dates as days and times as seconds since 1970, which SDV takes as numbers.

    (SDV reads times as nanoseconds, whatever their unit; and not all that occur can be told in nanoseconds, such as the year 9999.)

    Args:
        spec: The table.
        extra: Further columns, such as the unit's.

    Raises:
        InputError: there is no row.
    """
    keys = [*spec.table.primary_key, *(c for fk in spec.table.foreign_keys for c in fk.columns)]
    columns = list(dict.fromkeys([*spec.columns, *keys, *extra]))
    files = sorted(spec.path.glob("part-*.parquet")) if spec.path.is_dir() else [spec.path]
    table = pa.concat_tables([pq.read_table(f, columns=columns) for f in files])
    if table.num_rows == 0:
        raise InputError(f"table {spec.name!r} has no row to learn from.")
    frame = pd.DataFrame({c: _plain(table[c], modelled=c in spec.columns) for c in columns})
    for column in spec.columns:
        if sdtype_of(spec.table, column) == "categorical":
            frame[column] = frame[column].astype(object).where(frame[column].notna(), None)
    return frame


def require_finite(name: str, frame: pd.DataFrame) -> None:
    """A network cannot learn infinite numbers.

    Raises:
        InputError: there are some; names the column.
    """
    for column in frame.select_dtypes("number").columns:
        if np.isinf(frame[column].to_numpy(float)).any():
            raise InputError(
                f"the column holds infinite numbers, which {name} cannot learn.", column=str(column),
                remedy="Use gaussian_copula or dp_marginals, or make them missing in the source.",
            )  # fmt: skip


def _plain(values: pa.ChunkedArray, *, modelled: bool) -> pd.Series[Any]:
    days, times = pa.types.is_date(values.type), pa.types.is_timestamp(values.type)
    if modelled and days:
        values = values.cast(pa.int32()).cast(pa.float64())
    elif modelled and times:
        values = pc.divide(values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()), MICROSECONDS)
    plain: pd.Series[Any] = values.to_pandas()
    return plain


def sdtype_of(schema: TableSchema, column: str) -> str:
    """What SDV calls the kind of a column: numbers and times by what they mean, everything else as categories."""
    found = schema.column(column)
    if found.dtype == "bool":
        return "boolean"
    return "numerical" if found.kind in NUMBERS and found.dtype != "string" else "categorical"


def as_differences(
    frame: pd.DataFrame, schema: TableSchema, orders: Sequence[tuple[str, str]]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """For each declared pair (low, high), `high` becomes high - low, in the unit of high.

    Where the low is missing, its median stands in.

    Returns:
        The frame, and the median of each low by its pair's high, in seconds for times.
    """
    out, medians = frame.copy(), {}
    for low, high in _one_low_each(orders):
        start, end = _seconds(frame, schema, low), _seconds(frame, schema, high)
        medians[high] = float(np.nanmedian(start)) if np.isfinite(start).any() else 0.0
        out[high] = (end - np.where(np.isfinite(start), start, medians[high])) / _unit(schema, high)
    return out, medians


def from_differences(
    frame: pd.DataFrame, schema: TableSchema, orders: Sequence[tuple[str, str]], medians: Mapping[str, float]
) -> pd.DataFrame:
    """The way back from `as_differences`; every declared pair of the result is in order."""
    out = frame.copy()
    for low, high in _one_low_each(orders):
        start, difference = _seconds(out, schema, low), _seconds(out, schema, high)
        value = np.where(np.isfinite(start), start + np.maximum(difference, 0.0), medians[high] + difference)
        out[high] = value / _unit(schema, high)
    return in_order(out, schema, orders)


def in_order(frame: pd.DataFrame, schema: TableSchema, orders: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Raise each high to its low where it is below."""
    out = frame.copy()
    for low, high in _lows_first(orders):
        start, end = _seconds(out, schema, low), _seconds(out, schema, high)
        out[high] = np.where(start > end, start, end) / _unit(schema, high)
    return out


def ordered_numbers(orders: Sequence[tuple[str, str]]) -> frozenset[str]:
    """Columns that `as_differences` has made numbers."""
    return frozenset(high for _, high in orders)


def _seconds(frame: pd.DataFrame, schema: TableSchema, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column of numbers, dates as seconds like times; NaN where missing."""
    return pd.to_numeric(frame[column], errors="coerce").to_numpy(float) * _unit(schema, column)


def _unit(schema: TableSchema, column: str) -> float:
    return DAY if schema.column(column).dtype.startswith("date32") else 1.0


def _one_low_each(orders: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The pairs, lows before their highs, and each high with its first low only."""
    seen: set[str] = set()
    for low, high in _lows_first(orders):
        if high not in seen:
            seen.add(high)
            yield low, high


def _lows_first(orders: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs so that a column that is the high of one stands there before it is the low of another.

    Raises:
        InputError: the declared orders form a circle.
    """
    waiting, ordered = list(orders), []
    while waiting:
        highs = {high for _, high in waiting}
        ready = [pair for pair in waiting if pair[0] not in highs]
        if not ready:
            raise InputError("the contract orders columns in a circle.", key="contract", column=waiting[0][0])
        ordered += ready
        waiting = [pair for pair in waiting if pair not in ready]
    return ordered


def write_rows(
    frame: pd.DataFrame,
    schema: TableSchema,
    columns: Sequence[str],
    folder: Path,
    orders: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write columns that are there, in the order and the types of the schema, and in the declared orders after all rounding."""
    names = [c for c in schema.names if c in columns and c in frame.columns]
    made = {n: typed(frame[n], arrow_type(schema.column(n).dtype), schema.column(n).decimals) for n in names}
    for low, high in _lows_first(orders):
        made[high] = _not_below(made[high], made[low])
    with atomic.replacing(folder / PART) as path:
        pq.write_table(pa.table(made), path, compression="zstd")
    return folder


def _not_below(high: pa.Array, low: pa.Array) -> pa.Array:
    """The high, or the low where rounding has put it above; both known."""
    above = pc.fill_null(pc.less(high, low), pa.scalar(value=False))
    least = pc.ceil(low) if pa.types.is_integer(high.type) and pa.types.is_floating(low.type) else low
    return pc.if_else(above, least.cast(high.type, safe=False), high)


def typed(values: pd.Series[Any], dtype: pa.DataType, decimals: int | None) -> pa.Array:
    """A column in its Arrow type; whole numbers are rounded, others to the digits that the source shows."""
    if pa.types.is_integer(dtype):
        values = pd.to_numeric(values, errors="coerce").round().astype("Int64")
    elif pa.types.is_floating(dtype) and decimals is not None:
        values = pd.to_numeric(values, errors="coerce").round(decimals)
    elif pa.types.is_date(dtype) and values.dtype.kind in "fi":
        return pa.Array.from_pandas(values.round().astype("Int32"), type=pa.int32()).cast(dtype)
    elif pa.types.is_timestamp(dtype) and values.dtype.kind in "fi":
        return pa.Array.from_pandas((values * MICROSECONDS).round().astype("Int64"), type=pa.int64()).cast(dtype)
    elif pa.types.is_string(dtype):
        values = values.astype(object).where(values.notna(), None)
    return pa.Array.from_pandas(values, type=dtype)
