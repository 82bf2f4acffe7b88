"""Rows that arrive as Python objects (database cursors, workbooks) to staged Parquet, chunk by chunk.

Each chunk gets an Arrow type per column from the types of its values; at the end the chunks are brought to one type per column.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.errors import SourceError
from synth_assets.tables.readers.staging import ARROW, StagedType, staged_writer

CHUNK_ROWS = 20_000
_PLAIN: dict[type, StagedType] = {bool: "bool", date: "date"}


class RowStager:
    """Collects chunks of rows and writes them as staged Parquet.

    Args:
        names: Column names, for messages.
        path: The staged file to write.
        label: How messages name the source.
    """

    def __init__(self, names: Sequence[str], path: Path, label: str) -> None:
        self._names = tuple(names)
        self._path = path
        self._label = label
        self._chunks: list[tuple[Path, tuple[StagedType | None, ...]]] = []
        self._writer: pq.ParquetWriter | None = None
        self.decimals: dict[int, int] = {}
        self.rows = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add a chunk of rows, each with one value per column."""
        if not rows:
            return
        arrays, types = [], []
        for position, values in enumerate(zip(*rows, strict=True)):
            kind, array = self._array(position, values)
            arrays.append(array)
            types.append(kind)
        if self._writer is None or self._chunks[-1][1] != tuple(types):
            self._start(tuple(types), [a.type for a in arrays])
        schema = pa.schema([pa.field(f"c{i}", a.type) for i, a in enumerate(arrays)])
        assert self._writer is not None  # noqa: S101  set by _start
        self._writer.write_batch(pa.record_batch(arrays, schema=schema))
        self.rows += len(rows)

    def finish(self) -> tuple[StagedType, ...]:
        """Close the file and give the type of each column."""
        if self._writer is not None:
            self._writer.close()
        types = tuple(_common([t[i] for _, t in self._chunks]) for i in range(len(self._names)))
        schema = pa.schema([pa.field(f"c{i}", ARROW[t]) for i, t in enumerate(types)])
        with staged_writer(self._path, schema) as writer:
            for path, _ in self._chunks:
                with pq.ParquetFile(path) as chunk:
                    for batch in chunk.iter_batches():
                        columns = [c.cast(f.type) for c, f in zip(batch.columns, schema, strict=True)]
                        writer.write_batch(pa.record_batch(columns, schema=schema))
                path.unlink()
        return types

    def _start(self, types: tuple[StagedType | None, ...], arrow: Sequence[pa.DataType]) -> None:
        if self._writer is not None:
            self._writer.close()
        path = self._path.with_suffix(f".{len(self._chunks)}.chunk")
        schema = pa.schema([pa.field(f"c{i}", t) for i, t in enumerate(arrow)])
        self._writer = staged_writer(path, schema)
        self._chunks.append((path, types))

    def _array(self, position: int, values: Sequence[Any]) -> tuple[StagedType | None, pa.Array]:
        kinds = set(map(type, values)) - {type(None)}
        if not kinds:
            return None, pa.nulls(len(values), pa.string())
        if kinds & {bytes, bytearray, memoryview}:
            raise SourceError(
                "the column holds binary data.",
                file=self._label,
                column=self._names[position],
                remedy="Leave it out, for example by a `query` that names the columns.",
            )
        if Decimal in kinds and kinds <= {Decimal, int, float}:
            self._note_decimals(position, values)
        kind, converted = _converted(kinds, values)
        return kind, pa.array(converted, ARROW[kind])

    def _note_decimals(self, position: int, values: Iterable[Any]) -> None:
        digits = max(_digits(v) for v in values if isinstance(v, Decimal))
        self.decimals[position] = max(digits, self.decimals.get(position, 0))


def _digits(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _converted(kinds: set[type], values: Sequence[Any]) -> tuple[StagedType, Sequence[Any]]:
    """The staged type of a chunk's values, and the values in it."""
    if kinds == {str}:
        return "string", [v or None for v in values] if "" in values else values
    plain: StagedType | None = _PLAIN.get(next(iter(kinds))) if len(kinds) == 1 else None
    if plain is not None:
        return plain, values
    if kinds <= {int, float, Decimal}:
        return _numbers(values)
    if kinds <= {date, datetime}:
        return _datetimes(values)
    return "string", _texts(values)


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if v is None or v == "" else text_of(v) for v in values]


def _numbers(values: Sequence[Any]) -> tuple[StagedType, Sequence[Any]]:
    """Whole numbers where all are, doubles where these keep every digit of the whole part, else text."""
    present = [v for v in values if v is not None]
    if all(_whole(v) and -(2**63) <= v < 2**63 for v in present):
        return "int64", [None if v is None else int(v) for v in values]
    if any(not isinstance(v, int) for v in present) and all(_fits_double(v) for v in present):
        return "double", [None if v is None else float(v) for v in values]
    return "string", _texts(values)


def _whole(value: float | Decimal) -> bool:
    """Whether a value is written as a whole number; a float never is."""
    return isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite() and not _digits(value))


def _fits_double(value: float | Decimal) -> bool:
    """Whether a double keeps the whole part of an exact number."""
    return isinstance(value, float) or (isinstance(value, Decimal) and not value.is_finite()) or abs(value) < 2**53


def _datetimes(values: Sequence[Any]) -> tuple[StagedType, Sequence[Any]]:
    moments = [_moment(v) for v in values]
    aware = {m.tzinfo is not None for m in moments if m is not None}
    if aware == {False}:
        return "timestamp", moments
    if aware == {True}:
        return "timestamp_utc", [None if m is None else m.astimezone(UTC).replace(tzinfo=None) for m in moments]
    return "string", [None if m is None else m.isoformat(sep=" ") for m in moments]


def _moment(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime.combine(value, time())


def text_of(value: Any) -> str:
    """One value as text: JSON for nested values, ISO for times, lower case for booleans."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=text_of)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta | UUID | int | float | Decimal | str):
        return str(value)
    return str(value)


def _common(types: Sequence[StagedType | None]) -> StagedType:
    """One type for all chunks of a column."""
    found = {t for t in types if t is not None}
    if len(found) == 1:
        return found.pop()
    if found == {"int64", "double"}:
        return "double"
    if found == {"date", "timestamp"}:
        return "timestamp"
    return "string"
