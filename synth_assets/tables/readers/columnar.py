"""Parquet files to staged Parquet: Arrow types of every kind brought to the few staged ones, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from synth_assets.errors import SourceError
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.objects import text_of
from synth_assets.tables.readers.staging import ARROW, Part, Staged, StagedType

BATCH_ROWS = 65_536
_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], StagedType], ...] = (
    (pt.is_integer, "int64"),
    (pt.is_floating, "double"),
    (pt.is_boolean, "bool"),
    (pt.is_date, "date"),
)


def read_parquet(path: Path, *, workspace: Path, limits: Limits, label: str) -> Staged:
    """Stage one Parquet file.

    Args:
        path: The file.
        workspace: Private folder for staged files.
        limits: Bounds of one read.
        label: How messages name the file.

    Raises:
        SourceError: the file is damaged, encrypted, empty, or has a column that is binary data.
    """
    try:
        with pq.ParquetFile(path) as source:
            schema = source.schema_arrow
            if not source.metadata.num_rows:
                raise SourceError(
                    "the file has columns and no rows.", file=label, remedy="An empty table cannot be used."
                )
            if len(schema) > limits.columns:
                raise SourceError(
                    f"the table has {len(schema)} columns; at most {limits.columns} are read.", file=label
                )
            types = tuple(_staged_type(field, label) for field in schema)
            staged = workspace / f"{path.name}.staged.parquet"
            target = pa.schema([pa.field(f"c{i}", ARROW[t]) for i, t in enumerate(types)])
            with pq.ParquetWriter(staged, target, compression="lz4") as writer:
                for batch in source.iter_batches(batch_size=BATCH_ROWS):
                    columns = [_cast(c, t) for c, t in zip(batch.columns, types, strict=True)]
                    writer.write_batch(pa.record_batch(columns, schema=target))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"the Parquet file is damaged or cannot be read ({type(error).__name__}).", file=label
        ) from None
    decimals = {i: max(f.type.scale, 0) for i, f in enumerate(schema) if pt.is_decimal(f.type) and types[i] == "double"}
    return Staged(tuple(schema.names), types, (Part(staged, label),), facts={"format": "parquet"}, decimals=decimals)


def _staged_type(field: pa.Field, label: str) -> StagedType:
    """The staged type of an Arrow type."""
    kind = field.type.value_type if pt.is_dictionary(field.type) else field.type
    if pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind):
        raise SourceError(
            "the column holds binary data.", file=label, column=field.name, remedy="Leave the column out of the file."
        )
    if pt.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp_utc"
    if pt.is_decimal(kind):
        return "int64" if kind.scale <= 0 and kind.precision - kind.scale <= 18 else "double"
    return next((staged for is_kind, staged in _PLAIN if is_kind(kind)), "string")


def _cast(column: pa.Array, target: StagedType) -> pa.Array:
    """One column of a batch in its staged type."""
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pt.is_nested(column.type):
        return pa.array([None if v is None else text_of(v) for v in column.to_pylist()], pa.string())
    if pt.is_timestamp(column.type):
        return _microseconds(column)
    if pt.is_floating(column.type) and column.type != pa.float64():
        column = column.cast(pa.float64())
    if target == "string":
        text = column.cast(pa.string())
        if pt.is_time(column.type):
            text = pc.replace_substring_regex(text, r"\.0+$", "")
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return column.cast(ARROW[target], safe=target != "double")


def _microseconds(column: pa.Array) -> pa.Array:
    """Timestamps of any unit as naive microseconds (UTC where they have a zone); finer digits are cut."""
    naive = column.cast(pa.timestamp(column.type.unit))
    return naive.cast(pa.timestamp("us"), safe=False)
