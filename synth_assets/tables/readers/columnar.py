"""Parquet files to staged Parquet: Arrow types of every kind brought to the few staged ones, batch by batch.

Lists, structs and maps become one text column of JSON. A number that a double cannot hold exactly makes its column text.
"""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from synth_assets.errors import SourceError, is_full
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.objects import text_of
from synth_assets.tables.readers.staging import ARROW, Part, Staged, StagedType, staged_writer

BATCH_ROWS = 65_536
BATCH_BYTES = 64 * 1024**2
_SAFE_DIGITS = 15  # decimal digits that a double keeps
_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], StagedType], ...] = (
    (pt.is_integer, "int64"),
    (pt.is_floating, "double"),
    (pt.is_boolean, "bool"),
    (pt.is_date, "date"),
)
_BINARY = (pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view)


class _LossyError(Exception):
    """A column has a number that its staged type cannot hold; never leaves this module."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


def read_parquet(path: Path, *, workspace: Path, limits: Limits, label: str) -> Staged:
    """Stage one Parquet file.

    Args:
        path: The file.
        workspace: Private folder for staged files.
        limits: Bounds of one read.
        label: How messages name the file.

    Raises:
        SourceError: the file is damaged, encrypted, empty, or has a column that is binary data or of a type that is not read.
    """
    try:
        with pq.ParquetFile(path) as source:
            return _staged(source, workspace / f"{path.name}.staged.parquet", limits, label)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        if isinstance(error, SourceError) or is_full(error):  # what is staged did not fit, and the file is well
            raise
        raise SourceError(
            f"the Parquet file is damaged or cannot be read ({type(error).__name__}).",
            file=label,
            remedy="Write the file again.",
        ) from None


def _staged(source: pq.ParquetFile, staged: Path, limits: Limits, label: str) -> Staged:
    schema = source.schema_arrow
    if not source.metadata.num_rows or not len(schema):
        raise SourceError("the file has columns and no rows.", file=label, remedy="An empty table cannot be used.")
    if len(schema) > limits.columns:
        raise SourceError(f"the table has {len(schema)} columns; at most {limits.columns} are read.", file=label)
    types = [_staged_type(field, label) for field in schema]
    notes: list[str] = []
    cut: set[int] = set()
    while True:
        try:
            rows = _write(source, staged, types, cut, label)
            break
        except _LossyError as lossy:
            types[lossy.position] = "string"
            name = schema.field(lossy.position).name
            notes.append(f"column {name!r} stays text: it holds numbers that no number type keeps exactly.")
    if rows != source.metadata.num_rows:
        raise SourceError("the Parquet file is damaged: rows are missing.", file=label, remedy="Write the file again.")
    notes += [f"column {schema.field(i).name!r}: digits finer than microseconds were cut." for i in sorted(cut)]
    decimals = {i: max(f.type.scale, 0) for i, f in enumerate(schema) if pt.is_decimal(f.type) and types[i] == "double"}
    part = Part(staged, label)
    return Staged(
        tuple(schema.names), tuple(types), (part,), facts={"format": "parquet"}, notes=notes, decimals=decimals
    )


def _write(source: pq.ParquetFile, staged: Path, types: list[StagedType], cut: set[int], label: str) -> int:
    """Write every batch in its staged types, and give the number of rows."""
    rows = 0
    target = pa.schema([pa.field(f"c{i}", ARROW[t]) for i, t in enumerate(types)])
    with staged_writer(staged, target) as writer:
        for batch in source.iter_batches(batch_size=_batch_rows(source)):
            columns = []
            for i, (column, kind) in enumerate(zip(batch.columns, types, strict=True)):
                try:
                    columns.append(_cast(column, kind, i, cut))
                except pa.ArrowNotImplementedError:
                    name = source.schema_arrow.field(i).name
                    raise SourceError(
                        f"the column has a type that is not read ({column.type}).",
                        file=label,
                        column=name,
                        remedy="Write it as text, or leave it out.",
                    ) from None
            writer.write_batch(pa.record_batch(columns, schema=target))
            rows += batch.num_rows
    return rows


def _batch_rows(source: pq.ParquetFile) -> int:
    """Rows per batch, fewer where rows are wide."""
    meta = source.metadata
    size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    return max(64, min(BATCH_ROWS, int(BATCH_BYTES * meta.num_rows / max(size, 1))))


def _staged_type(field: pa.Field, label: str) -> StagedType:
    """The staged type of an Arrow type."""
    kind = field.type.value_type if pt.is_dictionary(field.type) else field.type
    if _is_uuid(kind):
        return "string"
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if _holds_binary(kind):
        raise SourceError(
            "the column holds binary data.", file=label, column=field.name, remedy="Leave the column out of the file."
        )
    if pt.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp_utc"
    if pt.is_decimal(kind):
        return "int64" if kind.scale <= 0 and kind.precision - kind.scale <= 18 else "double"
    return next((staged for is_kind, staged in _PLAIN if is_kind(kind)), "string")


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


def _holds_binary(kind: pa.DataType) -> bool:
    """Whether values of a type are bytes, or hold bytes."""
    if any(is_binary(kind) for is_binary in _BINARY):
        return True
    return pt.is_nested(kind) and any(_holds_binary(kind.field(i).type) for i in range(kind.num_fields))


def _cast(column: pa.Array, target: StagedType, position: int, cut: set[int]) -> pa.Array:
    """One column of a batch in its staged type."""
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    if target == "string":
        return _text(column)
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pt.is_timestamp(column.type):
        return _microseconds(column, position, cut)
    if pt.is_floating(column.type):
        return column.cast(pa.float64())
    if pt.is_decimal(column.type) and target == "double":
        return _decimal(column, position)
    try:
        return column.cast(ARROW[target])
    except pa.ArrowInvalid:  # beyond 64 bits
        raise _LossyError(position) from None


def _text(column: pa.Array) -> pa.Array:
    """Texts, nested values as JSON, and what has no type of its own, as text."""
    if _is_uuid(column.type):
        return _uuid_text(column.storage)
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pt.is_nested(column.type):
        return pa.array([None if v is None else _json(v, column.type) for v in column.to_pylist()], pa.string())
    text = column.cast(pa.string())
    if pt.is_time(column.type):
        text = pc.replace_substring_regex(text, r"\.0+$", "")
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _decimal(column: pa.Array, position: int) -> pa.Array:
    """Exact decimals as doubles, where these show the same digits."""
    numbers = column.cast(pa.float64())
    if column.type.precision <= _SAFE_DIGITS:
        return numbers
    limit = 10.0 ** (_SAFE_DIGITS - max(column.type.scale, 0))
    largest = pc.max(pc.abs(numbers)).as_py()
    if largest is not None and largest >= limit:
        raise _LossyError(position)
    return numbers


def _uuid_text(column: pa.Array) -> pa.Array:
    """16 bytes each in their written form."""
    filled = column.fill_null(bytes(16))
    text = np.frombuffer(binascii.hexlify(b"".join(filled.to_pylist())), dtype="S32").astype("U32")
    digits = pa.array(text, pa.string())
    parts = [pc.utf8_slice_codeunits(digits, a, b) for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))]
    return pc.if_else(column.is_valid(), pc.binary_join_element_wise(*parts, "-"), pa.scalar(None, pa.string()))


def _json(value: Any, kind: pa.DataType) -> str:
    """A nested value as compact JSON; a map is an object, a number that is none is null."""
    return json.dumps(_plain(value, kind), ensure_ascii=False, separators=(",", ":"), default=text_of)


def _plain(value: Any, kind: pa.DataType) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if pt.is_struct(kind):
        return {f.name: _plain(value[f.name], f.type) for f in kind}
    if pt.is_map(kind):
        return {text_of(k): _plain(v, kind.item_type) for k, v in value}
    return [_plain(v, kind.value_type) for v in value] if isinstance(value, list) and pt.is_nested(kind) else value


def _microseconds(column: pa.Array, position: int, cut: set[int]) -> pa.Array:
    """Timestamps of any unit as naive microseconds (UTC where they have a zone); finer digits are cut."""
    naive = column.cast(pa.timestamp(column.type.unit))
    if column.type.unit != "ns":
        return naive.cast(pa.timestamp("us"))
    found = naive.cast(pa.timestamp("us"), safe=False)
    if pc.any(pc.not_equal(found.cast(pa.timestamp("ns")), naive)).as_py():
        cut.add(position)
    return found
