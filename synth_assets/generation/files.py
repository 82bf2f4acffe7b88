"""Writes Arrow batches to one file: Parquet, CSV or JSON lines; the same batches give the same bytes.

What belongs here: the formats. What does not: temporary names and renames (storage.atomic).
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from synth_assets.generation.values import joined

FORMATS = ("parquet", "csv", "jsonl")
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


class TableWriter:
    """An open file that takes batches of one table. CSV: a missing cell is empty, dates are ISO, a header line first."""

    def __init__(self, path: Path, fmt: str, schema: pa.Schema) -> None:
        self._file: Any = path.open("wb")
        self._writer: Any = None
        self._lines = json_lines
        if fmt == "parquet":
            self._writer = pa.parquet.ParquetWriter(self._file, schema, compression="zstd")
        elif fmt == "csv":
            self._lines = csv_lines
            header = pa.table([pa.array([name]) for name in schema.names], schema.names)
            self._file.write(_bytes(csv_lines(header)))

    def write(self, batch: pa.Table) -> None:
        """Append rows."""
        if self._writer is not None:
            self._writer.write_table(batch)
        elif batch.num_rows:
            self._file.write(_bytes(self._lines(batch)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._file.close()


def csv_lines(batch: pa.Table) -> pa.Array:
    """Each row as a line of CSV with its newline; texts are quoted where they must be, a missing cell is empty."""
    parts: list[pa.Array | str] = []
    for index in range(batch.num_columns):
        text = batch.column(index).combine_chunks().cast(pa.string())
        special = pc.or_(pc.match_substring_regex(text, '[",\\n\\r]|^\\s|\\s$'), pc.equal(text, ""))
        if pc.any(special).as_py():
            text = pc.if_else(special, joined(['"', pc.replace_substring(text, '"', '""'), '"']), text)
        parts += [",", pc.fill_null(text, "")] if index else [pc.fill_null(text, "")]
    return joined([*parts, "\n"])


def json_lines(batch: pa.Table) -> pa.Array:
    """Each row as a line of JSON with its newline; a missing cell is null, dates and times are ISO texts."""
    parts: list[pa.Array | str] = []
    for index, name in enumerate(batch.column_names):
        key = _escape(pa.array([name]))[0].as_py()
        parts += [f"{', ' if index else '{'}{key}: ", _token(batch.column(name).combine_chunks())]
    return joined([*parts, "}\n"])


def _token(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type):
        text = _escape(column)
    elif pa.types.is_temporal(column.type):
        text = joined(['"', pc.replace_substring(column.cast(pa.string()), " ", "T"), '"'])
    else:
        text = column.cast(pa.string())
    return pc.fill_null(text, "null")


def _escape(texts: pa.Array) -> pa.Array:
    for character, escaped in _ESCAPES:
        texts = pc.replace_substring(texts, character, escaped)
    return joined(['"', texts, '"'])


def _bytes(texts: pa.Array) -> bytes:
    """All texts one after the other, UTF-8; they have no nulls."""
    large = pa.concat_arrays([texts]).cast(pa.large_string())
    offsets = np.frombuffer(large.buffers()[1], dtype=np.int64)[large.offset : large.offset + len(large) + 1]
    return bytes(large.buffers()[2][int(offsets[0]) : int(offsets[-1])])
